"""Pictures out of Wan's VAE one latent frame at a time, bit for bit those of `AutoencoderKLWan.decode`.

    latent frames   0      1         2          each convolution in time remembers the last two frames that it saw;
                    │      │         │          beyond these nothing of the frames before is needed
    pictures        0   1 2 3 4   5 6 7 8

`AutoencoderKLWan.decode` goes the same way and keeps all pictures till the end; here each chunk is handed out.

Imports torch and diffusers: import it only where the stage is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify
from torch import Tensor, nn

from framedaemon import Frame, StageFailed

Vae: TypeAlias = Any
"""An AutoencoderKLWan: a decorator hides its attributes from type checkers."""


class Chunks:
    """A causal encoder or decoder, called with one chunk after the other of one video or one tile."""

    def __init__(self, network: nn.Module) -> None:
        """network: ``vae.encoder`` or ``vae.decoder``."""
        self._network = network
        convolutions = sum(isinstance(module, WanCausalConv3d) for module in network.modules())
        self._features: list[Tensor | str | None] = [None] * convolutions
        self._begun = False

    def draw(self, latent: Tensor) -> Tensor:
        """What a decoder makes of the next latent frame (1, C, 1, h, w): (1, C', 1 or 4, H, W)."""
        first, self._begun = not self._begun, True
        drawn: Tensor = self._network(latent, feat_cache=self._features, feat_idx=[0], first_chunk=first)
        return drawn

    def encode(self, pictures: Tensor) -> Tensor:
        """What an encoder makes of the next pictures, 1 the first time and 4 from then on: (1, C', 1, h, w)."""
        encoded: Tensor = self._network(pictures, feat_cache=self._features, feat_idx=[0])
        return encoded


def decode(vae: Vae, latents: Tensor) -> Iterator[Tensor]:
    """The video of ``latents`` as it is drawn: (1, 3, H, W), then (4, 3, H, W) for each further latent frame.

    latents: (1, C, T, h, w), denormalised, of the VAE's dtype and device.
    Yields pictures of -1..1, of the same dtype and device: those of ``vae.decode`` without tiling, to the bit.
    """
    assert latents.ndim == 5 and latents.shape[0] == 1
    with torch.no_grad():
        z = vae.post_quant_conv(latents)  # all at once, as the VAE does: small, and the same kernel
    chunks = Chunks(vae.decoder)
    for number in range(z.shape[2]):
        with torch.no_grad():
            pictures = to_pictures(vae, chunks.draw(z[:, :, number : number + 1]))
        yield pictures
        del pictures  # not to stand beside the next


def to_pictures(vae: Vae, drawn: Tensor) -> Tensor:
    """What the decoder drew, (1, C', N, H', W'), as pictures (N, 3, H, W) of -1..1."""
    if vae.config.patch_size is not None:
        drawn = unpatchify(drawn, patch_size=vae.config.patch_size)
    return drawn.clamp(-1.0, 1.0)[0].transpose(0, 1)


def to_frames(pictures: Tensor) -> list[Frame]:
    """Pictures (N, 3, H, W) of -1..1 as N frames (H, W, 3) uint8, each its own memory.

    The same numbers as ``VideoProcessor.postprocess_video(output_type="np")`` times 255, rounded half to even as numpy
    and diffusers' `numpy_to_pil` do; the first step is taken in the pictures' own dtype, as there.
    Raises StageFailed where a picture holds what is no number.
    """
    levels = (pictures * 0.5 + 0.5).clamp(0.0, 1.0).float().mul_(255.0).round_()
    if bool(levels.sum().isnan()):
        raise StageFailed("the VAE drew what is no number: its weights are spoilt, or its number format too narrow")
    whole = levels.permute(0, 2, 3, 1).to(torch.uint8).contiguous().cpu().numpy()
    return [whole[0]] if len(whole) == 1 else [frame.copy() for frame in whole]
