"""The convolutions of a version as both runtimes run them: what can be worked out beforehand is.

    published                             here
    conv(x) * beta + x                    one convolution: beta and the one on its diagonal
    transposed convolution, pixel shuffle one convolution of 2x2 pixels that gives all 16 neighbours at once (`spread`)
    13 maps from every block              those that somebody reads: the last block's 5, and 5 of 4.6's 6
    frames of 3 maps                      of 4, the last one empty: a pixel is one 16-byte word

The numbers are the same but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from framedaemon_rife.network.versions import BODY, FLOW, Version

_LEAK = 0.2
_WORD = 4  # maps that lie together

# The taps of a transposed convolution (4x4, stride 2, padding 1) that make its even and its odd rows (or columns) from
# two neighbours: the even one from the pixel before and this one, the odd one from this one and the pixel behind.
_TAPS = ((3, 1), (2, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A convolution, and what its answer then goes through."""

    weight: Tensor
    """(maps given, maps seen, rows, columns) float32."""
    bias: Tensor
    stride: int = 1
    slope: Tensor | float = 1.0
    """By what values below zero are multiplied: each map by its own, or all alike."""

    def to(self, device: torch.device, dtype: torch.dtype) -> Layer:
        """The same there, weights channels last."""
        weight = self.weight.to(device, dtype).contiguous(memory_format=torch.channels_last)
        slope = self.slope.to(device, dtype) if isinstance(self.slope, Tensor) else self.slope
        return Layer(weight, self.bias.to(device, dtype), self.stride, slope)

    def __call__(self, x: Tensor, padding: int | tuple[int, int] = 1) -> Tensor:
        """x: (B, maps seen, H, W)."""
        x = functional.conv2d(x, self.weight, self.bias, self.stride, padding)
        if isinstance(self.slope, Tensor):
            return functional.prelu(x, self.slope)
        return x if self.slope == 1.0 else functional.leaky_relu_(x, self.slope)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One correction of the flow."""

    look: Layer
    """Sees frames, flow and context, at this block's scale."""
    think: tuple[Layer, ...]
    adds: int | None
    """Behind the last of ``think`` the answer of the one with this number is added."""
    answer: Layer
    """Gives `spread` its maps."""
    groups: tuple[int, ...]
    """Maps that belong together in the answer: flow, then context in words, then the mask."""
    factor: int
    """By how much `spread` enlarges."""

    def __call__(self, looked: Tensor) -> Tensor:
        """What is to be spread: (B, h/2 + 1, w/2 + 1, maps), contiguous.

        looked: (B, maps, h, w), what ``look`` gave.
        """
        x = kept = looked
        for index, layer in enumerate(self.think):
            x = layer(x)
            kept = x if index == self.adds else kept
        if self.adds is not None:
            x = x + kept
        return self.answer(x).permute(0, 2, 3, 1).contiguous()

    def to(self, device: torch.device, dtype: torch.dtype) -> Block:
        """The same there, weights channels last."""
        think = tuple(layer.to(device, dtype) for layer in self.think)
        return replace(self, look=self.look.to(device, dtype), think=think, answer=self.answer.to(device, dtype))


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """All of a version's."""

    version: Version
    head: tuple[Layer, ...]
    """Empty where the version has no head; the last one's answer is to be `spread` by 2."""
    blocks: tuple[Block, ...]

    def to(self, device: torch.device, dtype: torch.dtype) -> Layers:
        """The same there, weights channels last."""
        head = tuple(layer.to(device, dtype) for layer in self.head)
        return Layers(self.version, head, tuple(block.to(device, dtype) for block in self.blocks))


def fold(version: Version, weights: Mapping[str, Tensor]) -> Layers:
    """The layers of ``version`` from its weights, by our names."""
    head: tuple[Layer, ...] = ()
    if version.features:
        seen = (_plain(weights, f"head.{index}", 2 if index == 0 else 1) for index in range(3))
        answer = _spreading(weights, "head.3", (tuple(range(version.features)),), 1)
        head = (*(Layer(layer.weight, layer.bias, layer.stride, _LEAK) for layer in seen), answer)
        head = (_with_empty_map(head[0]), *head[1:])
    return Layers(version, head, tuple(_block(version, weights, index) for index in range(len(version.scales))))


