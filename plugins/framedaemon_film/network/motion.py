"""Flow between two frames, coarse to fine: at each size what the coarser flow leaves over is added.

flow ─▶ doubled ─▶ x1's features looked up along it ─▶ ┐
                        x0's half of the predictor ─▶ + ─▶ predictor ─▶ + doubled flow
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from framedaemon_film.network.layers import activate, convolution, empty, strips
from framedaemon_film.network.pyramid import Level, looking
from framedaemon_film.network.warp import warp
from framedaemon_film.shapes import FUSED, LEVELS, PREDICTORS, features_of, predictor_of


class Predictor:
    """What remains between a frame's features and another's that were moved to it."""

    def __init__(self, tensors: Mapping[str, Tensor], number: int) -> None:
        self._moved = looking(tensors[f"flow.{number}.0.weight"][:, features_of(number) :], None)
        self._rest = [convolution(tensors, f"flow.{number}.{n}") for n in range(1, 5)]

    def __call__(self, half: Tensor, moved: Tensor) -> Tensor:
        """half: `Level.half` of the frame.  moved: the other's `Level.seen`.  Returns (B, 2, h, w) float32, pixels."""
        x = activate(self._moved(moved).add_(half))
        *hidden, last = self._rest
        for each in hidden:
            x = each.active(x)
        return last(x).float()


class Motion:
    """Two frames' levels to the flow from the one to the other."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """tensors: those of `shapes.SHAPES`."""
        self._predictors = [Predictor(tensors, number) for number in range(PREDICTORS)]

    def __call__(self, f0: Sequence[Level], f1: Sequence[Level]) -> list[Tensor]:
        """For the five finest levels, fine to coarse: where each pixel of f0's frame is in f1's.

        Returns (B, 2, h, w) float32, (dx, dy) in the level's own pixels.
        """
        flows: list[Tensor] = []
        coarsest = LEVELS - 1
        flow = self._predictors[predictor_of(coarsest)](f0[coarsest].half, f1[coarsest].seen)
        for level in range(coarsest - 1, -1, -1):
            flow = functional.interpolate(2 * flow, scale_factor=2, mode="bilinear", align_corners=False)
            flow = self._refine(level, flow, f0[level].half, f1[level].seen)
            if level < FUSED:
                flows.insert(0, flow)
        return flows

    def _refine(self, level: int, flow: Tensor, half: Tensor, seen: Tensor) -> Tensor:
        refined = empty(half, 2, flow.shape[2], flow.shape[3], torch.float32)
        for strip in strips(seen, halo=4):  # three convolutions of 3x3, and halos are even
            moved = warp(seen, strip.wide(flow), strip.first)
            left = self._predictors[predictor_of(level)](strip.wide(half), moved)
            torch.add(strip.rows(flow), strip.inner(left), out=strip.rows(refined))
        return refined
