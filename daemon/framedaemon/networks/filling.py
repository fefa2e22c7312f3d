"""Gaps in, frames out, through a network that draws between two frames.

What depends on one frame alone is worked out once and kept for the next gap, which begins with that frame. At a scene
cut nothing is drawn. On an accelerator the answer to a gap is fetched while the next one is being worked on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from framedaemon.clip import Frame
from framedaemon.networks.device import Device, memory_told
from framedaemon.networks.pixels import Download, upload
from framedaemon.networks.tiles import Mosaic, tiles
from framedaemon.scenes import is_cut
from framedaemon.stages import CUT, Cut, Fill, Filled, Gap, Placement

Features: TypeAlias = Any
"""Of frames: tensors, or tuples of them as deep as you like, each with the frames along its first axis."""


class PairNetwork(Protocol):
    """A network that draws between two frames."""

    multiple: int
    """The sides of what it is given are multiples of this; frames are padded with their edge's pixels."""

    def features(self, x: Tensor) -> Features:
        """All that depends on one frame alone, ``x`` itself included where it is needed.

        x: (B, 3, H, W) in 0..1.
        """

    def between(self, f0: Features, f1: Features, times: Sequence[Fraction]) -> Iterable[Tensor]:
        """For each time in 0..1 (f0's frame to f1's) the frame there: (B, 3, H, W); beyond 0..1 is clipped."""


def filler(network: PairNetwork, device: Device, placement: Placement) -> Fill:
    """The function that fills gaps with what ``network`` draws, as large at a time as ``placement`` says."""
    return _Filler(network, device, placement).fill


@dataclass(slots=True)
class _Batch:
    """Gaps that go through the network together: neighbours, all wanting the same times; or one across a cut."""

    gaps: list[Gap]
    cut: bool

    def joins(self, gap: Gap) -> bool:
        """Whether ``gap`` may come along behind these."""
        return not self.cut and gap.x0 is self.gaps[-1].x1 and gap.times == self.gaps[0].times


@dataclass(slots=True)
class _Filler:
    network: PairNetwork
    device: Device
    placement: Placement
    last: tuple[Frame, Features] | None = None
    """The latest frame, and what the network found in it."""

    def fill(self, gaps: Iterable[Gap]) -> Iterator[Filled]:
        """One answer a gap, in order. Raises OutOfMemory."""
        under_way: deque[tuple[int, Cut | list[Download]]] = deque()
        kept_waiting = 0 if self.device.on_cpu else 1
        try:
            for batch in _batches(gaps, self.placement.batch):
                with torch.inference_mode(), memory_told(self.placement.device):
                    under_way.append((len(batch.gaps), self._answer(batch)))
                while len(under_way) > kept_waiting:
                    yield from _taken(*under_way.popleft())
            while under_way:
                yield from _taken(*under_way.popleft())
        finally:
            self.last = None

    def _answer(self, batch: _Batch) -> Cut | list[Download]:
        """For each time a download of one frame for every gap."""
        if batch.cut:
            self.last = None
            return CUT
        gaps, side = batch.gaps, self.placement.tile
        height, width = gaps[0].x0.shape[:2]
        drawn: Iterable[Tensor]
        if side is not None and max(height, width) > side:
            drawn = self._by_tiles(gaps, side)
        else:
            drawn = self.network.between(*self._features(gaps), gaps[0].times)
        return [Download(one, height, width, gaps[0].x0.dtype, self.device) for one in drawn]

    def _features(self, gaps: Sequence[Gap]) -> tuple[Features, Features]:
        """Those of the frames before each gap, and of those behind.

        The frames behind go through together, the first of a stream by itself: so a frame meets the same kernels, and
        gives the same numbers, wherever a stream begins.
        """
        known = self.last is not None and self.last[0] is gaps[0].x0
        before = self.last[1] if known and self.last is not None else self._features_of([gaps[0].x0])
        behind = self._features_of([gap.x1 for gap in gaps])
        if len(gaps) > 1:
            before = _map(lambda first, later: torch.cat([first, later[:-1]]), before, behind)
        self.last = gaps[-1].x1, _map(lambda one: one[-1:], behind)
        return before, behind

    def _features_of(self, frames: Sequence[Frame]) -> Features:
        return self.network.features(self._padded(upload(frames, self.device)))

    def _by_tiles(self, gaps: Sequence[Gap], side: int) -> Iterator[Tensor]:
        """For each time a frame; nothing is kept for the next gap, for where tiles are asked memory is scarce."""
        times = gaps[0].times
        height, width = gaps[0].x0.shape[:2]
        mosaics = [Mosaic((len(gaps), 3, height, width), side, self.device.torch_device) for _ in times]
        for tile in tiles(height, width, side):
            f0 = self._features_of([tile.of(gap.x0) for gap in gaps])
            f1 = self._features_of([tile.of(gap.x1) for gap in gaps])
            for mosaic, drawn in zip(mosaics, self.network.between(f0, f1, times), strict=True):
                mosaic.add(tile, drawn[..., : tile.height, : tile.width])
        while mosaics:
            yield mosaics.pop(0).frame()

    def _padded(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        below, right = -height % self.network.multiple, -width % self.network.multiple
        return functional.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def _batches(gaps: Iterable[Gap], most: int) -> Iterator[_Batch]:
    """The gaps in order, up to ``most`` together; one that is alone does not wait for the next."""
    batch: _Batch | None = None
    for gap in gaps:
        cut = is_cut(gap.x0, gap.x1)
        if batch is not None and not cut and batch.joins(gap):
            batch.gaps.append(gap)
        else:
            if batch is not None:
                yield batch
            batch = _Batch([gap], cut)
        if batch.cut or len(batch.gaps) >= most:
            yield batch
            batch = None
    if batch is not None:
        yield batch


def _taken(gaps: int, answer: Cut | list[Download]) -> Iterator[Filled]:
    if isinstance(answer, Cut):
        yield answer
        return
    drawn = [download.frames() for download in answer]
    for index in range(gaps):
        yield [frames[index] for frames in drawn]


def _map(function: Callable[..., Tensor], *features: Features) -> Features:
    """``function`` of each tensor in features that are built alike."""
    if isinstance(features[0], Tensor):
        return function(*features)
    return tuple(_map(function, *parts) for parts in zip(*features, strict=True))
