"""The interpolator that fills gaps along the optical flow between their frames."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ClassVar, Literal

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

LEAST_SIDE = 16
"""Pixels; a smaller frame has no room for the flow's patches."""
MOST_SIDE = 32_766
"""Pixels; OpenCV's lookups count no further."""


class FlowOptions(InterpolatorOptions):
    """How much time goes into finding the motion."""

    quality: Literal["good", "best"] = Field("good")
    """best: finer motion, for clean pictures with fine detail; takes twice as long."""


class Flow:
    """Optical flow on the CPU: both frames are moved along it, to where they meet."""

    name: ClassVar[str] = "flow"
    summary: ClassVar[str] = "optical flow on the CPU; needs no GPU and no weights"
    options: ClassVar[type[InterpolatorOptions]] = FlowOptions
    preference: ClassVar[int] = 10

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
        return Estimate(ram=1 << 30, seconds=1.0)

    @contextmanager
    def load(self, placement: Placement, options: FlowOptions) -> Iterator[Fill]:
        """Gaps filled by ``placement.threads`` threads; any number of them gives the same frames."""
        import cv2

        from framedaemon_flow.filling import Filler, Here
        from framedaemon_flow.motion import EFFORTS

        # OpenCV would split the flow's work by its own thread count, and the result changes with it. Its setting is
        # the whole process's, so it is put back.
        before = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            if placement.threads <= 1:
                yield Filler(Here(), EFFORTS[options.quality], ahead=1).fill
                return
            with ThreadPoolExecutor(placement.threads, thread_name_prefix="flow") as pool:
                yield Filler(pool, EFFORTS[options.quality], ahead=2).fill
        finally:
            cv2.setNumThreads(before)
