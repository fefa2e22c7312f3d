"""What can be dropped: a still picture, or footage that exists already.

Both are facts about a file that was opened and understood (see `opening`); making them does no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

SourceKind: TypeAlias = Literal["picture", "footage"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A still, upright, in sRGB, without alpha."""

    pixels: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, C-contiguous, read-only."""
    notes: tuple[str, ...] = ()
    """What was done to the file's pixels, for the receipt: ``turned upright``, ``converted from CMYK``."""
    kind: Literal["picture"] = field(default="picture", init=False)

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Footage:
    """A video file: how many frames it shows, when, and whether it has sound."""

    path: Path
    width: int
    """As shown: rotation applied, square pixels."""
    height: int
    frames: int
    """Exactly what decoding yields once variable frame rate has been made constant at ``fps``."""
    fps: Fraction
    depth: Literal[8, 16] = 8
    """16 when the file has more than 8 bits per sample."""
    sound: bool = False
    notes: tuple[str, ...] = ()
    kind: Literal["footage"] = field(default="footage", init=False)


Source: TypeAlias = Picture | Footage