def spread(answer: Tensor, groups: tuple[int, ...], factor: int) -> list[Tensor]:
    """What a block's answer says of each pixel: for each group a (B, H, W, maps) of its own, contiguous.

    answer: (B, h + 1, w + 1, maps), contiguous, as the 2x2 convolution over h x w pixels gives it: at (i, j) what it
    says of the corner where four pixels meet.  H, W: ``factor`` times h, w.
    """
    batch, height, width = answer.shape[0], answer.shape[1] - 1, answer.shape[2] - 1
    fine = factor // 2
    found: list[Tensor] = []
    first = 0
    for maps in groups:
        count = fine * fine * maps
        whole = answer.new_empty((batch, height, 2, fine, width, 2, fine, maps))
        for corner in range(4):
            down, across = divmod(corner, 2)
            begin = first + corner * count
            part = answer[:, down : down + height, across : across + width, begin : begin + count]
            part = part.reshape(batch, height, width, fine, fine, maps)
            whole[:, :, down, :, :, across] = part.permute(0, 1, 3, 2, 4, 5)
        found.append(whole.view(batch, height * factor, width * factor, maps))
        first += 4 * count
    return found


def _block(version: Version, weights: Mapping[str, Tensor], index: int) -> Block:
    name = f"blocks.{index}"
    look = _activated(weights, f"{name}.down.0", 2)
    order = torch.tensor(_seen_order(version, first=index == 0))
    blank = torch.cat([look.weight, torch.zeros_like(look.weight[:, :1])], 1)  # -1: the empty map
    look = Layer(blank[:, order].contiguous(), look.bias, look.stride, look.slope)
    second = _activated(weights, f"{name}.down.1", 2)
    body = [_activated(weights, f"{name}.body.{number}", 1, version.residual) for number in range(BODY)]
    last = index == len(version.scales) - 1
    groups = _groups(version, last)
    fine = 2 if version.shuffled else 1
    answer = _spreading(weights, f"{name}.up", groups, fine)
    sizes = tuple(len(group) for group in groups)
    return Block(look, (second, *body), None if version.residual else 0, answer, sizes, 2 * fine)


def _seen_order(version: Version, *, first: bool) -> list[int]:
    """Which of the published maps stands where in what a block sees; -1: an empty one.

    Published: both frames, both frames' features, time, mask, context, flow.
    """
    features, time = version.features, 6 + 2 * version.features
    mine = [
        [*range(3 * side, 3 * side + 3), -1, *range(6 + side * features, 6 + (side + 1) * features)] for side in (0, 1)
    ]
    order = mine[0] + mine[1]
    if first:
        return [*order, time]
    mask = time + 1
    context = range(mask + 1, mask + 1 + version.context)
    flow = range(mask + 1 + version.context, mask + 1 + version.context + FLOW)
    return [*order, *flow, *context, mask, time]


def _groups(version: Version, last: bool) -> tuple[tuple[int, ...], ...]:
    """Which of the maps that a block gives are read, by group."""
    context = range(0) if last else range(FLOW + 1, FLOW + 1 + version.context)
    words = [tuple(context[begin : begin + _WORD]) for begin in range(0, len(context), _WORD)]
    return (tuple(range(FLOW)), *words, (FLOW,))


def _plain(weights: Mapping[str, Tensor], name: str, stride: int = 1) -> Layer:
    return Layer(weights[f"{name}.weight"].float(), weights[f"{name}.bias"].float(), stride)


def _activated(weights: Mapping[str, Tensor], name: str, stride: int, residual: bool = False) -> Layer:
    layer = _plain(weights, name, stride)
    weight, bias = layer.weight, layer.bias
    if residual:
        beta = weights[f"{name}.beta"].float().reshape(-1)
        weight = weight * beta.view(-1, 1, 1, 1)
        bias = bias * beta
        weight[:, :, 1, 1] += torch.eye(len(beta))
    slope = weights.get(f"{name}.slope")
    return Layer(weight, bias, stride, _LEAK if slope is None else slope.float())


def _with_empty_map(layer: Layer) -> Layer:
    weight = torch.cat([layer.weight, torch.zeros_like(layer.weight[:, :1])], 1)
    return Layer(weight, layer.bias, layer.stride, layer.slope)


def _spreading(weights: Mapping[str, Tensor], name: str, groups: tuple[tuple[int, ...], ...], fine: int) -> Layer:
    """The transposed convolution as one of 2x2 pixels; its maps are ordered by group, corner, then as `spread` wants.

    fine: sides of the square that pixel shuffle makes of each pixel.
    """
    layer = _plain(weights, name)
    shuffled = layer.weight.reshape(len(layer.weight), -1, fine, fine, 4, 4)  # seen, map, down, across, taps
    bias = layer.bias.reshape(-1, fine, fine)
    parts, biases = [], []
    for group in groups:
        chosen = shuffled[:, list(group)]
        for corner in range(4):
            down, across = (list(_TAPS[place]) for place in divmod(corner, 2))
            taps = chosen[..., down, :][..., across]
            parts.append(taps.permute(2, 3, 1, 0, 4, 5).flatten(0, 2))
            biases.append(bias[list(group)].permute(1, 2, 0).flatten())
    return Layer(torch.cat(parts).contiguous(), torch.cat(biases))
