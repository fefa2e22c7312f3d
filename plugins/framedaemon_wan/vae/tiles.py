"""Tile by tile to disk: the frames of a tiled `AutoencoderKLWan.decode`, in the memory of one tile and one frame.

    for each tile   latent frames ─▶ decoder ─▶ blended with the borders left and above ─▶ what stays, 8 bits ─▶ disk
                                                                                       └─▶ its own borders ───▶ disk
    then            frames ◀─ put together from the tiles' finished parts, one at a time

The VAE's own way holds every tile of the whole clip, and blends at the end. A pixel meets the same arithmetic here, in
the same order, so it gets the same bits.

Imports torch and diffusers: import it only where the stage is loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from framedaemon import Frame
from framedaemon_wan.vae.grid import Grid, Tile, grid_for
from framedaemon_wan.vae.spill import BELOW, FRAMES, RIGHT, Reader, Spill
from framedaemon_wan.vae.streaming import Chunks, Vae, to_frames, to_pictures

_BITS = {4: torch.int32, 2: torch.int16}  # numpy knows no bfloat16: numbers travel as the bits they are


class TiledDecode:
    """A video being decoded in tiles; begun anew with the same arguments, it goes on after its last finished tile."""

    def __init__(self, vae: Vae, latents: Tensor, folder: Path, key: str) -> None:
        """latents: (1, C, T, h, w), denormalised, of the VAE's dtype and device.  folder: for this alone.
        key: names the VAE's weights; latents, tiles and dtype are taken into account here.
        """
        assert latents.ndim == 5 and latents.shape[0] == 1
        self._vae, self._latents = vae, latents
        patch = vae.config.patch_size or 1
        self.grid = grid_of(vae, *latents.shape[-2:])
        parts = (key, str(self.grid), str(latents.dtype), str(tuple(latents.shape)))
        told = hashlib.sha256(
            "\n".join(parts).encode() + latents.cpu().contiguous().view(torch.uint8).numpy().tobytes()
        )
        self._spill = Spill(folder, told.hexdigest()[:32], self.grid, 4 * latents.shape[2] - 3, patch)

    def draw(self) -> Iterator[float]:
        """Draw the tiles that are missing; yields how far it is (0..1), the last time 1, whenever a chunk was written.

        To be gone through once: it lets go of the VAE at its end, so that nothing of it is held while frames are read.
        Raises DiskFull where there is no room; finished tiles stay.
        """
        missing, chunks = self._spill.missing(), self._latents.shape[2]
        for number, tile in enumerate(missing):
            for chunk in self._draw_tile(tile):
                yield (number * chunks + chunk + 1) / (len(missing) * chunks)
        self._vae = None

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from ``start`` on, (H, W, 3) uint8; asked for when all is drawn."""
        return self._spill.frames(start)

    def _draw_tile(self, tile: Tile) -> Iterator[int]:
        """Numbers of chunks as they are written."""
        z = self._latents[..., tile.down.start : tile.down.stop, tile.across.start : tile.across.stop]
        chunks = Chunks(self._vae.decoder)
        with ExitStack() as stack:
            above = stack.enter_context(self._spill.above(tile)) if tile.row else None
            left = stack.enter_context(self._spill.left(tile)) if tile.column else None
            writers = stack.enter_context(self._spill.writing(tile))
            for number in range(z.shape[2]):
                with torch.no_grad():
                    drawn = chunks.draw(self._vae.post_quant_conv(z[:, :, number : number + 1]))
                    if above:
                        border = _next(above, drawn, (*drawn.shape[:3], tile.down.before, drawn.shape[4]))
                        drawn = self._vae.blend_v(border, drawn, tile.down.before)
                    if left:
                        border = _next(left, drawn, (*drawn.shape[:4], tile.across.before))
                        drawn = self._vae.blend_h(border, drawn, tile.across.before)
                    kept = drawn[..., : tile.down.kept, : tile.across.kept]
                    writers[FRAMES].write(np.stack(to_frames(to_pictures(self._vae, kept))))
                if BELOW in writers:
                    writers[BELOW].write(_bits(drawn[..., -tile.down.border :, :]))
                if RIGHT in writers:
                    writers[RIGHT].write(_bits(drawn[..., -tile.across.border :]))
                yield number


def grid_of(vae: Vae, height: int, width: int) -> Grid:
    """How ``vae`` cuts latents of ``height`` x ``width`` where it tiles."""
    return grid_for(
        height,
        width,
        vae.spatial_compression_ratio,
        vae.config.patch_size or 1,
        (vae.tile_sample_min_height, vae.tile_sample_min_width),
        (vae.tile_sample_stride_height, vae.tile_sample_stride_width),
    )


def _bits(x: Tensor) -> NDArray[np.generic]:
    return x.contiguous().view(_BITS[x.element_size()]).cpu().numpy()


def _next(border: Reader, drawn: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The next numbers of a ``border``, of the dtype and on the device of what was ``drawn``."""
    numbers = border.read(shape, np.dtype(f"int{8 * drawn.element_size()}"))
    return torch.from_numpy(numbers).view(drawn.dtype).to(drawn.device)
