"""Frames cut into tiles that overlap, and put together again without a seam.

    ├───── tile ─────┤
                ├───── tile ─────┤          in the overlap the one fades out while the other fades in
                ├ov. ┤

Near its edge a tile does not see what moves in from outside; there the neighbour, who does, counts for more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from framedaemon.clip import Frame


@dataclass(frozen=True, slots=True)
class Tile:
    """A window of a frame."""

    top: int
    left: int
    height: int
    width: int

    def of(self, frame: Frame) -> Frame:
        """The window's part of a frame (H, W, 3)."""
        return frame[self.top : self.top + self.height, self.left : self.left + self.width]


def tiles(height: int, width: int, side: int) -> list[Tile]:
    """Windows of at most ``side`` x ``side`` pixels that cover the frame, a quarter of ``side`` shared with each
    neighbour at least; all of one size, so that a network meets one shape only.
    """
    return [
        Tile(top, left, min(side, height), min(side, width))
        for top in _starts(height, side)
        for left in _starts(width, side)
    ]


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = 1 - -(length - side) // (side - side // 4)  # a quarter is shared
    return [(length - side) * number // (count - 1) for number in range(count)]


class Mosaic:
    """Adds tiles up to a frame, each with the weight that its place in the tile gives a pixel."""

    def __init__(self, shape: tuple[int, ...], side: int, device: torch.device) -> None:
        """shape: (B, 3, H, W) of the frame.  side: of the tiles."""
        self._sum = torch.zeros(shape, dtype=torch.float32, device=device)
        self._weight = torch.zeros(shape[-2:], dtype=torch.float32, device=device)
        self._ramp = side // 4

    def add(self, tile: Tile, drawn: Tensor) -> None:
        """Put in what was ``drawn`` (B, 3, tile's height, tile's width) for ``tile``."""
        weight = self._fade(tile.height)[:, None] * self._fade(tile.width)
        rows, columns = slice(tile.top, tile.top + tile.height), slice(tile.left, tile.left + tile.width)
        self._sum[..., rows, columns].add_(drawn.float() * weight)
        self._weight[rows, columns].add_(weight)

    def frame(self) -> Tensor:
        """The whole frame, (B, 3, H, W) float32, to be asked for once."""
        return self._sum.div_(self._weight)

    def _fade(self, length: int) -> Tensor:
        """From near 0 at the tile's edges to 1 inside; never 0, for at the frame's own edge no neighbour helps."""
        place = torch.arange(length, device=self._sum.device, dtype=torch.float32) + 0.5
        return torch.minimum(place, length - place).div(self._ramp).clamp(max=1.0)
