"""Where the camera looks in each frame: pure geometry.

A view is a rectangle of the clip's aspect, laid into the picture: its centre (x, y) and width in source
pixels, and a roll in radians. Source pixels are unit squares, so the picture spans [0, W] x [0, H] and a view
of the whole picture has its centre at (W/2, H/2).

    picture ┌────────────────────────┐
            │   ┌ full ──────────┐   │   full: the largest view of the clip's aspect, as near to
            │   │   ┌ view ──┐   │   │   `focus` as it can lie
            │   │   └────────┘   │   │
            └───┴────────────────┴───┘

Every view of every move lies inside the picture: no border is ever shown, and nothing is stretched.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from framedaemon_camera.options import CameraOptions

Floats: TypeAlias = npt.NDArray[np.float64]

_MOST_ROLL = math.radians(0.6)  # a hand's: more is seen as a tilted horizon
_DRIFT_HZ = (0.07, 0.13, 0.29)  # slow breath, sway, tremor; no one a multiple of another
_DRIFT_WEIGHTS = (0.55, 0.3, 0.15)


@dataclass(frozen=True, slots=True)
class Views:
    """Views of some frames, each field (n,)."""

    x: Floats
    y: Floats
    width: Floats
    roll: Floats


@dataclass(frozen=True, slots=True)
class Path:
    """The whole move over one picture; frame by frame, it is asked for views."""

    picture: tuple[int, int]
    """(W, H) in pixels."""
    clip: tuple[int, int]
    """(W, H) in pixels."""
    frames: int
    seconds: float
    """How long the clip is shown; a drift's pace is in seconds, not in frames."""
    options: CameraOptions
    seed: int

    def views(self, first: int, count: int = 1) -> Views:
        """The views of frames ``first`` to ``first + count - 1``."""
        index = np.arange(first, first + count, dtype=np.float64)
        move = self.options.move
        if move in ("push_in", "pull_out"):
            return self._push(self._progress(index))
        if move == "orbit":
            return self._orbit(index)
        if move == "drift":
            return self._drift(index)
        return self._pan(self._progress(index))

    def _progress(self, index: Floats) -> Floats:
        """How far along the move each frame is: 0..1, or 0..1..0 when it loops."""
        if self.options.loop:
            return _ease(1 - np.abs(2 * index / self.frames - 1), self.options.easing)
        return _ease(index / max(1, self.frames - 1), self.options.easing)

    def _full(self) -> tuple[float, float]:
        """(width, height) of the largest view."""
        (width, height), (clip_width, clip_height) = self.picture, self.clip
        scale = min(width / clip_width, height / clip_height)
        return scale * clip_width, scale * clip_height

    def _centre(self, axis: int, extent: float) -> float:
        """Where ``extent`` pixels along ``axis`` lie nearest to the focus and inside the picture."""
        side = self.picture[axis]
        return max(extent / 2, min(side - extent / 2, self.options.focus[axis] * side))

    def _push(self, progress: Floats) -> Views:
        closest = 1 - self.options.amount
        # Equal steps in the logarithm: the picture grows by the same factor in each frame.
        scale = closest ** (progress if self.options.move == "push_in" else 1 - progress)
        # In step with the scale, so that each view lies inside the one before.
        near = (1 - scale) / (1 - closest)
        x, y = (
            far + near * (self._centre(axis, closest * extent) - far)
            for axis, extent in enumerate(self._full())
            for far in (self._centre(axis, extent),)
        )
        return Views(x, y, scale * self._full()[0], np.zeros_like(scale))

    def _pan(self, progress: Floats) -> Views:
        move, amount = self.options.move, self.options.amount
        axis = 0 if move in ("pan_left", "pan_right") else 1
        full = self._full()
        side = self.picture[axis]
        scale = min(1.0, (1 - amount) * side / full[axis])
        travel = amount * side * (progress - 0.5) * (1 if move in ("pan_right", "tilt_down") else -1)
        at = [np.full_like(progress, self._centre(i, scale * full[i])) for i in (0, 1)]
        at[axis] = self._centre(axis, scale * full[axis] + amount * side) + travel
        return Views(at[0], at[1], np.full_like(progress, scale * full[0]), np.zeros_like(progress))

    def _orbit(self, index: Floats) -> Views:
        """Once round, nearer at the top than at the bottom."""
        amount, full = self.options.amount, self._full()
        turn = index / self.frames if self.options.loop else _ease(index / self.frames, self.options.easing)
        angle = 2 * np.pi * turn
        scale = 1 - amount * (0.9 + 0.1 * np.cos(angle))  # the circle fits the widest: 1 - 0.8 * amount
        radius = 0.4 * amount * min(full)
        x = self._centre(0, full[0]) + radius * np.sin(angle)
        y = self._centre(1, full[1]) - radius * np.cos(angle)
        return Views(x, y, scale * full[0], np.zeros_like(angle))

    def _drift(self, index: Floats) -> Views:
        """A steady hand's wander, never twice the same for two seeds."""
        amount, (width, height) = self.options.amount, self._full()
        throws = random.Random(self.seed)  # noqa: S311  (a camera's sway, no secret)
        sway_x, sway_y, sway_zoom, sway_roll = (self._sway(index, throws) for _ in range(4))
        scale = 1 - amount * (0.8 + 0.2 * sway_zoom)
        # Half the room that the smallest margin leaves, so that a roll never eats it all.
        most = min(_MOST_ROLL, 0.25 * amount * min(width, height) / max(width, height))
        roll = most * sway_roll
        cos, sin = np.cos(roll), np.abs(np.sin(roll))
        room_x = (width - scale * (width * cos + height * sin)) / 2
        room_y = (height - scale * (height * cos + width * sin)) / 2
        x = self._centre(0, width) + room_x * sway_x
        y = self._centre(1, height) + room_y * sway_y
        return Views(x, y, scale * width, roll)

    def _sway(self, index: Floats, throws: random.Random) -> Floats:
        """A smooth wander in -1..1."""
        total = np.zeros_like(index)
        for least, (hertz, weight) in enumerate(zip(_DRIFT_HZ, _DRIFT_WEIGHTS, strict=True), start=1):
            cycles = hertz * (0.8 + 0.4 * throws.random()) * self.seconds
            if self.options.loop:
                cycles = max(least, round(cycles))
            total += weight * np.sin(2 * np.pi * (cycles * index / self.frames + throws.random()))
        return total


def _ease(progress: Floats, easing: str) -> Floats:
    """``progress`` 0..1 to 0..1, at rest where the easing says so."""
    if easing == "ease_in":
        return progress**2
    if easing == "ease_out":
        return 1 - (1 - progress) ** 2
    if easing == "ease_in_out":
        return progress**2 * (3 - 2 * progress)
    return progress
