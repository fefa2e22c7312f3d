"""The generator: what it promises of a piece of footage, what that costs, and the stream of frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import ClassVar

from framedaemon import (
    ClipSpec,
    Estimate,
    Footage,
    Frame,
    Generate,
    GeneratorOptions,
    JobRejected,
    Machine,
    Placement,
    Scratch,
    Source,
    SourceKind,
)

_HELD_FRAMES = 32
"""Frames that a decoder holds at most: 16 references of H.264, as many again for frame threads and conversion."""
_OVERHEAD_BYTES = 64_000_000
_SECONDS_A_PIXEL = 1.2e-8
"""Decoding and converting on one core: 0.022 s for a 1280x720 frame of H.264, read and drawn pixels counted."""


class VideoOptions(GeneratorOptions):
    """What every generator understands; of these, ``frames``, ``fps``, ``width`` and ``height`` count here."""


class Video:
    """Reads a video file: every frame at its time, as it is meant to be seen."""

    name: ClassVar[str] = "video"
    summary: ClassVar[str] = "takes the frames of a video that was dropped"
    options: ClassVar[type[GeneratorOptions]] = VideoOptions
    accepts: ClassVar[frozenset[SourceKind]] = frozenset({"footage"})
    preference: ClassVar[int] = 10
    seeks: ClassVar[bool] = True

    def unready(self, machine: Machine) -> str | None:
        """Works everywhere."""
        return None

    def promise(self, takes: Source, options: VideoOptions) -> ClipSpec:
        """The footage's own clip; shorter, slower or of another size where the options say so.

        Raises JobRejected for a rate above the footage's own: drawing frames between is an interpolator's work.
        """
        footage = _footage(takes)
        fps = options.fps or footage.fps
        if fps > footage.fps:
            raise JobRejected(
                f"[generate] fps: {fps} is above the video's own {footage.fps}; "
                "leave it out, and say [interpolate] fps for frames between"
            )
        frames = math.ceil((footage.frames - Fraction(1, 2)) * fps / footage.fps)
        width, height = _fit(footage.width, footage.height, options.width, options.height)
        return ClipSpec(width, height, min(frames, options.frames or frames), fps, footage.depth)

    def estimate(self, takes: Source, gives: ClipSpec, options: VideoOptions) -> Estimate:
        """Memory for what a decoder holds, time for decoding and converting."""
        footage = _footage(takes)
        pixels = footage.width * footage.height
        held = pixels * 3 * (footage.depth // 8) * _HELD_FRAMES
        read = gives.frames * footage.fps / gives.fps
        seconds = float(read) * (pixels + gives.width * gives.height) * _SECONDS_A_PIXEL
        return Estimate(ram=held + 4 * gives.frame_bytes + _OVERHEAD_BYTES, seconds=seconds)

    @contextmanager
    def load(self, placement: Placement, options: VideoOptions) -> Iterator[Generate]:
        """Yields the function that streams the frames; closing its stream closes the file."""
        from framedaemon_video import reading  # PyAV loads when a video is read, not when plugins are listed

        def generate(takes: Source, scratch: Scratch) -> Iterator[Frame]:
            footage = _footage(takes)
            gives, passed = self.promise(footage, options), partial(scratch.progress, "pass over what is kept")
            return reading.stream_frames(footage, gives, placement.threads, scratch.start, passed)

        yield generate


def _footage(takes: Source) -> Footage:
    if not isinstance(takes, Footage):
        raise JobRejected("video reads video files; for a picture choose another generator")
    return takes


def _fit(width: int, height: int, wanted_width: int | None, wanted_height: int | None) -> tuple[int, int]:
    """The largest size of the same aspect within what is wanted; a side that follows is made even."""
    if wanted_width is None and wanted_height is None:
        return width, height
    if wanted_width is None or (wanted_height is not None and wanted_height * width < wanted_width * height):
        assert wanted_height is not None
        return (_even(Fraction(width * wanted_height, height), wanted_width), wanted_height)
    return wanted_width, _even(Fraction(height * wanted_width, width), wanted_height)


def _even(side: Fraction, most: int | None) -> int:
    """``side`` to the nearest even number of pixels, or ``most`` where that is less."""
    return min(max(2, 2 * round(side / 2)), most or 2**31)
