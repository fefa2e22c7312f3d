"""What depends on one frame alone: its image and features at each size, fine to coarse.

Each image of the pyramid goes through the same tree of four stages, which halve the size and double the channels. The
features of a level are what the trees of this image and of finer ones have at its size:

    image 0 ─▶ 64 ─▶ 128 ─▶ 256 ─▶ 512
    image 1         ─▶ 64 ─▶ 128 ─▶ 256 ─▶ 512
    image 2                ─▶ 64 ─▶ 128 ─▶ 256 …
    channels   64    192     448     960     960 …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from framedaemon_film.network.layers import Convolution, convolution, empty, strips
from framedaemon_film.shapes import LEVELS, PREDICTORS, STAGES, features_of, predictor_of

_NARROWEST = 64  # channels of the first stage


class Level(NamedTuple):
    """What is known of a frame at one size; a frame's levels lie fine to coarse."""

    seen: Tensor
    """(B, 3 + 64 to 960, h, w): the image, then its features."""
    half: Tensor
    """(B, 32 to 256, h, w): what the frame itself adds to its flow predictor's first convolution."""


class Pyramid:
    """Frames to their levels."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """tensors: those of `shapes.SHAPES`."""
        self._tree = [tuple(convolution(tensors, f"extract.{stage}.{n}") for n in range(2)) for stage in range(STAGES)]
        self._halves = [
            looking(tensors[f"flow.{number}.0.weight"][:, : features_of(number)], tensors[f"flow.{number}.0.bias"])
            for number in range(PREDICTORS)
        ]

    def __call__(self, x: Tensor) -> tuple[Level, ...]:
        """x: (B, 3, H, W) in 0..1, channels last, sides multiples of 64."""
        images = [x]
        while len(images) < LEVELS:
            images.append(functional.avg_pool2d(images[-1], 2))
        seen = [empty(x, 3 + features_of(level), *image.shape[2:]) for level, image in enumerate(images)]
        for level, image in enumerate(images):
            seen[level][:, :3] = image
            self._grow(image, seen[level : level + STAGES])
        return tuple(Level(each, self._halves[predictor_of(level)](each)) for level, each in enumerate(seen))

    def _grow(self, image: Tensor, seen: Sequence[Tensor]) -> None:
        """The tree over ``image``, into the channels that are its; ``seen``: from the image's own level on."""
        x = image
        for (first, second), found in zip(self._tree, seen, strict=False):
            channels = second.weight.shape[0]
            begin = 3 + channels - _NARROWEST  # behind the image and all narrower stages
            own = found[:, begin : begin + channels]
            smaller = empty(x, channels, x.shape[2] // 2, x.shape[3] // 2)
            for strip in strips(x, halo=2):
                grown = strip.inner(second.active(first.active(strip.wide(x))))
                strip.rows(own).copy_(grown)
                if found is not seen[-1]:
                    smaller[:, :, strip.top // 2 : strip.bottom // 2] = functional.avg_pool2d(grown, 2)
            x = smaller


def looking(weight: Tensor, bias: Tensor | None) -> Convolution:
    """A convolution of a level's features (its weight) made one of `Level.seen`: it passes over the image."""
    blind = weight.new_zeros((weight.shape[0], 3, *weight.shape[2:]))
    return Convolution.of(torch.cat([blind, weight], 1), bias)
