"""What differs between the published versions, as rows of one table; light: recognising needs shapes only.

    frames, features, time ─▶ block 0 ─▶ block 1 ─▶ … ─▶ flow and mask
                              coarse      finer           of the whole frame

A block sees the frames at 1/scale of their size, the later ones warped by the flow so far, and corrects that flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

BODY = 8
"""Convolutions that a block thinks with; the same in every version."""
FLOW = 4
"""Maps: (dx, dy) into the earlier frame and (dx, dy) into the later one, in pixels."""

_HEAD = 16  # maps inside the head

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """One architecture."""

    name: str
    published_as: str
    """The versions that share it: their files differ in numbers only."""
    scales: tuple[int, ...]
    """By how much each block reduces the frames."""
    widths: tuple[int, ...]
    """Maps inside each block."""
    features: int
    """Maps that the head finds in each frame at full size; 0: no head."""
    context: int
    """Maps that a block hands to the next beside flow and mask."""
    given: int
    """Maps that a block gives; what is more than flow, mask and context nobody reads."""
    shuffled: bool
    """A block's answer has the size it sees the frames at (by pixel shuffle); else half of that."""
    residual: bool
    """Body convolutions add to what they see, and leak by 0.2; else each has slopes of its own and one sum is at the
    end."""
    mask_adds: bool
    """A block corrects the mask; else it says the mask anew."""

    @property
    def multiple(self) -> int:
        """Sides of the frames are multiples of this: the coarsest block's sight is halved twice."""
        return 4 * self.scales[0]

    def step(self, block: int) -> int:
        """Pixels of the frame between two neighbours in a block's answer."""
        return self.scales[block] * (1 if self.shuffled else 2)

    def sees(self, block: int) -> int:
        """Maps that a block is given: both frames and their features, the time, then mask, context and flow."""
        first = 2 * (3 + self.features) + 1
        return first if block == 0 else first + 1 + self.context + FLOW

    def shapes(self) -> dict[str, Shape]:
        """The shape of each tensor, by our names."""
        found: dict[str, Shape] = {}
        if self.features:
            widths = (3, _HEAD, _HEAD, _HEAD)
            for index, (takes, gives) in enumerate(pairwise(widths)):
                found |= _convolution(f"head.{index}", (gives, takes, 3, 3), gives)
            found |= _convolution("head.3", (_HEAD, self.features, 4, 4), self.features)
        for block, width in enumerate(self.widths):
            name = f"blocks.{block}"
            found |= self._activated(f"{name}.down.0", (width // 2, self.sees(block), 3, 3), beta=False)
            found |= self._activated(f"{name}.down.1", (width, width // 2, 3, 3), beta=False)
            for index in range(BODY):
                found |= self._activated(f"{name}.body.{index}", (width, width, 3, 3), beta=self.residual)
            gives = self.given * (4 if self.shuffled else 1)
            found |= _convolution(f"{name}.up", (width, gives, 4, 4), gives)
        return found

    def _activated(self, name: str, shape: Shape, *, beta: bool) -> dict[str, Shape]:
        found = _convolution(name, shape, shape[0])
        if beta:
            found[f"{name}.beta"] = (1, shape[0], 1, 1)
        if not self.residual:
            found[f"{name}.slope"] = (shape[0],)
        return found


def _convolution(name: str, shape: Shape, bias: int) -> dict[str, Shape]:
    return {f"{name}.weight": shape, f"{name}.bias": (bias,)}


VERSIONS = (
    Version(
        name="4.25",
        published_as="4.25, 4.26",
        scales=(16, 8, 4, 2, 1),
        widths=(192, 128, 96, 64, 32),
        features=4,
        context=8,
        given=13,
        shuffled=True,
        residual=True,
        mask_adds=False,
    ),
    Version(
        name="4.6",
        published_as="4.6",
        scales=(8, 4, 2, 1),
        widths=(192, 128, 96, 64),
        features=0,
        context=0,
        given=6,
        shuffled=True,
        residual=True,
        mask_adds=True,
    ),
    Version(
        name="4.0",
        published_as="4.0",
        scales=(8, 4, 2, 1),
        widths=(192, 128, 96, 64),
        features=0,
        context=0,
        given=5,
        shuffled=False,
        residual=False,
        mask_adds=True,
    ),
)


def recognise(shapes: Mapping[str, Shape]) -> Version | None:
    """The version whose tensors, by our names, have exactly these shapes."""
    return next((version for version in VERSIONS if version.shapes() == dict(shapes)), None)
