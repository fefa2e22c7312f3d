"""Where Wan's VAE cuts a picture into tiles, and what of each stays.

    ├──────── tile 0 ────────┤
                      ├──────── tile 1 ────────┤        in the overlap, a tile's first pixels are blended with the
    ├───── kept ─────┤├───── kept ─────┤                last ones (its border) of the tile before

The rule is `AutoencoderKLWan.tiled_decode`'s: the last tile is as small as what is left. Sides count in latent pixels
and, where it is said, in the decoder's own: those of the picture, or half as many where the VAE draws patches of 2x2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A tile's place along one axis."""

    start: int
    """In latent pixels, as `stop`."""
    stop: int
    kept: int
    """Decoder pixels, from the first one on, that are this tile's in the whole picture."""
    before: int
    """Decoder pixels of the tile before, its last ones, that this one is blended with; 0 where there is none."""
    border: int
    """The same of this tile, for the next."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis is cut."""

    length: int
    """Latent pixels."""
    side: int
    """A tile's, in latent pixels."""
    stride: int
    """From one tile to the next, in latent pixels."""
    scale: int
    """Decoder pixels for a latent one."""

    def spans(self) -> list[Span]:
        """The tiles' places, ascending; together their kept pixels are the axis."""
        starts = range(0, self.length, self.stride)
        stops = [min(start + self.side, self.length) for start in starts]
        overlap = self.side - self.stride
        borders = [self.scale * min(overlap, stop - start) for start, stop in zip(starts, stops, strict=True)]
        kept = [self.scale * min(self.stride, self.length - start) for start in starts]
        return [Span(*span) for span in zip(starts, stops, kept, [0, *borders[:-1]], [*borders[:-1], 0], strict=True)]


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile, in reading order."""

    row: int
    column: int
    down: Span
    across: Span


@dataclass(frozen=True, slots=True)
class Grid:
    """How a picture is cut."""

    down: Axis
    across: Axis

    def tiles(self) -> Iterator[Tile]:
        """Row by row, from left to right: the order in which they are blended."""
        for row, down in enumerate(self.down.spans()):
            for column, across in enumerate(self.across.spans()):
                yield Tile(row, column, down, across)


def grid_for(
    height: int,
    width: int,
    scale_factor: int,
    patch: int = 1,
    sides: tuple[int, int] = (256, 256),
    strides: tuple[int, int] = (192, 192),
) -> Grid:
    """The grid of latents of ``height`` x ``width``; one tile where the whole is no larger than that.

    scale_factor: picture pixels for a latent one.  patch: side of the patches that the decoder draws.
    sides, strides: of tiles (height, width) in picture pixels, 256 and 192 where nobody said otherwise to the VAE.
    """
    scale = scale_factor // patch
    side, stride = [side // scale_factor for side in sides], [stride // scale_factor for stride in strides]
    if height <= side[0] and width <= side[1]:
        return Grid(Axis(height, height, height, scale), Axis(width, width, width, scale))
    return Grid(Axis(height, side[0], stride[0], scale), Axis(width, side[1], stride[1], scale))
