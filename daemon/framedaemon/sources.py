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
    last: npt.NDArray[np.uint8] | None = None
    """What the clip is to end with, likewise, of a size of its own; None: that is left to the generator."""
    kind: Literal["picture"] = field(default="picture", init=False)

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def describe(self) -> str:
        """For people: ``picture 4032x3024``, and what it is to end with."""
        ending = f", to end with {self.last.shape[1]}x{self.last.shape[0]}" if self.last is not None else ""
        return f"picture {self.width}x{self.height}{ending}"


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

    def describe(self) -> str:
        """For people: ``footage 1920x1080``."""
        return f"footage {self.width}x{self.height}"


Source: TypeAlias = Picture | Footage
