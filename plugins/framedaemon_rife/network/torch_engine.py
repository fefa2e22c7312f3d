"""Convolutions by torch on the CPU, channels last: what oneDNN works on without moving anything about."""

from __future__ import annotations

import torch
from torch import Tensor

from framedaemon_rife.network.layers import Layers


class TorchEngine:
    """An `Engine`."""

    def __init__(self, layers: Layers, dtype: torch.dtype) -> None:
        """dtype: of the convolutions; what goes in and comes out is float32."""
        self._dtype = dtype
        self._layers = layers.to(torch.device("cpu"), dtype)

    def close(self) -> None:
        """See `Engine`."""

    def head(self, frame: Tensor) -> Tensor:
        """See `Engine`."""
        x = frame.to(self._dtype).permute(0, 3, 1, 2)
        for layer in self._layers.head:
            x = layer(x)
        return x.permute(0, 2, 3, 1).float()

    def look(self, block: int, seen: Tensor, out: Tensor) -> None:
        """See `Engine`."""
        x = seen.to(self._dtype).permute(0, 3, 1, 2)
        out.copy_(self._layers.blocks[block].look(x, (0, 1)).permute(0, 2, 3, 1))

    def think(self, block: int, looked: Tensor) -> Tensor:
        """See `Engine`."""
        return self._layers.blocks[block](looked.to(self._dtype).permute(0, 3, 1, 2)).float()
