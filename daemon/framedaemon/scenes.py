"""Whether two neighbouring frames belong to different scenes, so that nothing can be drawn between them.

    x0, x1 ─▶ grey, small ─▶ alike? ─▶ no cut
                             └▶ flow both ways ─▶ how much of it leads there and back, to what looks the same?
                                                  └▶ little: a cut

Within a scene, most of the picture can be followed to the next frame and back to where it was; across a cut, flow
leads anywhere, and where there is little to hold on to it stays where it is: so what it finds there must look alike
too. The figures that the thresholds stand between: docs/interpolation.md.

Imports OpenCV: import it only where frames are worked on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from framedaemon.clip import Frame

FlowField: TypeAlias = npt.NDArray[np.float32]
"""(h, w, 2): for each pixel how far the picture there moves, (dx, dy) in pixels, positive right and down."""

_Picture: TypeAlias = npt.NDArray[np.float32]

_NOTHING: Any = None  # for OpenCV's arguments that may be left out, whatever its type stubs say

_SIDE = 256  # pixels, the longer one: as much as is needed to follow a scene
_ALIKE_LEVELS = 6.0  # mean difference in 8-bit levels: frames closer than this may be mixed, cut or not
CUT_SHARE = 0.2  # of the picture; across cuts 0.09 at most was seen, within scenes 0.3 at least
_LOOKS_THE_SAME = 0.5  # mean difference over a patch, in standard deviations of the picture
_PATCH = (7, 7)

# Vectors are compared at about this many places.
_SAMPLES = 4096
# A vector and its return agree when they miss by less than this: so many pixels, and this share of their length.
_MISS_PIXELS = 0.7
_MISS_SHARE = 0.1


def is_cut(x0: Frame, x1: Frame) -> bool:
    """Whether a new scene begins with ``x1``.

    x0, x1: (H, W, 3) uint8 or uint16, of one shape and dtype.
    """
    return followed(x0, x1) < CUT_SHARE


def followed(x0: Frame, x1: Frame) -> float:
    """The share of the picture, 0..1, that can be followed from one frame to the other and back; 1 for a like pair."""
    grey0, grey1 = _reduce(x0), _reduce(x1)
    if float(cv2.absdiff(grey0, grey1).mean()) < _ALIKE_LEVELS:
        return 1.0
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    dis.setFinestScale(1)
    forward = cast(FlowField, dis.calc(grey0, grey1, _NOTHING))
    backward = cast(FlowField, dis.calc(grey1, grey0, _NOTHING))
    even0, even1 = _evened(grey0), _evened(grey1)
    return min(
        float((_returns(there, back) & _same(here, other, there)).mean())
        for there, back, here, other in ((forward, backward, even0, even1), (backward, forward, even1, even0))
    )


def flow_agreement(forward: FlowField, backward: FlowField) -> float:
    """The share of the frame, 0..1, whose vectors lead there and back again; of both ways the lower one.

    forward: from x0 to x1, on x0's pixels.  backward: from x1 to x0, on x1's.
    """
    return float(min(_returns(forward, backward).mean(), _returns(backward, forward).mean()))


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> FlowField:
    """Each pixel's own place: (height, width, 2), read-only."""
    places = np.empty((height, width, 2), np.float32)
    places[..., 0] = np.arange(width, dtype=np.float32)
    places[..., 1] = np.arange(height, dtype=np.float32)[:, None]
    places.flags.writeable = False
    return places


def _reduce(frame: Frame) -> npt.NDArray[np.uint8]:
    """The frame in grey, (h, w), its longer side `_SIDE` at most."""
    height, width = frame.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    small = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return cast(
        "npt.NDArray[np.uint8]", small if small.dtype == np.uint8 else cv2.convertScaleAbs(small, alpha=1 / 257)
    )


def _returns(there: FlowField, back: FlowField) -> npt.NDArray[np.bool_]:
    """Whether the vectors lead to where ``back`` leads from, at about `_SAMPLES` places."""
    vectors, places = _sampled(there), _sampled(_grid(*there.shape[:2]))
    returned = cv2.remap(back, places + vectors, _NOTHING, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    miss = np.hypot(*np.moveaxis(vectors + returned, -1, 0))
    length = np.hypot(*np.moveaxis(vectors, -1, 0))
    return cast("npt.NDArray[np.bool_]", miss < _MISS_PIXELS + _MISS_SHARE * length)


def _same(here: _Picture, other: _Picture, there: FlowField) -> npt.NDArray[np.bool_]:
    """Whether the vectors lead from ``here`` to what looks alike in ``other``, at the places of `_returns`."""
    moved = cv2.remap(other, _grid(*here.shape) + there, _NOTHING, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _sampled(cast(_Picture, cv2.blur(cv2.absdiff(here, moved), _PATCH))) < _LOOKS_THE_SAME


def _evened(grey: npt.NDArray[np.uint8]) -> _Picture:
    """The picture about 0, in its standard deviations: a fade or another exposure changes nothing."""
    centred = grey.astype(np.float32) - np.float32(grey.mean())
    return cast(_Picture, centred / np.float32(max(4.0, grey.std())))  # 4 levels: noise of a picture that is all black


def _sampled(field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    step = max(1, round((field.shape[0] * field.shape[1] / _SAMPLES) ** 0.5))
    return np.ascontiguousarray(field[step // 2 :: step, step // 2 :: step])
