"""The network on any device that torch knows, whole frames at a time.

    features ─┬─▶ reduced ─────────────────────▶ block 0 ─▶ flow, context, mask
              └─▶ looked up along the flow ────▶ block 1 ─▶ … ─▶ both frames along the flow, mixed by the mask

Convolutions work in the device's dtype; places, flow and what is looked up are float32: half precision cannot tell
neighbouring pixels of a wide frame apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from framedaemon_rife.network.geometry import samples
from framedaemon_rife.network.layers import Layers, spread

Features: TypeAlias = tuple[Tensor, Tensor]
"""Of B frames: what is looked up (B, 4 or 8, H, W) float32, and the same reduced for block 0."""


@dataclass(slots=True)
class _State:
    """What the blocks so far have found."""

    flow: Tensor
    """(B, 4 or 5, H, W) float32: the flow in pixels, and the mask where blocks correct it."""
    context: list[Tensor]
    """Each (B, maps, h, w), for the next block."""
    mask: Tensor
    """(B, 1, H or h, …): the latest that was said."""


class WholeRife:
    """A `PairNetwork`."""

    def __init__(self, layers: Layers, device: torch.device, dtype: torch.dtype) -> None:
        """dtype: of the convolutions."""
        self.version = layers.version
        self.multiple = layers.version.multiple
        self._dtype = dtype
        self._layers = layers.to(device, dtype)

    def features(self, x: Tensor) -> Features:
        """x: (B, 3, H, W) in 0..1."""
        assert x.shape[2] % self.multiple == 0 and x.shape[3] % self.multiple == 0, x.shape
        x = functional.pad(x, (0, 0, 0, 0, 0, 1)).contiguous(memory_format=torch.channels_last)
        parts = [x.float()]
        if self._layers.head:
            seen = x.to(self._dtype)
            for layer in self._layers.head:
                seen = layer(seen)
            (found,) = spread(seen.permute(0, 2, 3, 1).contiguous(), (self.version.features,), 2)
            parts.append(found.permute(0, 3, 1, 2).float())
        table = torch.cat(parts, 1)
        return table, _resize(table, 1 / self.version.scales[0])

    def between(self, f0: Features, f1: Features, times: Sequence[Fraction]) -> Iterator[Tensor]:
        """For each time a (B, 3, H, W) float32."""
        tables = (f0[0], f1[0])
        reduced = torch.cat([f0[1], f1[1]], 1)
        for time in times:
            state = self._begin(reduced, float(time), tables[0].shape)
            for block in range(1, len(self._layers.blocks)):
                self._correct(state, block, tables, float(time))
            share = torch.sigmoid(state.flow[:, 4:5] if self.version.mask_adds else state.mask)
            base = _places(tables[0].shape, 1, tables[0].device)
            drawn0 = _look_up(tables[0][:, :3], base, state.flow[:, :2])
            drawn1 = _look_up(tables[1][:, :3], base, state.flow[:, 2:4])
            yield torch.lerp(drawn1, drawn0, share)

    def _begin(self, reduced: Tensor, time: float, shape: torch.Size) -> _State:
        clock = torch.full_like(reduced[:, :1], time)
        flow, *context, mask = self._ask(0, torch.cat([reduced, clock], 1))
        return _State(self._said(0, flow, mask, shape), context, mask)

    def _correct(self, state: _State, block: int, tables: tuple[Tensor, Tensor], time: float) -> None:
        correction, *state.context, state.mask = self._ask(block, self._see(state, block, tables, time))
        state.flow = state.flow + self._said(block, correction, state.mask, tables[0].shape)

    def _see(self, state: _State, block: int, tables: tuple[Tensor, Tensor], time: float) -> Tensor:
        """What a block is given: (B, maps, h, w), of the convolutions' dtype."""
        scale = self.version.scales[block]
        base = _places(tables[0].shape, scale, state.flow.device)
        flow = _sampled(state.flow, scale)
        seen = [_look_up(tables[side], base, flow[:, 2 * side : 2 * side + 2]) for side in (0, 1)]
        seen.append(flow[:, :4] / scale)
        if self.version.mask_adds:
            seen.append(flow[:, 4:5])
        if scale > 1:
            seen = [functional.avg_pool2d(part, 2) for part in seen]
        size = seen[0].shape[2:]
        seen += [_resize_to(part, size) for part in state.context]
        if not self.version.mask_adds:
            seen.append(_resize_to(state.mask, size))
        seen.append(torch.full_like(seen[-1], time))
        return torch.cat([part.to(self._dtype) for part in seen], 1)

    def _said(self, block: int, flow: Tensor, mask: Tensor, shape: torch.Size) -> Tensor:
        """A block's own part of flow (and mask) at full size."""
        parts = [flow * self.version.step(block), *([mask] if self.version.mask_adds else [])]
        return torch.cat([_resize_to(part, shape[2:]) for part in parts], 1)

    def _ask(self, number: int, seen: Tensor) -> list[Tensor]:
        """Flow, context and mask, each (B, maps, h, w) float32, as the block gives them."""
        block = self._layers.blocks[number]
        looked = block.look(seen.to(self._dtype).contiguous(memory_format=torch.channels_last))
        return [part.permute(0, 3, 1, 2).float() for part in spread(block(looked), block.groups, block.factor)]


def _resize(x: Tensor, factor: float) -> Tensor:
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _resize_to(x: Tensor, size: Sequence[int]) -> Tensor:
    return _resize(x, size[0] / x.shape[2]) if x.shape[2] != size[0] else x


def _places(shape: torch.Size, scale: int, device: torch.device) -> Tensor:
    """Where each of a block's samples lies, in -1..1 over the frame: (1, h, w, 2) float32."""
    height, width = shape[2:]
    down = torch.linspace(-1, 1, height, device=device)
    across = torch.linspace(-1, 1, width, device=device)
    first, count = samples(scale)
    rows, columns = (axis.view(-1, scale)[:, first : first + count].flatten() for axis in (down, across))
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).unsqueeze(0)


def _sampled(flow: Tensor, scale: int) -> Tensor:
    if scale <= 2:
        return flow
    first, count = samples(scale)
    batch, maps, height, width = flow.shape
    squares = flow.view(batch, maps, height // scale, scale, width // scale, scale)
    chosen = squares[:, :, :, first : first + count, :, first : first + count]
    return chosen.reshape(batch, maps, height // scale * count, width // scale * count)


def _look_up(table: Tensor, base: Tensor, flow: Tensor) -> Tensor:
    """``table`` where ``flow``, in pixels, leads from the places ``base``; beyond the border the border's."""
    height, width = table.shape[2:]
    share = flow.new_tensor([2 / (width - 1), 2 / (height - 1)])
    places = torch.addcmul(base, flow.permute(0, 2, 3, 1), share)
    return functional.grid_sample(table, places, mode="bilinear", padding_mode="border", align_corners=True)
