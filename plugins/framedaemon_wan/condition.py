"""The picture as the denoise sees it: its latents by the VAE, a mask of what is given, and the noise to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from framedaemon import Frame, Placement
from framedaemon.networks import Device
from framedaemon_wan.vae.encoding import encode


@dataclass(frozen=True, slots=True)
class Condition:
    """What the denoise begins with, on the CPU, float32; all as `WanImageToVideoPipeline.prepare_latents` gives it."""

    noise: Tensor
    """(1, C, T, h, w), from the seed."""
    given: Tensor
    """Two experts: (1, 4 + C, T, h, w), the mask of given frames above the picture's latents. One: (1, C, 1, h, w)."""

    def picture(self) -> Tensor:
        """(1, C, 1, h, w): the latents of the picture itself."""
        return self.given[:, -self.noise.shape[1] :, :1]

    def mask(self) -> Tensor:
        """(1, 1, T, h, w): 0 where the picture stands, for the model that has it as its first frame."""
        mask = torch.ones_like(self.noise[:, :1])
        mask[:, :, 0] = 0
        return mask


def load_vae(folder: Path, device: Device, placement: Placement) -> Any:
    """The VAE of the pipeline in ``folder``, float32 as its frames need it, its tiles as large as the policy says."""
    vae = AutoencoderKLWan.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32, local_files_only=True)
    vae.eval().requires_grad_(False)
    if placement.tile is not None:
        side, stride = placement.tile, placement.tile * 3 // 4
        vae.enable_tiling(side, side, stride, stride)
    return vae.to(device.torch_device)


def prepare(vae: Any, first: Frame, last: Frame | None, frames: int, seed: int, *, expand: bool) -> Condition:
    """The condition of a clip of ``frames`` frames that begins with ``first``, and ends with ``last`` if that is given.

    expand: for the model that takes the picture as its first latent frame (TI2V-5B).
    """
    temporal, spatial = vae.config.scale_factor_temporal, vae.config.scale_factor_spatial
    height, width = first.shape[0] // spatial, first.shape[1] // spatial
    shape = (1, vae.config.z_dim, (frames - 1) // temporal + 1, height, width)
    noise = noise_for(shape, seed)
    ended = None if last is None else _tensor(last, vae)
    latents = encode(vae, _tensor(first, vae), ended, 1 if expand else frames, vae.use_tiling)
    mean, std = moments(vae, latents.device, torch.float32)
    latents = ((latents.float() - mean) * std).cpu()
    if expand:
        return Condition(noise, latents)
    shown = torch.zeros(1, frames, height, width)
    shown[:, 0] = 1
    if last is not None:
        shown[:, -1] = 1
    shown = torch.cat([shown[:, :1].expand(-1, temporal, -1, -1), shown[:, 1:]], dim=1)
    mask = shown.view(1, shape[2], temporal, height, width).transpose(1, 2)
    return Condition(noise, torch.cat([mask, latents], dim=1))


def noise_for(shape: Sequence[int], seed: int) -> Tensor:
    """Noise of ``shape``, float32, drawn on the CPU: the same whatever the device."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    noise: Tensor = randn_tensor(tuple(shape), generator=generator, device=torch.device("cpu"), dtype=torch.float32)
    return noise


def moments(vae: Any, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean, and one over the standard deviation, of the latents: (1, C, 1, 1, 1) each."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(device, dtype)
    std = 1.0 / torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(device, dtype)
    return mean, std


def denormalised(vae: Any, latents: Tensor) -> Tensor:
    """Latents of the denoise as the VAE decodes them."""
    latents = latents.to(vae.device, vae.dtype)
    mean, std = moments(vae, latents.device, latents.dtype)
    denormal: Tensor = latents / std + mean
    return denormal


def _tensor(frame: Frame, vae: Any) -> Tensor:
    """(1, 3, H, W) of -1..1, by the arithmetic of diffusers' VideoProcessor."""
    whole = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 255.0
    return (2.0 * whole - 1.0).to(vae.device, vae.dtype)
