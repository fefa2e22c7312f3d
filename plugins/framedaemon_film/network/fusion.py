"""Two frames moved to a time become one, coarse to fine.

coarser map ─▶ double ─┐
both frames' features and images, moved; both flows ─▶ two convolutions ─▶ finer map
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from framedaemon_film.network.layers import Convolution, Strip, convolution, empty, strips
from framedaemon_film.network.pyramid import Level
from framedaemon_film.network.warp import warp
from framedaemon_film.shapes import FUSED


class Doubling:
    """Doubles a map by repeating pixels, and convolves it by 2x2, zeros beyond the right and lower border.

    Each pixel of the doubled map sees the same pixel up to four times, so the four products of pixel and weights are
    worked out on the small map, P[a][b] = weight[..., a, b] * x, and only added up on the large one:

        (2y, 2x)      P00[y, x] + P01[y, x]   + P10[y, x]   + P11[y, x]
        (2y, 2x+1)    P00[y, x] + P01[y, x+1] + P10[y, x]   + P11[y, x+1]
        (2y+1, 2x)    P00[y, x] + P01[y, x]   + P10[y+1, x] + P11[y+1, x]
        (2y+1, 2x+1)  P00[y, x] + P01[y, x+1] + P10[y+1, x] + P11[y+1, x+1]
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """weight: (out, in, 2, 2)."""
        taps = [weight[:, :, a, b] for a, b in product(range(2), range(2))]
        # The bias is added to each place once, as P00 is.
        biases = torch.cat([bias, *(torch.zeros_like(bias) for _ in range(3))])
        self._products = Convolution.of(torch.cat(taps)[:, :, None, None], biases)

    def __call__(self, x: Tensor, first: int, into: Tensor) -> None:
        """Rows of the doubled map, from ``first`` on, which is even.

        x: (B, in, h, w), whole.  into: (B, out, rows, 2 * w), rows even.
        """
        rows = into.shape[2] // 2
        p = self._products(x[:, :, first // 2 : first // 2 + rows + 1])
        if p.shape[2] == rows:  # there is no row below
            p = functional.pad(p, (0, 0, 0, 1))
        p00, p01, p10, p11 = p.chunk(4, dim=1)
        for odd in range(2):
            left = p00[:, :, :rows] + p10[:, :, odd : odd + rows]
            right = p01[:, :, :rows] + p11[:, :, odd : odd + rows]
            torch.add(left, right, out=into[:, :, odd::2, 0::2])
            torch.add(left[..., :-1], right[..., 1:], out=into[:, :, odd::2, 1:-1:2])
            into[:, :, odd::2, -1] = left[..., -1]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two frames and the flow from a time to both, at one level."""

    seen0: Tensor
    seen1: Tensor
    to_0: Tensor
    """(B, 2, h, w) float32: from the time back to x0."""
    to_1: Tensor

    @property
    def channels(self) -> int:
        """All that fusion looks at of them."""
        return 2 * (self.seen0.shape[1] + 2)

    def move(self, strip: Strip, into: Tensor) -> None:
        """Both frames moved to the time, and the flows, side by side: (B, channels, rows looked at, w)."""
        to_0, to_1 = strip.wide(self.to_0), strip.wide(self.to_1)
        wide = self.seen0.shape[1]
        into[:, :wide] = warp(self.seen0, to_0, strip.first)
        into[:, wide : 2 * wide] = warp(self.seen1, to_1, strip.first)
        into[:, 2 * wide : 2 * wide + 2] = to_0
        into[:, 2 * wide + 2 :] = to_1


class Fusion:
    """Two frames' levels and the flow between them to a frame at a time."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """tensors: those of `shapes.SHAPES`."""
        self._doublings = [
            Doubling(tensors[f"fuse.{level}.0.weight"], tensors[f"fuse.{level}.0.bias"]) for level in range(FUSED - 1)
        ]
        self._pairs = [tuple(convolution(tensors, f"fuse.{level}.{n}") for n in (1, 2)) for level in range(FUSED - 1)]
        self._last = convolution(tensors, "output")

    def __call__(
        self,
        f0: Sequence[Level],
        f1: Sequence[Level],
        forward: Sequence[Tensor],
        backward: Sequence[Tensor],
        time: float,
    ) -> Tensor:
        """The frame at ``time``, 0 at f0's to 1 at f1's: (B, 3, H, W) of the features' dtype, any range.

        forward, backward: `Motion` from f0 to f1 and back.
        """
        pairs = [
            Pair(f0[level].seen, f1[level].seen, backward[level] * time, forward[level] * (1 - time))
            for level in range(FUSED)
        ]
        coarsest = pairs[-1]
        height, width = coarsest.seen0.shape[2:]
        x = empty(coarsest.seen0, coarsest.channels, height, width)
        coarsest.move(Strip(0, height, 0, height), x)
        for level in range(FUSED - 2, -1, -1):
            x = self._finer(level, x, pairs[level])
        return x

    def _finer(self, level: int, coarser: Tensor, pair: Pair) -> Tensor:
        first, second = self._pairs[level]
        channels, width = second.weight.shape[0], pair.seen0.shape[3]
        fused = empty(coarser, 3 if level == 0 else channels, pair.seen0.shape[2], width)
        room: Tensor | None = None
        for strip in strips(fused, halo=2):  # two convolutions of 3x3
            rows = strip.end - strip.first
            if room is None or room.shape[2] != rows:
                room = empty(coarser, pair.channels + channels, rows, width)
            pair.move(strip, room[:, : pair.channels])
            self._doublings[level](coarser, strip.first, room[:, pair.channels :])
            x = strip.inner(second.active(first.active(room)))
            strip.rows(fused).copy_(self._last(x) if level == 0 else x)
        return fused
