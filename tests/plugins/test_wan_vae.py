"""Frames stream out of Wan's VAE: the same bits as whole, and memory that does not know the clip's length."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("diffusers")

import torch
from diffusers.video_processor import VideoProcessor

from framedaemon import StageFailed
from framedaemon_wan.vae.streaming import decode, to_frames
from live_bytes import Peak
from tiny_vae import tiny_latents, tiny_vae

KINDS = pytest.mark.parametrize("kind", ["8x", "16x"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@KINDS
@DTYPES
def test_streamed_pictures_are_those_of_a_whole_decode_to_the_bit(kind: str, dtype: torch.dtype) -> None:
    vae, latents = tiny_vae(kind, dtype=dtype), 4 * tiny_latents(kind, 5, 6, 10).to(dtype)

    streamed = torch.cat(list(decode(vae, latents)))

    with torch.no_grad():
        whole = vae.decode(latents).sample[0].transpose(0, 1)
    assert bool((whole == 1.0).any()), "some must lie beyond what is clamped"
    assert torch.equal(streamed, whole)


def test_the_first_latent_frame_gives_one_picture_and_each_further_one_four() -> None:
    vae, latents = tiny_vae("8x"), tiny_latents("8x", 4, 4, 4)

    assert [len(pictures) for pictures in decode(vae, latents)] == [1, 4, 4, 4]


@KINDS
def test_a_longer_video_takes_no_more_memory_than_its_latents(kind: str) -> None:
    vae, short, long = tiny_vae(kind), tiny_latents(kind, 4, 8, 12), tiny_latents(kind, 12, 8, 12)

    with Peak() as of_short:
        list(map(len, decode(vae, short)))
    with Peak() as of_long:
        list(map(len, decode(vae, long)))

    assert of_long.bytes - of_short.bytes <= long.nbytes - short.nbytes


def test_two_videos_drawn_in_turns_do_not_mix() -> None:
    """What a decode remembers is its own: an abandoned one leaves nothing in the VAE."""
    vae, one, other = tiny_vae("8x"), tiny_latents("8x", 3, 4, 4), tiny_latents("8x", 3, 4, 4, seed=1)
    alone = list(decode(vae, one))

    in_turns = [pictures for pictures, _ in zip(decode(vae, one), decode(vae, other), strict=True)]

    assert torch.equal(torch.cat(in_turns), torch.cat(alone))


@DTYPES
def test_frames_are_what_the_pipelines_own_processor_makes_of_them(dtype: torch.dtype) -> None:
    pictures = torch.linspace(-1.0, 1.0, 3 * 3 * 16 * 24).reshape(3, 3, 16, 24).to(dtype)

    frames = to_frames(pictures)

    processed = VideoProcessor().postprocess_video(pictures.transpose(0, 1)[None], output_type="np")[0]
    assert np.array_equal(np.stack(frames), (processed * 255).round().astype(np.uint8))
    assert all(frame.flags.c_contiguous and frame.flags.owndata is not None for frame in frames)


def test_what_is_no_number_fails_the_stage_instead_of_becoming_black() -> None:
    pictures = torch.zeros(1, 3, 4, 4)
    pictures[0, 1, 2, 3] = float("nan")

    with pytest.raises(StageFailed, match="no number"):
        to_frames(pictures)
