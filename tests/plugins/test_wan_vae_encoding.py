"""A still goes into Wan's VAE chunk by chunk, and becomes what a whole video of it would."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("diffusers")

import torch

from framedaemon_wan.vae.encoding import encode
from tiny_vae import tiny_vae

KINDS = pytest.mark.parametrize("kind", ["8x", "16x"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("two", [False, True])
@KINDS
def test_the_latents_are_those_of_the_whole_video_to_the_bit(kind: str, two: bool, dtype: torch.dtype) -> None:
    vae, picture = tiny_vae(kind, dtype=dtype), drawn(64, 96)
    last = drawn(64, 96, seed=1) if two else None

    latents = encode(vae, picture, last, 13)

    assert torch.equal(latents, by_the_vae(vae, picture, last, 13))


@KINDS
@pytest.mark.parametrize("two", [False, True])
def test_tiled_latents_are_those_of_a_tiled_encode_to_the_bit(kind: str, two: bool) -> None:
    vae, picture = tiny_vae(kind), drawn(48, 80)
    vae.enable_tiling(32, 32, 16, 16)
    last = drawn(48, 80, seed=1) if two else None

    latents = encode(vae, picture, last, 5, tiled=True)

    assert torch.equal(latents, by_the_vae(vae, picture, last, 5))


def test_a_picture_no_larger_than_a_tile_is_encoded_whole() -> None:
    vae, picture = tiny_vae("8x"), drawn(64, 64)
    vae.enable_tiling(64, 64, 32, 32)

    assert torch.equal(encode(vae, picture, None, 5, tiled=True), by_the_vae(vae, picture, None, 5))


@KINDS
def test_a_model_that_takes_the_picture_only_gets_one_latent_frame(kind: str) -> None:
    vae, picture = tiny_vae(kind), drawn(64, 96)

    latents = encode(vae, picture, None, 1)

    assert torch.equal(latents, by_the_vae(vae, picture, None, 1))
    assert latents.shape[2] == 1


def drawn(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def by_the_vae(vae: Any, picture: torch.Tensor, last: torch.Tensor | None, frames: int) -> torch.Tensor:
    """As `WanImageToVideoPipeline.prepare_latents` builds its video and encodes it."""
    video = torch.cat([picture[:, :, None], picture.new_zeros(1, 3, frames - 1, *picture.shape[-2:])], dim=2)
    video[:, :, -1:] = video[:, :, -1:] if last is None else last[:, :, None]
    with torch.no_grad():
        return vae.encode(video.to(vae.dtype)).latent_dist.mode()
