"""yours: each frame dissolves into the next.

An interpolator fills gaps. It is given two neighbouring frames and the times that are wanted between them, and answers
with one frame for each time, or with `CUT` where the two do not belong together. It never sees the whole clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
from pydantic import Field

from framedaemon import (
    CUT,
    ClipSpec,
    Estimate,
    Fill,
    Filled,
    Frame,
    Gap,
    InterpolatorOptions,
    Machine,
    Placement,
    hookimpl,
)


class YoursOptions(InterpolatorOptions):
    """What a recipe may say under [interpolate], beside what belongs to the timeline."""

    cut_above: float = Field(0.25, ge=0, le=1)
    """Two frames that differ by more than this share of the range, in the mean, are a cut."""


class Yours:
    """Each frame dissolves into the next."""

    name: ClassVar[str] = "yours"
    summary: ClassVar[str] = "each frame dissolves into the next"
    options: ClassVar[type[InterpolatorOptions]] = YoursOptions
    preference: ClassVar[int] = -1  # below 0: taken only where a recipe names it
    looks_back: ClassVar[int] = 0  # each gap stands alone: a job that was cut short goes on at any of them

    def unready(self, machine: Machine) -> str | None:
        return None  # or what is missing here, and the command that mends it

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: YoursOptions) -> Estimate:
        # Both frames and what lies between as float32, 4 bytes a sample; and all the frames that fill one gap.
        samples = takes.width * takes.height * 3
        in_gap = -(-gives.fps // takes.fps)
        return Estimate(ram=samples * 4 * 4 + in_gap * takes.frame_bytes, seconds=gives.frames * samples * 5e-9)

    @contextmanager
    def load(self, placement: Placement, options: YoursOptions) -> Iterator[Fill]:
        def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
            for gap in gaps:
                yield dissolve(gap, options.cut_above)

        yield fill  # a model would be loaded above this line, and given back below it


def dissolve(gap: Gap, cut_above: float) -> Filled:
    """One frame for each time of the gap; `CUT` where its two frames have too little in common."""
    x0, x1 = gap.x0.astype(np.float32), gap.x1.astype(np.float32)
    if np.abs(x1 - x0).mean() > cut_above * np.iinfo(gap.x0.dtype).max:
        return CUT
    frames: list[Frame] = []
    for time in gap.times:
        samples = x0 + (x1 - x0) * np.float32(time) + np.float32(0.5)
        frames.append(samples.astype(np.uint8) if gap.x0.dtype == np.uint8 else samples.astype(np.uint16))
    return frames


@hookimpl
def interpolators() -> Sequence[Yours]:
    """What this plugin offers."""
    return [Yours()]
