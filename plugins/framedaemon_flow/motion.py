"""How two neighbouring frames move into each other: dense flow both ways, and whether it is to be believed.

    x0 ──▶ grey, half size ──┬─▶ DIS ─▶ forward  (x0 to x1) ─┐
    x1 ──▶ grey, half size ──┴─▶ DIS ─▶ backward (x1 to x0) ─┴─▶ agreement ─▶ cut or not

Flows are (h, w, 2) float32 in pixels of the reduced frame, (dx, dy), positive right and down: the picture at p in the
one frame is at p + flow(p) in the other. Each pair is looked at by itself, so that pairs can be looked at in parallel
and no mistake outlives its pair.

Imports OpenCV: import it only where the stage is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from framedaemon import Frame
from framedaemon_flow.effort import Effort, scale_for

Grey: TypeAlias = npt.NDArray[np.uint8]
Field: TypeAlias = npt.NDArray[np.float32]
"""(h, w, 2): a vector for each pixel."""

NOTHING: Any = None
"""For OpenCV's arguments that may be left out, whatever its type stubs say."""

# DIS looks at patches of 8 pixels; a coarser finest level than this fits no patch into the frame (and makes OpenCV
# choose levels of its own, which then stay with the object).
_LEAST_FOR_LEVEL_1 = 64

# A vector is dropped where over a patch it leaves clearly more of the difference than no vector at all would: noise,
# and things that are only in one of the frames. Stricter tests lose motion in noisy clips (docs/flow.md).
_PATCH = (7, 7)
_WORSE_SHARE = 0.8
_WORSE_LEVELS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What moved where between two frames."""

    forward: Field
    """From x0 to x1, on x0's pixels."""
    backward: Field
    """From x1 to x0, on x1's pixels."""


def reduce(frame: Frame) -> Grey:
    """The frame in grey, its sides divided by `scale_for`, rounded up.

    frame: (H, W, 3) uint8 or uint16.  Returns (h, w) uint8.
    """
    height, width = frame.shape[:2]
    scale = scale_for(height, width)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    if scale == 2:
        if height % 2 or width % 2:
            grey = cv2.copyMakeBorder(grey, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    if grey.dtype == np.uint16:
        grey = cv2.convertScaleAbs(grey, alpha=1 / 257)
    return cast(Grey, grey)


def find_flow(grey0: Grey, grey1: Grey, effort: Effort) -> Field:
    """Where each pixel of ``grey0`` went in ``grey1``; nowhere, where that explains the change worse than stillness.

    Source: DIS (Kroeger et al. 2016), OpenCV's, with its variational refinement.
    """
    level = min(effort.finest_level, _coarsest_level(grey0.shape[0], grey0.shape[1]))
    # A fresh one each time: it keeps buffers, is not to be shared by threads, and remembers levels across sizes.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(level)
    dis.setPatchStride(effort.stride)
    dis.setGradientDescentIterations(effort.descents)
    dis.setVariationalRefinementIterations(effort.refinements)
    flow = cast(Field, dis.calc(grey0, grey1, NOTHING))
    return flow * _believed(flow, grey0, grey1)[..., None]


@lru_cache(maxsize=4)
def grid(height: int, width: int) -> Field:
    """Each pixel's own place: (height, width, 2) float32, read-only."""
    places = np.empty((height, width, 2), np.float32)
    places[..., 0] = np.arange(width, dtype=np.float32)
    places[..., 1] = np.arange(height, dtype=np.float32)[:, None]
    places.flags.writeable = False
    return places


def look_up(field: Field, places: Field) -> Field:
    """``field`` at ``places``, between pixels by linear interpolation, beyond the border the border's."""
    return cast(Field, cv2.remap(field, places, NOTHING, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _believed(flow: Field, grey0: Grey, grey1: Grey) -> npt.NDArray[np.float32]:
    """1 where the flow explains the change better than standing still, 0 where it does not, with soft edges."""
    moved = cv2.remap(grey1, grid(*grey0.shape) + flow, NOTHING, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    left = cv2.boxFilter(cv2.absdiff(grey0, moved), cv2.CV_32F, _PATCH)
    still = cv2.boxFilter(cv2.absdiff(grey0, grey1), cv2.CV_32F, _PATCH)
    better = still > _WORSE_SHARE * left - _WORSE_LEVELS
    return cast(npt.NDArray[np.float32], cv2.blur(better.astype(np.float32), _PATCH))


def _coarsest_level(height: int, width: int) -> int:
    """The highest finest level that leaves DIS at least one coarser one."""
    shorter = min(height, width)
    return max(0, (shorter // _LEAST_FOR_LEVEL_1).bit_length())
