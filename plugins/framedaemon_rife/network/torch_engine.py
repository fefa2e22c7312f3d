"""Convolutions by torch on the CPU, channels last: what oneDNN works on without moving anything about."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from framedaemon_rife.network.layers import Block, Layer, Layers


class TorchEngine:
    """An `Engine`."""

    def __init__(self, layers: Layers) -> None:
        self._head = [_laid_out(layer) for layer in layers.head]
        self._blocks = [
            Block(
                _laid_out(block.look),
                tuple(_laid_out(layer) for layer in block.think),
                block.adds,
                _laid_out(block.answer),
                block.groups,
                block.factor,
            )
            for block in layers.blocks
        ]

    def head(self, frame: Tensor) -> Tensor:
        """frame: (1, H, W, 4).  Returns what is to be spread by 2: (1, H/2 + 1, W/2 + 1, maps)."""
        x = frame.permute(0, 3, 1, 2)
        for layer in self._head:
            x = _convolve(layer, x, (1, 1))
        return x.permute(0, 2, 3, 1)

    def look(self, block: int, seen: Tensor) -> Tensor:
        """seen: (1, 2n + 1, W, maps), rows above the frame included.  Returns (1, n, W/2, maps)."""
        return _convolve(self._blocks[block].look, seen.permute(0, 3, 1, 2), (0, 1)).permute(0, 2, 3, 1)

    def think(self, block: int, looked: Tensor) -> Tensor:
        """looked: (1, h, w, maps).  Returns what is to be spread: (1, h/2 + 1, w/2 + 1, maps)."""
        layers = self._blocks[block]
        x = kept = looked.permute(0, 3, 1, 2)
        for index, layer in enumerate(layers.think):
            x = _convolve(layer, x, (1, 1))
            kept = x.clone() if index == layers.adds else kept
        if layers.adds is not None:
            x = x + kept
        return _convolve(layers.answer, x, (1, 1)).permute(0, 2, 3, 1)


def _laid_out(layer: Layer) -> Layer:
    weight = layer.weight.contiguous(memory_format=torch.channels_last)
    return Layer(weight, layer.bias, layer.stride, layer.slope)


def _convolve(layer: Layer, x: Tensor, padding: tuple[int, int]) -> Tensor:
    x = functional.conv2d(x, layer.weight, layer.bias, layer.stride, padding)
    if layer.slope is None:
        return x
    return functional.prelu(x, layer.slope)
