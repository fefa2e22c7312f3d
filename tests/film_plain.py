"""FILM as people run it: the paper's network written down plainly, everything eager, whole maps, nothing kept.

Tests hold the plugin's form against this one, and the benchmark times it beside it. Functions of the 82 tensors by
their published names: nothing is shared with what it checks.

Source: FILM (Reda et al. 2022), and the names, shapes and settings of the public PyTorch checkpoint.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

Weights: TypeAlias = Mapping[str, Tensor]

LEVELS, FUSED, SPECIAL, SUBLEVELS = 7, 5, 3, 4


def make_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Made-up weights that anyone can make again, by their published names: the name's crc32 is the seed."""
    made = {}
    for name, shape in shapes.items():
        numbers = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
        scale = 0.02 if name.endswith("bias") else (1.0 / np.prod(shape[1:])) ** 0.5
        made[name] = torch.from_numpy(numbers * np.float32(scale))
    return made


@torch.inference_mode()
def draw(weights: Weights, x0: Tensor, x1: Tensor, time: float) -> Tensor:
    """The frame at ``time`` (0..1) between two.

    x0, x1: (B, 3, H, W), 0..1, sides multiples of 64.  Returns (B, 3, H, W), any range.
    """
    images = [_images(x0), _images(x1)]
    features = [_features(weights, pyramid) for pyramid in images]
    forward = _flows(weights, features[0], features[1])[:FUSED]
    backward = _flows(weights, features[1], features[0])[:FUSED]
    levels = []
    for level in range(FUSED):
        to_x0, to_x1 = backward[level] * time, forward[level] * (1 - time)
        moved0 = warp(torch.cat([images[0][level], features[0][level]], 1), to_x0)
        moved1 = warp(torch.cat([images[1][level], features[1][level]], 1), to_x1)
        levels.append(torch.cat([moved0, moved1, to_x0, to_x1], 1))
    return _fuse(weights, levels)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """``image`` looked up where ``flow`` points, (dx, dy) pixels; beyond the border the border's values."""
    _, _, height, width = image.shape
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=3)
    return nn.grid_sample(image, grid.to(image.dtype), padding_mode="border", align_corners=False)


def _convolve(weights: Weights, name: str, x: Tensor, active: bool = True) -> Tensor:
    weight = weights[f"{name}.weight"]
    if weight.shape[-1] == 2:
        x = nn.pad(x, (0, 1, 0, 1))
    x = nn.conv2d(x, weight, weights[f"{name}.bias"], padding=int(weight.shape[-1] == 3))
    return nn.leaky_relu(x, 0.2) if active else x


def _images(x: Tensor) -> list[Tensor]:
    pyramid = [x]
    for _ in range(LEVELS - 1):
        pyramid.append(nn.avg_pool2d(pyramid[-1], 2))
    return pyramid


def _features(weights: Weights, images: Sequence[Tensor]) -> list[Tensor]:
    trees = []
    for level, image in enumerate(images):
        tree = []
        x = image
        for sub in range(min(SUBLEVELS, LEVELS - level)):
            x = _convolve(weights, f"extract.extract_sublevels.convs.{sub}.0.0", x if sub == 0 else nn.avg_pool2d(x, 2))
            x = _convolve(weights, f"extract.extract_sublevels.convs.{sub}.1.0", x)
            tree.append(x)
        trees.append(tree)
    return [
        torch.cat([trees[level - sub][sub] for sub in range(min(SUBLEVELS, level + 1))], 1) for level in range(LEVELS)
    ]


def _flows(weights: Weights, source: Sequence[Tensor], target: Sequence[Tensor]) -> list[Tensor]:
    """For each level the flow from ``source``'s pixels to ``target``'s, (B, 2, h, w)."""
    flow = _predict(weights, LEVELS - 1, source[-1], target[-1])
    pyramid = [flow]
    for level in range(LEVELS - 2, -1, -1):
        flow = nn.interpolate(flow * 2, scale_factor=2, mode="bilinear", align_corners=False)
        flow = flow + _predict(weights, level, source[level], warp(target[level], flow))
        pyramid.insert(0, flow)
    return pyramid


def _predict(weights: Weights, level: int, source: Tensor, moved: Tensor) -> Tensor:
    name = "predict_flow._predictor" if level >= SPECIAL else f"predict_flow._predictors.{SPECIAL - 1 - level}"
    x = torch.cat([source, moved], 1)
    for number in range(4):
        x = _convolve(weights, f"{name}._convs.{number}.0", x)
    return _convolve(weights, f"{name}._convs.4.0", x, active=False)


def _fuse(weights: Weights, levels: Sequence[Tensor]) -> Tensor:
    x = levels[-1]
    for number in range(FUSED - 1):
        level = levels[FUSED - 2 - number]
        x = nn.interpolate(x, scale_factor=2, mode="nearest")
        x = _convolve(weights, f"fuse.convs.{number}.0.0", x, active=False)
        x = _convolve(weights, f"fuse.convs.{number}.1.0", torch.cat([level, x], 1))
        x = _convolve(weights, f"fuse.convs.{number}.2.0", x)
    return _convolve(weights, "fuse.output_conv", x, active=False)
