"""Convolutions with their weights, and strips of rows to put through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_CPU_STRIP = 1 << 16  # pixels: 64 float32 maps of them are 16 MB; with fewer, the rows that are worked out twice count
_GPU_STRIP = 1 << 20  # fills any GPU; all the maps that a strip of 4K passes through then take half a gigabyte


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """Weights of one convolution; zeros stand beyond the border, and the size stays."""

    weight: Tensor
    """(out, in, side, side), side 1 or 3."""
    bias: Tensor | None

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> Convolution:
        """``weight`` laid out for maps that have all channels of a pixel together."""
        return cls(weight.contiguous(memory_format=torch.channels_last), bias)

    def __call__(self, x: Tensor) -> Tensor:
        """x: (B, in, H, W).  Returns (B, out, H, W)."""
        return functional.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)

    def active(self, x: Tensor) -> Tensor:
        """The same, and what is below zero by a fifth."""
        return activate(self(x))


def convolution(tensors: Mapping[str, Tensor], name: str) -> Convolution:
    """The one that is called ``name`` in `shapes.SHAPES`."""
    return Convolution.of(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def activate(x: Tensor) -> Tensor:
    """``x`` itself, what is below zero by a fifth."""
    return functional.leaky_relu_(x, 0.2)


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows of a map, and rows around them that are looked at only."""

    top: int
    bottom: int
    first: int
    """The first row that is looked at."""
    end: int
    """The row behind the last that is looked at."""

    def wide(self, x: Tensor) -> Tensor:
        """What is looked at, of a whole map (B, C, H, W)."""
        return x[:, :, self.first : self.end]

    def inner(self, wide: Tensor) -> Tensor:
        """The strip's own rows of what was worked out from `wide`."""
        return wide[:, :, self.top - self.first : self.bottom - self.first]

    def rows(self, x: Tensor) -> Tensor:
        """The strip's own rows of a whole map."""
        return x[:, :, self.top : self.bottom]


def strips(x: Tensor, halo: int) -> Iterator[Strip]:
    """Strips that cover the rows of ``x`` (B, C, H, W), each beginning on an even row.

    halo: even; as many rows around as the convolutions that follow are deep (3x3 each). At the frame's border there are
    none, as for the whole map, so that the strip's own rows come out the same.
    """
    batch, _, height, width = x.shape
    pixels = _CPU_STRIP if x.device.type == "cpu" else _GPU_STRIP
    count = -(-batch * height * width // pixels)
    each = -(-height // count)
    each += each % 2
    for top in range(0, height, each):
        bottom = min(top + each, height)
        yield Strip(top, bottom, max(0, top - halo), min(height, bottom + halo))


def empty(like: Tensor, channels: int, height: int, width: int, dtype: torch.dtype | None = None) -> Tensor:
    """Room for (B, channels, height, width), all channels of a pixel together."""
    return torch.empty(
        (like.shape[0], channels, height, width),
        dtype=dtype or like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )
