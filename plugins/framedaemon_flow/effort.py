"""How hard flow looks for motion, and what that costs. Light: estimates need it where nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Quality: TypeAlias = Literal["good", "best"]

# Below this many pixels on the shorter side the flow is looked for at full size: 176x144 gains 0.2 dB by it.
_SMALL = 160


@dataclass(frozen=True, slots=True)
class Effort:
    """How DIS looks for flow; a level halves the size, 0 is that of the reduced frame."""

    finest_level: int
    stride: int
    descents: int
    refinements: int
    bytes: int
    """For a pixel of the reduced frame, at the peak, with as many flows at once as threads can look for."""
    seconds: float
    """For a pixel of the frame and a gap, on one core of a 2.5 GHz server."""


EFFORTS: dict[Quality, Effort] = {
    "good": Effort(finest_level=1, stride=4, descents=16, refinements=2, bytes=700, seconds=90e-9),
    "best": Effort(finest_level=0, stride=4, descents=12, refinements=2, bytes=2000, seconds=220e-9),
}


def scale_for(height: int, width: int) -> int:
    """By how much frames are reduced before their flow is looked for: 1 or 2."""
    return 1 if min(height, width) < _SMALL else 2
