"""The driver of pair networks, with a small real network: what it is given, how often, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from framedaemon import CUT, Filled, Frame, Gap, OutOfMemory, Placement

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'framedaemon[rife]'")

from torch import Tensor  # noqa: E402  (behind the skip)

from framedaemon.networks import device_for, filler  # noqa: E402

HALF = (Fraction(1, 2),)
THIRDS = (Fraction(1, 3), Fraction(2, 3))


@dataclass
class Mixing:
    """Mixes the two frames by time; its features are the frame and a map at half its size, as networks have them."""

    multiple: int = 8
    seen: list[tuple[int, ...]] = field(default_factory=list)
    """The shapes it was asked the features of."""
    fails: Exception | None = None

    def features(self, x: Tensor) -> Any:
        self.seen.append(tuple(x.shape))
        return x, (torch.nn.functional.avg_pool2d(x, 2),)

    def between(self, f0: Any, f1: Any, times: Sequence[Fraction]) -> Iterator[Tensor]:
        if self.fails is not None:
            raise self.fails
        assert f0[1][0].shape[-1] * 2 == f0[0].shape[-1]
        for time in times:
            yield f0[0] * (1 - float(time)) + f1[0] * float(time)


def _frames(count: int, size: tuple[int, int] = (40, 56), dtype: Any = np.uint8) -> list[Frame]:
    """A picture with a square that moves: neighbours are alike enough to be one scene."""
    rng = np.random.default_rng(1)
    height, width = size
    ground = rng.integers(0, 200, (height, width, 3))
    frames = [ground.copy() for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[4:12, 4 + index : 12 + index] = 250
    scale = 257 if dtype == np.uint16 else 1
    return [(frame * scale).astype(dtype) for frame in frames]


def _gaps(frames: Sequence[Frame], times: tuple[Fraction, ...] = HALF) -> list[Gap]:
    return [Gap(x0, x1, times) for x0, x1 in pairwise(frames)]


def _fill(gaps: Sequence[Gap], network: Mixing, placement: Placement | None = None) -> list[Filled]:
    placement = placement or Placement(threads=2)
    with device_for(placement) as device:
        return list(filler(network, device, placement)(iter(gaps)))


def _mixed(gap: Gap, time: Fraction) -> Frame:
    levels = gap.x0 * (1 - float(time)) + gap.x1 * float(time)
    return np.rint(levels).astype(gap.x0.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(40, 56), (41, 57), (16, 130)])
def test_every_gap_is_filled_at_its_times_to_the_level(dtype: Any, size: tuple[int, int]) -> None:
    gaps = _gaps(_frames(4, size, dtype), THIRDS)

    answers = _fill(gaps, Mixing())

    wanted = [[_mixed(gap, time) for time in gap.times] for gap in gaps]
    assert [len(answer) for answer in answers if answer is not CUT] == [2, 2, 2]
    worst = max(
        np.abs(a.astype(int) - b).max()
        for one, two in zip(answers, wanted, strict=True)
        for a, b in zip(one, two, strict=True)
    )  # type: ignore[call-overload]
    assert worst <= (1 if dtype == np.uint16 else 0)
    assert {frame.dtype for answer in answers for frame in answer} == {np.dtype(dtype)}  # type: ignore[union-attr]
