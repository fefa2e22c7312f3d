"""AutoencoderKLWan of one and three megabytes, of both kinds, with random weights: what tests decode and encode by.

The classes, depths and switches are the real ones; only the channels are few. Imports diffusers: import it where it is
installed.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLWan

_TINY: dict[str, dict[str, Any]] = {
    "8x": {"base_dim": 4, "z_dim": 16},
    "16x": {
        "base_dim": 4,
        "decoder_base_dim": 8,
        "z_dim": 48,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
        "latents_mean": [(number - 24) / 48 for number in range(48)],
        "latents_std": [0.5 + number / 48 for number in range(48)],
    },
}


def tiny_vae(kind: str, seed: int = 0, dtype: torch.dtype = torch.float32, **sizes: Any) -> AutoencoderKLWan:
    """The VAE of Wan 2.1 and A14B (``kind`` "8x") or of TI2V-5B ("16x"), tiny; the same weights for the same seed.

    sizes: arguments of the class, in place of those here.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKLWan(**_TINY[kind] | sizes)
    torch.nn.Module.to(vae, dtype)  # diffusers' own `to` warns of casting, though nothing here must stay float32
    return vae.eval().requires_grad_(False)


def tiny_latents(kind: str, latent_frames: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """(1, C, latent_frames, height, width) float32, what `tiny_vae` of ``kind`` decodes; sides in latent pixels."""
    channels = _TINY[kind]["z_dim"]
    return torch.randn(1, channels, latent_frames, height, width, generator=torch.Generator().manual_seed(seed))
