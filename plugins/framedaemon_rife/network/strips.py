"""The network on a CPU: looked up by OpenCV, strip by strip, so that what a block sees stays in the processor's cache.

    flow ─▶ places ─▶ both frames there ─┐
    context, mask ───────────────────────┴▶ seen, some rows of it ─▶ first convolution ─┐ all rows ─▶ the others

The arithmetic is `whole`'s. OpenCV's lookups and resizes take (H, W, 4) float32 as it lies there and are several times
as fast as torch's; from OpenCV 5 on they are exact in float32 (before, places were rounded to 1/32 of a pixel).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from framedaemon_rife.network.geometry import samples
from framedaemon_rife.network.layers import Layers, spread

Field: TypeAlias = npt.NDArray[np.float32]
"""(H, W, maps), maps 1 (then often without an axis) or 4."""

Features: TypeAlias = tuple[Tensor, ...]
"""Of B frames, each (B, …, …, 4): the frame, its features if there are any, and the same reduced for block 0."""

_STRIP = 64 * 1216  # pixels seen at once: some 9 MB, measured on 832x1216


class Engine(Protocol):
    """What runs the convolutions. Each tensor is contiguous as its shape is written."""

    def head(self, frame: Tensor) -> Tensor:
        """frame: (1, H, W, 4).  Returns what is to be spread by 2: (1, H/2 + 1, W/2 + 1, maps)."""

    def look(self, block: int, seen: Tensor, out: Tensor) -> None:
        """Fill ``out`` (1, n, W/2, maps).

        seen: (1, 2n + 1, W, maps), the row above included.
        """

    def think(self, block: int, looked: Tensor) -> Tensor:
        """looked: (1, h, w, maps).  Returns what is to be spread: (1, h/2 + 1, w/2 + 1, maps).

        What it returns may be filled again by the next call.
        """

    def close(self) -> None:
        """Give back threads and memory, whoever still holds the engine."""


@dataclass(slots=True)
class _State:
    flow: Field
    """(H, W, 4) in pixels."""
    mask: Field
    """(H, W) where blocks correct it, else (h, w) as the last one said it."""
    context: list[Field]


class StripRife:
    """A `PairNetwork` for main memory and float32."""

    def __init__(self, layers: Layers, engine: Engine) -> None:
        self.version = layers.version
        self.multiple = layers.version.multiple
        self._layers = layers
        self._engine = engine

    def features(self, x: Tensor) -> Features:
        """x: (B, 3, H, W) in 0..1."""
        assert x.shape[2] % self.multiple == 0 and x.shape[3] % self.multiple == 0, x.shape
        found = [self._find(np.ascontiguousarray(frame)) for frame in x.float().permute(0, 2, 3, 1).numpy()]
        return tuple(torch.from_numpy(np.stack(tables)) for tables in zip(*found, strict=True))

    def between(self, f0: Features, f1: Features, times: Sequence[Fraction]) -> Iterator[Tensor]:
        """For each time a (B, 3, H, W) float32."""
        pairs = [
            (tuple(part.numpy() for part in one), tuple(part.numpy() for part in two))
            for one, two in zip(zip(*f0, strict=True), zip(*f1, strict=True), strict=True)
        ]
        for time in times:
            drawn = [torch.from_numpy(self._draw(one, two, float(time))) for one, two in pairs]
            yield torch.stack(drawn).permute(0, 3, 1, 2)[:, :3]

    def _find(self, frame: Field) -> list[Field]:
        tables = [np.concatenate([frame, np.zeros_like(frame[..., :1])], 2)]
        if self._layers.head:
            answer = self._engine.head(torch.from_numpy(tables[0])[None])
            (found,) = spread(answer, (self.version.features,), 2)
            tables.append(found[0].numpy())
        return [*tables, *(_reduce(table, self.version.scales[0]) for table in tables)]

    def _draw(self, one: Sequence[Field], two: Sequence[Field], time: float) -> Field:
        """(H, W, 4): the frame, and an empty map."""
        half = len(one) // 2
        tables = [*one[:half], *two[:half]]
        state = self._begin([*one[half:], *two[half:]], time, (tables[0].shape[0], tables[0].shape[1]))
        for block in range(1, len(self._layers.blocks)):
            self._correct(state, block, tables, time)
        return _mix(one[0], two[0], state)

    def _begin(self, reduced: list[Field], time: float, size: tuple[int, int]) -> _State:
        height, width = reduced[0].shape[:2]
        seen, looked = self._seen(0, height, width), self._looked(0, height, width)
        _fill(seen, 1, [*reduced, np.full((height, width), time, np.float32)])
        self._engine.look(0, seen, looked)
        flow, *context, mask = self._think(0, looked)
        return _State(self._said(0, flow, size), self._said_mask(0, mask, size), context)

    def _correct(self, state: _State, block: int, tables: list[Field], time: float) -> None:
        scale = self.version.scales[block]
        height, width = (side // scale for side in state.flow.shape[:2])
        context = [_enlarge(part, (height, width)) for part in state.context]
        mask = None if self.version.mask_adds else _enlarge(state.mask, (height, width))
        rows = max(2, _STRIP // width // 2 * 2)
        looked = self._looked(block, height, width)
        room = self._seen(block, min(rows, height), width)  # once: fresh pages cost as much as what is put on them
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            first = max(0, top - 1)
            seen = room[:, : bottom - top + 1]
            parts = _look_up(tables, state.flow, scale, (first, bottom))
            parts += [part[first:bottom] for part in context]
            parts.append(_reduced_rows(state.mask, scale, (first, bottom)) if mask is None else mask[first:bottom])
            parts.append(np.full((bottom - first, width), time, np.float32))
            _fill(seen, first - top + 1, parts)
            self._engine.look(block, seen, looked[:, top // 2 : bottom // 2])
        flow, *state.context, said = self._think(block, looked)
        size = (state.flow.shape[0], state.flow.shape[1])
        state.flow += self._said(block, flow, size)
        state.mask = self._said_mask(block, said, size) + (state.mask if self.version.mask_adds else 0)

    def _think(self, block: int, looked: Tensor) -> list[Field]:
        layers = self._layers.blocks[block]
        found = spread(self._engine.think(block, looked), layers.groups, layers.factor)
        return [part[0].squeeze(-1).numpy() for part in found]

    def _said(self, block: int, flow: Field, size: tuple[int, int]) -> Field:
        """A block's own part of the flow, at full size, in pixels."""
        flow *= self.version.step(block)
        return _enlarge(flow, size)

    def _said_mask(self, block: int, mask: Field, size: tuple[int, int]) -> Field:
        last = block == len(self._layers.blocks) - 1
        return _enlarge(mask, size) if self.version.mask_adds or last else mask

    def _seen(self, block: int, rows: int, width: int) -> Tensor:
        """Room for what a block sees in some rows, and for the row above, which is empty at the frame's upper edge."""
        seen = torch.empty((1, rows + 1, width, self._layers.blocks[block].look.weight.shape[1]))
        seen[:, 0] = 0
        return seen

    def _looked(self, block: int, height: int, width: int) -> Tensor:
        return torch.empty((1, height // 2, width // 2, self._layers.blocks[block].look.weight.shape[0]))


def _fill(seen: Tensor, first: int, parts: list[Field]) -> None:
    """Lay ``parts`` beside each other into ``seen``, from its row ``first`` on."""
    torch.cat([torch.from_numpy(part if part.ndim == 3 else part[..., None]) for part in parts], 2, out=seen[0, first:])


def _look_up(tables: list[Field], flow: Field, scale: int, rows: tuple[int, int]) -> list[Field]:
    """``tables``, the first half along the flow into the earlier frame, and the flow itself: as a block sees them.

    rows: of the block's own.  Returns (rows, W / scale, 4) each.
    """
    sampled = _sampled(flow, scale, rows)
    across, down = _grid(flow.shape[0], flow.shape[1], scale)
    down = down[rows[0] * samples(scale)[1] : rows[1] * samples(scale)[1]]
    planes = cv2.split(sampled)
    places = [cv2.add(plane, axis[: len(plane)]) for plane, axis in zip(planes, (across, down) * 2, strict=True)]
    half = len(tables) // 2
    parts = [
        *(_remap(table, places[0], places[1]) for table in tables[:half]),
        *(_remap(table, places[2], places[3]) for table in tables[half:]),
        sampled * np.float32(1 / scale) if scale > 1 else sampled,
    ]
    return [_halve(part) for part in parts] if scale > 1 else parts


def _mix(frame0: Field, frame1: Field, state: _State) -> Field:
    """Both frames along the flow, mixed by the mask."""
    height, width = state.mask.shape
    drawn = np.empty_like(frame0)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        across, down = _grid(height, width, 1)
        planes = cv2.split(state.flow[top:bottom])
        axes = (across[: bottom - top], down[top:bottom]) * 2
        places = [cv2.add(plane, axis) for plane, axis in zip(planes, axes, strict=True)]
        drawn0, drawn1 = _remap(frame0, places[0], places[1]), _remap(frame1, places[2], places[3])
        share = torch.sigmoid(torch.from_numpy(state.mask[top:bottom, :, None]))
        out = torch.from_numpy(drawn[top:bottom])
        torch.lerp(torch.from_numpy(drawn1), torch.from_numpy(drawn0), share, out=out)
    return drawn


def _remap(table: Field, across: Any, down: Any) -> Field:
    return cast(Field, cv2.remap(table, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _enlarge(field: Field, size: tuple[int, int]) -> Field:
    if field.shape[:2] == size:
        return field
    return cast(Field, cv2.resize(field, size[::-1], interpolation=cv2.INTER_LINEAR))


def _halve(field: Field) -> Field:
    size = (field.shape[1] // 2, field.shape[0] // 2)
    return cast(Field, cv2.resize(field, size, interpolation=cv2.INTER_AREA))


def _reduce(field: Field, scale: int) -> Field:
    """Each ``scale`` x ``scale`` square as the mean of its middle four."""
    return _halve(_sampled(field, scale, (0, field.shape[0] // scale)))


def _reduced_rows(mask: Field, scale: int, rows: tuple[int, int]) -> Field:
    sampled = _sampled(mask, scale, rows)
    return _halve(sampled) if scale > 1 else sampled


def _sampled(field: Field, scale: int, rows: tuple[int, int]) -> Field:
    """What a block at ``scale`` takes of ``field`` (H, W, …) in its ``rows``: see `samples`."""
    part = field[rows[0] * scale : rows[1] * scale]
    if scale <= 2:
        return part
    first, count = samples(scale)
    squares = part.reshape(rows[1] - rows[0], scale, -1, scale, *field.shape[2:])
    chosen = squares[:, first : first + count, :, first : first + count]
    return np.ascontiguousarray(chosen).reshape((rows[1] - rows[0]) * count, -1, *field.shape[2:])


@lru_cache(maxsize=8)
def _grid(height: int, width: int, scale: int) -> tuple[Field, Field]:
    """Where each sample of a block lies: its column and its row, (h, w) each, in pixels of the frame."""
    first, count = samples(scale)
    down, across = (
        np.arange(side, dtype=np.float32).reshape(-1, scale)[:, first : first + count].ravel()
        for side in (height, width)
    )
    columns, rows = np.meshgrid(across, down)
    return np.ascontiguousarray(columns), np.ascontiguousarray(rows)
