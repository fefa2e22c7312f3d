"""A clip longer than the model was trained to draw: segments, each begun with the last frame of the one before.

    frames     0 ────────────── 80
                                80 ────────────── 160        frame 80 is drawn twice and shown once
                                └─ colours of the second are brought to those of the first

What two segments both show tells what the second changed: colours are matched there, so that each is tied to the one
before, and all of them to the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from framedaemon import Frame


@dataclass(frozen=True, slots=True)
class Segment:
    """Some frames of the clip, drawn at once."""

    index: int
    start: int
    """The frame of the clip that it begins with: from the second segment on, one that the segment before shows."""
    frames: int
    """4k + 1."""

    @property
    def stop(self) -> int:
        """One behind its last frame."""
        return self.start + self.frames


def segments_of(frames: int, most: int) -> list[Segment]:
    """As few segments as will do, of nearly the same length, at most ``most`` frames (4k + 1) each.

    ``frames``: of the clip, 4k + 1.
    """
    steps, longest = (frames - 1) // 4, max(1, (most - 1) // 4)
    count = max(1, -(-steps // longest))
    cuts = [steps * number // count for number in range(count + 1)]
    return [Segment(index, 4 * start, 4 * (stop - start) + 1) for index, (start, stop) in enumerate(pairwise(cuts))]


@dataclass(frozen=True, slots=True)
class Match:
    """Takes the colours of one segment to those of the one before: a gain and an offset for R, G and B."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """In levels."""

    def apply(self, frame: Frame) -> Frame:
        """The frame with its colours matched; itself, where there is nothing to do."""
        if self == Match():
            return frame
        import cv2

        levels = np.arange(256, dtype=np.float64)[:, None] * np.array(self.gain) + np.array(self.offset)
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        return cv2.LUT(frame, table.reshape(1, 256, 3)).astype(np.uint8, copy=False)


_MOST = 1.15  # what a model changes within a second is less; more is another picture, and stays


def match_of(drawn: Frame, shown: Frame) -> Match:
    """What takes ``drawn`` to ``shown``, two pictures of one moment: by the mean and deviation of each channel."""
    one, other = drawn.reshape(-1, 3).astype(np.float64), shown.reshape(-1, 3).astype(np.float64)
    spread = one.std(axis=0)
    gain = np.where(spread > 1.0, other.std(axis=0) / np.maximum(spread, 1.0), 1.0).clip(1 / _MOST, _MOST)
    offset = other.mean(axis=0) - gain * one.mean(axis=0)
    return Match(_three(gain), _three(offset))


def drift_of(frame: Frame, picture: Frame) -> dict[str, list[float]]:
    """How far a frame's colours are from the picture's: differences of mean and deviation in CIE L*, a*, b*."""
    mean, spread = (one - other for one, other in zip(_lab(frame), _lab(picture), strict=True))
    return {"mean": [round(float(x), 2) for x in mean], "deviation": [round(float(x), 2) for x in spread]}


def _lab(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import cv2

    small = cv2.resize(frame, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float64)
    return lab.mean(axis=0), lab.std(axis=0)


def _three(numbers: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(number) for number in numbers)
    return red, green, blue
