"""The moving pattern that interpolators are tested on, and how alike two frames are."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from framedaemon import ClipSpec, Frame, Gap

STEP = (3.0, 1.5)
"""Pixels that the pattern moves from one frame to the next, right and down."""


def draw_pattern(spec: ClipSpec, time: float) -> Frame:
    """A smooth pattern in three colours; at ``time``, counted in source frames, it has moved so many times `STEP`."""
    rows, columns = np.mgrid[0 : spec.height, 0 : spec.width].astype(np.float64)
    x, y = columns - STEP[0] * time, rows - STEP[1] * time
    red = np.sin(x / 5.0) * np.cos(y / 6.5)
    green = np.sin((x + y) / 7.5 + 1.0) * np.cos((x - 2 * y) / 17.0)
    blue = np.cos(x / 8.5 + 2.0) * np.sin(y / 5.5)
    samples = 0.5 + 0.25 * np.stack([red + green, green + blue, blue + red], axis=-1)
    levels = (samples.clip(0, 1) * np.iinfo(spec.dtype).max).round()
    return levels.astype(np.uint8) if spec.depth == 8 else levels.astype(np.uint16)


def moving_frames(spec: ClipSpec) -> list[Frame]:
    """The source clip: the pattern at each whole time, read-only as the daemon hands frames out."""
    frames = [draw_pattern(spec, float(index)) for index in range(spec.frames)]
    for frame in frames:
        frame.flags.writeable = False
    return frames


def gaps_between(frames: Sequence[Frame], times: Sequence[tuple[Fraction, ...]]) -> list[Gap]:
    """Neighbouring gaps that share their frames, with the times that each is asked for."""
    return [Gap(x0, x1, asked) for (x0, x1), asked in zip(pairwise(frames), times, strict=True)]


def difference(one: Frame, two: Frame) -> float:
    """Mean absolute difference, in shares of full range."""
    return float(np.abs(one.astype(np.float64) - two).mean() / np.iinfo(one.dtype).max)


def nearest_gap(frame: Frame, gaps: Sequence[Gap]) -> int:
    """The index of the gap whose two frames are most like ``frame``."""
    return int(np.argmin([difference(frame, gap.x0) + difference(frame, gap.x1) for gap in gaps]))
