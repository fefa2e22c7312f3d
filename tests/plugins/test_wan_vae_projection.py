"""Previews of latents by a linear map that the job's own picture taught."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("diffusers")

import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d, interpolate

from framedaemon_wan.vae.encoding import encode
from framedaemon_wan.vae.projection import fit, project
from tiny_vae import tiny_vae


def test_latents_that_are_linear_in_the_picture_show_another_picture_within_a_level() -> None:
    mixed = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    known, other = (torch.einsum("cd,bdhw->bchw", mixed, avg_pool2d(drawn(seed), 8))[:, :, None] for seed in (1, 2))

    shown = project(fit(known, drawn(1)), other)

    assert np.abs(shown[0] - small(drawn(2), 8)).max() <= 1


@pytest.mark.parametrize("kind", ["8x", "16x"])
def test_the_picture_is_nearer_than_its_mean_colour_even_with_a_vae_that_learned_nothing(kind: str) -> None:
    """Random weights mix a picture up; what a trained VAE does is nearer to linear than that."""
    vae = tiny_vae(kind)
    known, other = encode(vae, drawn(1), None, 1), encode(vae, drawn(2), None, 1)

    matrix = fit(known, drawn(1))

    factor = vae.spatial_compression_ratio
    assert explained(project(matrix, known)[0], small(drawn(1), factor)) > 0.05
    assert explained(project(matrix, other)[0], small(drawn(2), factor)) > 0.05


def test_a_plain_picture_teaches_its_colour_and_no_noise() -> None:
    plain, latents = torch.full((1, 3, 64, 64), 0.5), torch.ones(1, 16, 1, 8, 8)

    matrix = fit(latents, plain)

    assert (project(matrix, latents) == 191).all()  # (0.5 · 0.5 + 0.5) · 255, rounded
    assert (project(matrix, torch.randn(1, 16, 3, 8, 8)) == 191).all()


def test_each_latent_frame_gives_a_picture_and_what_is_no_number_is_shown_grey() -> None:
    latents = torch.randn(1, 16, 5, 8, 12)
    latents[:, :, 2] = float("nan")

    shown = project(torch.zeros(17, 3), latents)

    assert shown.shape == (5, 8, 12, 3) and shown.dtype == np.uint8
    assert (shown[2] == 128).all()


def drawn(seed: int) -> torch.Tensor:
    """Soft blots of colour, (1, 3, 256, 256), -1..1."""
    blots = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return interpolate(blots, (256, 256), mode="bicubic").clamp(-1.0, 1.0)


def small(picture: torch.Tensor, factor: int) -> NDArray[np.float32]:
    """Averaged to the latents' size, in levels."""
    return ((avg_pool2d(picture, factor)[0].permute(1, 2, 0) * 0.5 + 0.5) * 255).numpy()


def explained(shown: NDArray[np.uint8], wanted: NDArray[np.float32]) -> float:
    """The share of the picture's variance that is shown; 0: no better than its mean colour."""
    return float(1 - ((shown - wanted) ** 2).sum() / ((wanted - wanted.mean((0, 1))) ** 2).sum())
