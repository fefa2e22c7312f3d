"""The interpolator that fills gaps along the optical flow between their frames."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ClassVar

from pydantic import Field

from framedaemon import (
    ClipSpec,
    Estimate,
    Fill,
    InterpolatorOptions,
    JobRejected,
    Machine,
    Placement,
)
from framedaemon_flow.effort import EFFORTS, Quality, scale_for

LEAST_SIDE = 16
"""Pixels; a smaller frame has no room for the flow's patches."""
MOST_SIDE = 32_766
"""Pixels; OpenCV's lookups count no further."""


_MOST_THREADS = 8  # more find nothing to do, and each holds a strip

_LIBRARIES = 48 << 20  # bytes: OpenCV, once imported
_FRAMES = 9  # held at once: four sources, what is drawn of them, and copies
_DRAWING_SECONDS = 110e-9  # for a pixel of a filled frame, on one core of a 2.5 GHz server


class FlowOptions(InterpolatorOptions):
    """How much time goes into finding the motion."""

    quality: Quality = Field("good")
    """best: finer motion, for clean pictures with fine detail; takes twice as long."""


class Flow:
    """Optical flow on the CPU: both frames are moved along it, to where they meet."""

    name: ClassVar[str] = "flow"
    summary: ClassVar[str] = "optical flow on the CPU; needs no GPU and no weights"
    options: ClassVar[type[InterpolatorOptions]] = FlowOptions
    preference: ClassVar[int] = 10
    looks_back: ClassVar[int] = 1  # the motion in the gap before bends the paths in this one

    def unready(self, machine: Machine) -> str | None:
        """Works everywhere."""
        return None

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: FlowOptions) -> Estimate:
        """What filling needs: the same for a clip of any length."""
        shorter, longer = sorted((takes.width, takes.height))
        if shorter < LEAST_SIDE or longer > MOST_SIDE:
            raise JobRejected(
                f"[interpolate] use: flow works on frames of {LEAST_SIDE} to {MOST_SIDE} pixels a side, "
                f"and this clip has {takes.width}x{takes.height}"
            )
        effort = EFFORTS[options.quality]
        pixels = takes.width * takes.height
        reduced = pixels / scale_for(takes.height, takes.width) ** 2
        ram = _LIBRARIES + _FRAMES * takes.frame_bytes + int(reduced * effort.bytes)
        seconds = pixels * (takes.frames * effort.seconds + _filled(takes, gives) * _DRAWING_SECONDS)
        return Estimate(ram=ram, seconds=seconds)

    @contextmanager
    def load(self, placement: Placement, options: FlowOptions) -> Iterator[Fill]:
        """Gaps filled by ``placement.threads`` threads; any number of them gives the same frames."""
        import cv2

        from framedaemon_flow.filling import Filler, Here

        # OpenCV would split the flow's work by its own thread count, and the result changes with it. Its setting is
        # the whole process's, so it is put back.
        before = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            if placement.threads <= 1:
                yield Filler(Here(), EFFORTS[options.quality], ahead=1).fill
                return
            threads = min(placement.threads, _MOST_THREADS)
            with ThreadPoolExecutor(threads, thread_name_prefix="flow") as pool:
                # A gap has two flows, so two threads are busy with one gap ahead; more need a second.
                yield Filler(pool, EFFORTS[options.quality], ahead=1 if threads == 2 else 2).fill
        finally:
            cv2.setNumThreads(before)


def _filled(takes: ClipSpec, gives: ClipSpec) -> int:
    """How many frames of the clip stand between two source frames."""
    together = (takes.fps / gives.fps).denominator
    return gives.frames - -(-gives.frames // together)
