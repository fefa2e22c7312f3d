"""Which output frame lies between which source frames, and where: exact rational arithmetic, no frames.

    source   0        1        2        3            at i / source_fps
    output   0   1    2    3   4    5   6            at j / target_fps

Output frame j stands at the time j / target_fps. Where that is the time of a source frame it *is* the source
frame; else it lies in the gap after source frame ``index``, at ``t`` of the way (0 < t < 1) to the next one.
An open timeline ends with the last source frame or just before it; a looped one also fills the seam from the
last source frame back to the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment between two source frames."""

    index: int
    """The source frame at or before it."""
    t: Fraction
    """How far to the next source frame: 0 <= t < 1; 0 is the source frame itself."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where to begin so that the output clip goes on in its middle as it would have from its start."""

    source: int = 0
    """The source frame to begin with."""
    woven: int = 0
    """The first output frame that stands at it or behind it."""
    shown: int = 0
    """The output frame that is wanted first; those before it are woven and let go."""


START = Beginning()
"""Where a whole clip begins."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The times of ``source_frames`` frames at ``source_fps``, shown at ``target_fps``."""

    source_frames: int
    source_fps: Fraction
    target_fps: Fraction
    loop: bool = False
    dedupe: bool = False
    """Whether frames that repeat the one before are dropped while weaving: what lies between the rest is filled."""

    def __post_init__(self) -> None:
        if self.source_frames < 1 or self.source_fps <= 0 or self.target_fps <= 0:
            raise ValueError("a timeline needs a frame and rates above zero")

    @property
    def step(self) -> Fraction:
        """Source frames between two output frames."""
        return self.source_fps / self.target_fps

    @property
    def frames(self) -> int:
        """How many output frames there are, exactly."""
        if self.loop:
            return -int(-self.source_frames // self.step)
        return int((self.source_frames - 1) // self.step) + 1

    def instant(self, j: int) -> Instant:
        """Where output frame ``j`` stands."""
        position = j * self.step
        index = int(position)
        return Instant(index, position - index)

    def beginning(self, j: int, looks_back: int = 0) -> Beginning:
        """Where to begin for output frame ``j``: at the start of its gap, and ``looks_back`` gaps before that."""
        source = max(0, self.instant(j).index - looks_back)
        return Beginning(source, -int(-source // self.step), j)

    def times(self, begin: Beginning = START) -> Iterator[tuple[int, tuple[Fraction, ...]]]:
        """For each source frame i from ``begin`` on: (i, the output times in [i, i + 1) as fractions of the gap).

        A source frame that is shown has 0 first among its times; one that is passed over has none.
        """
        j, total = begin.woven, self.frames
        for index in range(begin.source, self.source_frames):
            times = []
            while j < total and (instant := self.instant(j)).index == index:
                times.append(instant.t)
                j += 1
            yield index, tuple(times)

    def shown_sources(self) -> Iterator[tuple[int, int]]:
        """(output frame, source frame) for each output frame that is an untouched source frame."""
        every = self.step.denominator
        for j in range(0, self.frames, every):
            yield j, self.instant(j).index
