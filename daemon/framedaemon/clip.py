"""Frames, and the clips they make.

A frame is an array (H, W, 3), RGB, uint8 or uint16 over its whole range, C-contiguous, display-referred
with the primaries and transfer of its clip's `Colour`. A clip is a promise (`ClipSpec`) and a stream of
frames that is held to it while it flows: no part of framedaemon ever holds all the frames of a clip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, PlainSerializer

from framedaemon.errors import StageFailed

Frame: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# No exponents: Fraction("1e999999999") is worked out digit by digit.
_WRITTEN_RATE = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12}|/[0-9]{1,12})?")


def parse_rate(value: object) -> Fraction:
    """The exact frame rate that ``value`` means: 24, 23.976, "24000/1001", "29.97".

    Decimal roundings of the NTSC rates become the exact rate. Raises ValueError unless 0 < rate <= 1000.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)):
        raise ValueError(f"{value!r} is not a frame rate: write 24, 29.97 or '24000/1001'")
    try:
        if isinstance(value, str) and not _WRITTEN_RATE.fullmatch(value.strip()):
            raise ValueError
        rate = Fraction(str(value).strip()) if isinstance(value, (str, float)) else Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a frame rate: write 24, 29.97 or '24000/1001'") from None
    exact = rate.limit_denominator(1_000_000)
    if exact <= 0 or rate > 1000:
        raise ValueError(f"{value!r} is not a frame rate in 0..1000")
    return _ntsc(str(value).strip(), rate) or exact if isinstance(value, (str, float)) else exact


def _ntsc(written: str, rate: Fraction) -> Fraction | None:
    """The rate of the NTSC family, n * 1000/1001, that was rounded to two decimals or more: 23.98, 29.97, 59.9401."""
    decimals = len(written.partition(".")[2])
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return ntsc if decimals >= 2 and ntsc > 0 and round(ntsc, decimals) == rate else None


Rate = Annotated[
    Fraction,
    BeforeValidator(parse_rate),
    PlainSerializer(str, return_type=str),
]
"""A frame rate as a pydantic field: accepts what `parse_rate` does, is written as "24000/1001"."""


@dataclass(frozen=True, slots=True)
class Colour:
    """Which light the numbers of a frame mean, in ffmpeg's and ITU-T H.273's words."""

    primaries: Literal["bt709"] = "bt709"
    transfer: Literal["bt709"] = "bt709"
    """Stills come as sRGB and are shown through the same display curve: players treat both alike."""


BT709 = Colour()


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """What a clip is, exactly, before a single frame of it exists."""

    width: int
    height: int
    frames: int
    """Exactly, not at most."""
    fps: Fraction
    depth: Literal[8, 16] = 8
    """Bits per sample: 8 for uint8 frames, 16 for uint16."""
    colour: Colour = BT709

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.frames < 1 or self.fps <= 0:
            raise ValueError(f"a clip needs a size, frames and a rate above zero, not {self.describe()}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3), the shape of every frame."""
        return (self.height, self.width, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16, the dtype of every frame."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame in memory."""
        return self.width * self.height * 3 * (self.depth // 8)

    @property
    def duration(self) -> Fraction:
        """Seconds that the clip is shown, its last frame included."""
        return self.frames / self.fps

    def describe(self) -> str:
        """The clip in a line for people: ``832x1216, 161 frames at 16 fps, 8 bit``."""
        return f"{self.width}x{self.height}, {self.frames} frames at {show_rate(self.fps)} fps, {self.depth} bit"


def show_rate(fps: Fraction) -> str:
    """A rate for people: ``24``, ``12.5``, ``23.976``."""
    return f"{float(fps):.3f}".rstrip("0").rstrip(".")


class Clip:
    """A stream of frames held to its spec while it flows; can be iterated once.

    Iterating raises StageFailed, naming ``made_by``, at the first frame of the wrong shape or dtype, at one
    frame too many, and at the end if frames are missing. Closing it closes the stream it reads from.
    """

    def __init__(self, spec: ClipSpec, source: Iterator[Frame], made_by: str = "clip") -> None:
        self.spec = spec
        self._source = source
        self._made_by = made_by
        self._taken = False

    def __iter__(self) -> Iterator[Frame]:
        if self._taken:
            raise RuntimeError(f"the clip of {self._made_by} was already read; a clip is read once")
        self._taken = True
        return self._check()

    def close(self) -> None:
        """Stop the stream early and let its makers clean up."""
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _check(self) -> Iterator[Frame]:
        spec, seen = self.spec, 0
        try:
            for frame in self._source:
                seen += 1
                if seen > spec.frames:
                    raise StageFailed(f"{self._made_by}: made more than its {spec.frames} frames")
                if not isinstance(frame, np.ndarray):
                    raise StageFailed(f"{self._made_by}: frame {seen - 1} is a {type(frame).__name__}, not an array")
                if frame.shape != spec.shape or frame.dtype != spec.dtype:
                    raise StageFailed(
                        f"{self._made_by}: frame {seen - 1} is {frame.shape} {frame.dtype}, "
                        f"promised was {spec.shape} {spec.dtype}"
                    )
                yield cast(Frame, np.ascontiguousarray(frame))
            if seen != spec.frames:
                raise StageFailed(f"{self._made_by}: made {seen} frames, promised were {spec.frames}")
        finally:
            self.close()
