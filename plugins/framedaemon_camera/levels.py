"""The picture, kept at the few scales a move needs, each free of what a frame at that scale cannot show.

    picture ─▶ resized to 2.6 samples for each pixel of a frame ─▶ Lanczos: no wave shorter than two pixels

A frame looks up each of its pixels in a level by linear interpolation, at exact coordinates. That is sharp because
samples lie close, and free of shimmer because a level holds no detail that a frame cannot show. A move whose scale
changes has levels a factor of 1.3 apart at most, and a frame between two of them is a mixture of both, by the
logarithm of its scale: nothing pops. Where the picture is enlarged there is nothing to remove, and one level does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framedaemon_camera.moves import Path, Views

# Samples for a pixel. Linear interpolation is softest half-way between two; with 2 or 3 samples, all pixels of a frame
# are half-way at once, and a slow pan breathes: over photos its sharpness (mean squared second difference) changed by
# 4 to 13 % from frame to frame. With 2.6 each frame has pixels at every distance: 0.2 %, as when resampled exactly.
_OVERSAMPLE = 2.6
_STEP = 1.3  # between levels: at worst 1.14 from the nearer one
_REDUCE_BY = 3  # below this ratio Lanczos alone shrinks; above, whole pixels are averaged first
_LEAST_PITCH = 0.25  # source pixels: beyond four samples a source pixel, more look no smoother
_SUPPORT = 3  # of Lanczos-3, in pixels of a frame
_CHUNK = 4096  # frames looked at together


@dataclass(frozen=True, slots=True)
class Level:
    """One scale of the picture, still to be made."""

    scale: float
    """Source pixels for each pixel of a frame; what is finer is removed. 1 at least."""
    region: tuple[float, float, float, float]
    """(left, top, right, bottom) in source pixels: what views of this scale can see."""
    size: tuple[int, int]
    """(W, H) in samples."""

    @property
    def pitch(self) -> tuple[float, float]:
        """Source pixels between two samples, across and down."""
        left, top, right, bottom = self.region
        return (right - left) / self.size[0], (bottom - top) / self.size[1]

    @property
    def factor(self) -> int:
        """Source pixels a side that are averaged before anything else."""
        return max(1, int(self.scale / _REDUCE_BY))

    def crop(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of whole source pixels that the region's filters reach."""
        margin = math.ceil(_SUPPORT * self.scale) + 1
        left, top, right, bottom = self.region
        # Whole blocks of `factor`, so that averaging starts on one.
        x, y = (max(0, int(edge) - margin) // self.factor * self.factor for edge in (left, top))
        return x, y, min(width, math.ceil(right) + margin), min(height, math.ceil(bottom) + margin)


@dataclass(frozen=True, slots=True)
class Ladder:
    """The levels of a move, finest first."""

    levels: tuple[Level, ...]

    def place(self, scale: float) -> tuple[int, float]:
        """Which level a frame at ``scale`` starts from, and how much of the next is mixed in, 0..1."""
        if len(self.levels) == 1:
            return 0, 0.0
        first, second = self.levels[0].scale, self.levels[1].scale
        at = math.log(max(scale, first) / first) / math.log(second / first)
        index = min(int(at), len(self.levels) - 2)
        return index, min(1.0, at - index)


def plan_ladder(path: Path) -> Ladder:
    """The levels that ``path`` needs. Pure, and quick: a million views take a second."""
    scales = [(float(v.width.min()), float(v.width.max())) for v in _chunks(path)]
    nearest = min(low for low, _ in scales) / path.clip[0]
    lowest, highest = max(1.0, nearest), max(1.0, max(high for _, high in scales) / path.clip[0])
    steps = math.ceil(math.log(highest / lowest) / math.log(_STEP) - 1e-9)
    ratio = (highest / lowest) ** (1 / steps) if steps else 1.0
    levels = []
    for step in range(steps + 1):
        scale = lowest * ratio**step
        below = scale / ratio if step else 0.0
        above = scale * ratio if step < steps else math.inf
        region = _seen(path, below * (1 - 1e-9), above * (1 + 1e-9))
        region = _grown(region, 4 * scale + 1, path.picture)
        levels.append(_level(scale, region, nearest if step == 0 else scale))
    return Ladder(tuple(levels))


def _level(scale: float, region: tuple[float, float, float, float], nearest: float) -> Level:
    extent = region[2] - region[0], region[3] - region[1]
    pitch = scale / _OVERSAMPLE if scale > 1 else max(min(nearest, 1.0) / _OVERSAMPLE, _LEAST_PITCH)
    return Level(scale, region, (math.ceil(extent[0] / pitch), math.ceil(extent[1] / pitch)))


def _chunks(path: Path) -> Iterator[Views]:
    for first in range(0, path.frames, _CHUNK):
        yield path.views(first, min(_CHUNK, path.frames - first))


def _seen(path: Path, below: float, above: float) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of what the views see whose scale lies between ``below`` and ``above``."""
    left, top, right, bottom = math.inf, math.inf, -math.inf, -math.inf
    aspect = path.clip[1] / path.clip[0]
    for views in _chunks(path):
        scale = np.maximum(views.width / path.clip[0], 1.0)
        used: npt.NDArray[np.bool_] = (scale >= below) & (scale <= above)
        if not used.any():
            continue
        cos, sin = np.abs(np.cos(views.roll)), np.abs(np.sin(views.roll))
        half_x = (views.width * (cos + aspect * sin) / 2)[used]
        half_y = (views.width * (aspect * cos + sin) / 2)[used]
        x, y = views.x[used], views.y[used]
        left, right = min(left, float((x - half_x).min())), max(right, float((x + half_x).max()))
        top, bottom = min(top, float((y - half_y).min())), max(bottom, float((y + half_y).max()))
    # A level that a short, fast move skips is never made: any region will do.
    return (left, top, right, bottom) if left < right else (0.0, 0.0, 1.0, 1.0)


def _grown(
    region: tuple[float, float, float, float], margin: float, picture: tuple[int, int]
) -> tuple[float, float, float, float]:
    left, top, right, bottom = region
    return (
        max(0.0, left - margin),
        max(0.0, top - margin),
        min(float(picture[0]), right + margin),
        min(float(picture[1]), bottom + margin),
    )
