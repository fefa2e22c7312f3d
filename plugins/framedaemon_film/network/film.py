"""FILM as the daemon's networks are asked: features of a frame, and frames between two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from framedaemon_film.halving import Straight, Times, Way, find_way
from framedaemon_film.network.fusion import Fusion
from framedaemon_film.network.motion import Motion
from framedaemon_film.network.pyramid import Level, Pyramid
from framedaemon_film.shapes import MULTIPLE, SHAPES


class FilmNetwork:
    """Draws between two frames."""

    multiple: int = MULTIPLE

    def __init__(self, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype, times: Times) -> None:
        """tensors: those of `shapes.SHAPES`, of any dtype.  dtype: of weights and features; flow is float32."""
        assert {name: tuple(tensors[name].shape) for name in SHAPES} == SHAPES
        there = {
            name: tensor.to(device, dtype, memory_format=torch.channels_last if tensor.ndim == 4 else None)
            for name, tensor in tensors.items()
        }
        self._times: Times = times
        self._pyramid = Pyramid(there)
        self._motion = Motion(there)
        self._fusion = Fusion(there)

    def features(self, x: Tensor) -> tuple[Level, ...]:
        """All that depends on one frame alone, fine to coarse.

        x: (B, 3, H, W) in 0..1, sides multiples of 64, of the network's device and dtype.
        """
        assert x.ndim == 4
        assert x.shape[1] == 3
        assert not (x.shape[2] % MULTIPLE or x.shape[3] % MULTIPLE)
        return self._pyramid(x.contiguous(memory_format=torch.channels_last))

    def between(
        self, f0: Iterable[Sequence[Tensor]], f1: Iterable[Sequence[Tensor]], times: Sequence[Fraction]
    ) -> Iterator[Tensor]:
        """For each time, ascending in 0..1, the frame there: (B, 3, H, W), any range.

        f0, f1: `features` of frames, or tuples built alike.
        """
        levels0, levels1 = ([Level(*level) for level in levels] for levels in (f0, f1))
        return self._draw(find_way(times, self._times), levels0, levels1)

    def _draw(self, way: Way, f0: Sequence[Level], f1: Sequence[Level]) -> Iterator[Tensor]:
        forward, backward = self._motion(f0, f1), self._motion(f1, f0)
        if isinstance(way, Straight):
            for time in way.times:
                yield self._fusion(f0, f1, forward, backward, float(time))
            return
        middle = self._fusion(f0, f1, forward, backward, 0.5)
        del forward, backward
        halfway = self.features(middle.clamp(0, 1)) if way.before or way.behind else ()
        if way.before is not None:
            yield from self._draw(way.before, f0, halfway)
        if way.wanted:
            yield middle
        if way.behind is not None:
            yield from self._draw(way.behind, halfway, f1)
