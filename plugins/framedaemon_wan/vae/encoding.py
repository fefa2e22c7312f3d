"""A still into Wan's VAE: the latents of "this picture, then nothing" without a video of nothing.

    pictures   first   0 0 0 0   0 0 0 0  …  0 0 0 last        made chunk by chunk, encoded, forgotten
                 │        │         │            │
    latents      0        1         2            n

Bit for bit what `AutoencoderKLWan.encode` makes of the whole video that `WanImageToVideoPipeline` would build.
That only zeros come in the middle saves nothing at the lengths that the models know: with the depth of the real
encoder its answer to them is the same to the bit from the 30th latent frame on, and 81 frames have 21.

Imports torch and diffusers: import it only where the stage is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify
from torch import Tensor

from framedaemon_wan.vae.streaming import Chunks, Vae


def encode(vae: Vae, picture: Tensor, last_picture: Tensor | None, frames: int, tiled: bool = False) -> Tensor:
    """The latents (1, C, 1 + (frames - 1) / 4, h, w) of ``picture`` and zeros, ended by ``last_picture``.

    picture, last_picture: (1, 3, H, W), -1..1, any dtype and device; the second one is the video's last picture.
    frames: 4k + 1; just 1 for a model that is given the picture's latents only.
    tiled: as ``vae.enable_tiling()``, where the picture is larger than a tile.
    Returns the distribution's mode, of the VAE's dtype and on its device, as it comes: not normalised.
    """
    assert picture.ndim == 4 and picture.shape[0] == 1 and frames % 4 == 1
    assert last_picture is None or (frames > 1 and last_picture.shape == picture.shape)
    height, width = picture.shape[-2:]
    with torch.no_grad():
        last = None if last_picture is None else _taken(vae, last_picture)
        still = Still(_taken(vae, picture), last, frames)
        if tiled and (width > vae.tile_sample_min_width or height > vae.tile_sample_min_height):
            moments = _encode_tiles(vae, still)
        else:
            moments = vae.quant_conv(torch.cat(_encode(vae, still), dim=2))
        mode: Tensor = moments.chunk(2, dim=1)[0]  # the other half is its variance
        return mode.clone()


@dataclass(frozen=True, slots=True)
class Still:
    """A video of one or two pictures, (1, C, 1, H, W) each, with zeros after and between them."""

    first: Tensor
    last: Tensor | None
    frames: int

    def window(self, top: int, left: int, height: int, width: int) -> Still:
        """The part that begins at ``top``, ``left``, as large as that or as there is."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        last = None if self.last is None else self.last[..., rows, columns]
        return Still(self.first[..., rows, columns], last, self.frames)

    def chunk(self, number: int) -> Tensor:
        """The first picture, or the ``number``th four that follow it."""
        if number == 0:
            return self.first
        shape = list(self.first.shape)
        shape[2] = 4
        pictures = self.first.new_zeros(shape)
        if self.last is not None and number == self.chunks - 1:
            pictures[:, :, -1:] = self.last
        return pictures

    @property
    def chunks(self) -> int:
        """How many latent frames it becomes."""
        return 1 + (self.frames - 1) // 4


def _taken(vae: Vae, picture: Tensor) -> Tensor:
    """``picture`` as the encoder takes it: (1, C, 1, H', W')."""
    taken: Tensor = picture.unsqueeze(2).to(vae.device, vae.dtype)
    if vae.config.patch_size is None:
        return taken
    patched: Tensor = patchify(taken, patch_size=vae.config.patch_size)
    return patched


def _encode(vae: Vae, still: Still) -> list[Tensor]:
    """What the encoder says of each chunk."""
    chunks = Chunks(vae.encoder)
    return [chunks.encode(still.chunk(number)) for number in range(still.chunks)]


def _encode_tiles(vae: Vae, still: Still) -> Tensor:
    """As ``vae.tiled_encode``, which counts a tile's sides in the encoder's pixels, patches where there are any."""
    scale = vae.spatial_compression_ratio // (vae.config.patch_size or 1)
    height, width = still.first.shape[-2:]
    sides = vae.tile_sample_min_height, vae.tile_sample_min_width
    down, across = vae.tile_sample_stride_height, vae.tile_sample_stride_width
    finished, above = [], None
    for top in range(0, height, down):
        row: list[Tensor] = []
        for column, left in enumerate(range(0, width, across)):
            encoded = _encode(vae, still.window(top, left, *sides))
            tile = torch.cat([vae.quant_conv(chunk) for chunk in encoded], dim=2)
            if above is not None:
                tile = vae.blend_v(above[column], tile, sides[0] // scale - down // scale)
            if row:
                tile = vae.blend_h(row[-1], tile, sides[1] // scale - across // scale)
            row.append(tile)
        finished.append(torch.cat([tile[..., : down // scale, : across // scale] for tile in row], dim=-1))
        above = row
    return torch.cat(finished, dim=3)[..., : height // scale, : width // scale]
