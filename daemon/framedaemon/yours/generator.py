"""yours: a band of light wanders over the picture.

A generator makes the frames of a clip from what was dropped. `promise` says what it will give and `estimate` what that
takes, both at once and with nothing loaded; what `load` yields does the work, one frame at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import ClassVar

import numpy as np
from pydantic import Field

from framedaemon import (
    ClipSpec,
    Estimate,
    Frame,
    Generate,
    GeneratorOptions,
    JobRejected,
    Machine,
    Picture,
    Placement,
    Scratch,
    Source,
    SourceKind,
    hookimpl,
)


class YoursOptions(GeneratorOptions):
    """What a recipe may say under [generate], beside what every generator understands."""

    light: float = Field(0.6, ge=0, le=1)
    """How much brighter the band is than the rest: at 0 there is none."""


class Yours:
    """A band of light wanders over the picture."""

    name: ClassVar[str] = "yours"
    summary: ClassVar[str] = "a band of light wanders over the picture"
    options: ClassVar[type[GeneratorOptions]] = YoursOptions
    accepts: ClassVar[frozenset[SourceKind]] = frozenset({"picture"})
    preference: ClassVar[int] = -1  # below 0: taken only where a recipe names it
    seeks: ClassVar[bool] = True  # begins at any frame: a job that was cut short goes on from there

    def unready(self, machine: Machine) -> str | None:
        return None  # or what is missing here, and the command that mends it

    def promise(self, takes: Source, options: YoursOptions) -> ClipSpec:
        if not isinstance(takes, Picture):
            raise JobRejected("[generate] use: yours takes pictures, and this is a video")
        if (options.width or takes.width, options.height or takes.height) != (takes.width, takes.height):
            raise JobRejected(f"[generate] width, height: yours keeps the size, {takes.width}x{takes.height}")
        return ClipSpec(takes.width, takes.height, options.frames or 48, options.fps or Fraction(16))

    def estimate(self, takes: Source, gives: ClipSpec, options: YoursOptions) -> Estimate:
        # The frame as float32, and the frame itself: 4 bytes a sample, and 1.
        return Estimate(ram=5 * gives.frame_bytes, seconds=gives.frames * gives.frame_bytes * 5e-9)

    @contextmanager
    def load(self, placement: Placement, options: YoursOptions) -> Iterator[Generate]:
        def generate(source: Source, scratch: Scratch) -> Iterator[Frame]:
            assert isinstance(source, Picture)
            frames = self.promise(source, options).frames
            for number in range(scratch.start, frames):
                yield draw(source, number / frames, options.light)

        yield generate  # a model would be loaded above this line, and given back below it


def draw(picture: Picture, time: float, light: float) -> Frame:
    """The picture at ``time``, 0 at the beginning of the clip and 1 at its end."""
    across = np.linspace(0, 1, picture.width, dtype=np.float32)
    gain = 1 + light * np.exp(-(((across - time) / 0.1) ** 2))
    samples = picture.pixels * gain[None, :, None]
    np.minimum(samples, 255, out=samples)
    frame: Frame = samples.astype(np.uint8)
    return frame


@hookimpl
def generators() -> Sequence[Yours]:
    """What this plugin offers."""
    return [Yours()]
