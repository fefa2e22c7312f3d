"""Wan's memory and time by shape, held against the real networks on the meta device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from fakes import GIB
from framedaemon import OutOfMemory, Placement
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.stages import Estimate, Machine
from framedaemon.task import StageTask
from framedaemon_wan.cost import kept_bytes, phases, seconds, tokens
from framedaemon_wan.presets import Kind, preset_of
from framedaemon_wan.vae.encoding import encode
from framedaemon_wan.vae.streaming import decode as decode_stream
from live_bytes import Peak

GB = 10**9
A14B, TI2V_5B = preset_of("i2v-a14b").published, preset_of("ti2v-5b").published

FLOAT8, LAYERS, WHOLE = ("float8", "none"), ("same", "group"), ("same", "none")


@pytest.mark.parametrize(
    ("facts", "width", "height", "frames", "count"),
    [(A14B, 832, 480, 81, 32_760), (A14B, 1280, 720, 81, 75_600), (TI2V_5B, 1280, 704, 121, 27_280)],
)
def test_a_token_is_two_by_two_latent_pixels_of_a_latent_frame(
    facts: Any, width: int, height: int, frames: int, count: int
) -> None:
    assert tokens(facts, width, height, frames) == count


def test_phases_take_weights_tokens_and_two_spare_gib() -> None:
    text, condition, high, low, decode = phases(A14B, 832, 480, 81, 81)

    assert [phase.name for phase in (text, condition, high, low, decode)] == [
        "text", "condition", "high noise", "low noise", "decode",
    ]  # fmt: skip
    assert 2 * 14_288_901_184 < high.weights - 2 * GIB < 29.1 * GB
    assert high.work == low.work == 32_760 * 113_152
    assert text.taken == 2 * GIB + 2 * 5_680_910_336
    assert decode.work == pytest.approx(7.26 * GIB, rel=0.01)


def test_the_model_of_one_expert_denoises_in_one_phase() -> None:
    names = [phase.name for phase in phases(TI2V_5B, 1280, 704, 121, 121)]

    assert names == ["text", "condition", "denoise", "decode"]


def test_only_files_of_other_than_16_bits_take_main_memory_while_they_are_read() -> None:
    repacked = replace(A14B, high=replace(A14B.high, bytes=2 * A14B.high.numbers))

    read = [phase.read for phase in phases(repacked, 832, 480, 81, 81)]

    assert read == [0, 0, 0, 2 * A14B.low.numbers if A14B.low else 0, 0]


def test_experts_that_lora_is_added_to_take_main_memory_whatever_their_files() -> None:
    numbers = A14B.high.numbers
    repacked = replace(A14B.high, bytes=2 * numbers)

    read = [phase.read for phase in phases(replace(A14B, high=repacked, low=repacked), 832, 480, 81, 81, fused=True)]

    assert read == [0, 0, 2 * numbers, 2 * numbers, 0]


def test_tiles_spill_no_more_than_the_finished_video_and_its_borders() -> None:
    video = 161 * 832 * 1216 * 3

    decode = phases(A14B, 832, 1216, 81, 161)[-1]

    assert video < decode.spill < 3 * video


def test_on_the_cpu_both_experts_weights_are_as_large_as_in_float32() -> None:
    high = phases(A14B, 832, 480, 81, 81)[2].placed(Placement(), 832, 480)

    assert high.weights - 2 * GIB == pytest.approx(4 * 14_288_901_184, rel=1e-6)


def test_the_denoise_takes_twice_as_long_with_guidance_and_longer_by_the_square_of_tokens() -> None:
    (cpu, gpu), (_, twice), (_, long) = (
        seconds(A14B, 832, 480, frames, passes) for frames, passes in ((81, 40), (81, 80), (161, 40))
    )

    assert twice == 2 * gpu
    assert 2 * gpu < long < 4 * gpu
    assert (cpu > 1000 * gpu, 600 < gpu < 900) == (True, True)


def test_latents_and_checkpoints_of_ten_seconds_take_less_than_a_third_of_a_gigabyte() -> None:
    kept = kept_bytes(A14B, 832, 1216, 81, 2)

    assert 10 * 4 * 16 * 21 * 104 * 152 < kept < 0.3 * GB


# --- what the policy makes of it


def _placed(kind: Kind, size: tuple[int, int, int], vram: int, ram: int) -> tuple[Placement, Estimate]:
    facts, (width, height, frames) = preset_of(kind).published, size
    needs = Estimate(ram=GB, phases=phases(facts, width, height, frames, frames), not_on_cpu="for weeks")
    task = StageTask("generate", "wan", *size)
    machine = Machine("cuda:0", vram * GB, ram * GB, 16)
    placement = DefaultMemoryPolicy().memory_policy(task, needs, machine, 0)
    return placement, needs.placed(placement, *size[:2])


@pytest.mark.parametrize(
    ("kind", "size", "vram", "kept", "tile"),
    [
        ("i2v-a14b", (832, 480, 81), 8, LAYERS, 512),
        ("i2v-a14b", (832, 480, 81), 12, LAYERS, None),
        ("i2v-a14b", (832, 480, 81), 16, LAYERS, None),
        ("i2v-a14b", (832, 480, 81), 24, FLOAT8, None),
        ("i2v-a14b", (832, 480, 81), 48, WHOLE, None),
        ("i2v-a14b", (832, 480, 81), 80, WHOLE, None),
        ("i2v-a14b", (1280, 720, 81), 12, LAYERS, 512),
        ("i2v-a14b", (1280, 720, 81), 16, LAYERS, 512),
        ("i2v-a14b", (1280, 720, 81), 24, LAYERS, None),
        ("i2v-a14b", (1280, 720, 81), 48, WHOLE, None),
        ("i2v-a14b", (1280, 720, 81), 80, WHOLE, None),
        ("ti2v-5b", (1280, 704, 121), 12, LAYERS, 512),
        ("ti2v-5b", (1280, 704, 121), 16, FLOAT8, 512),
        ("ti2v-5b", (1280, 704, 121), 24, WHOLE, 512),
        ("ti2v-5b", (1280, 704, 121), 48, WHOLE, None),
        ("ti2v-5b", (1280, 704, 121), 80, WHOLE, None),
    ],
)
def test_each_card_gets_the_fastest_placement_that_fits_it(
    kind: Kind, size: tuple[int, int, int], vram: int, kept: tuple[str, str], tile: int | None
) -> None:
    placement, needs = _placed(kind, size, vram, ram=64)

    assert (placement.device, (placement.storage, placement.offload), placement.tile) == ("cuda:0", kept, tile)
    assert 0 < needs.vram <= vram * GB
    assert 0 < needs.ram <= 64 * GB


@pytest.mark.parametrize(("kind", "size"), [("i2v-a14b", (1280, 720, 81)), ("ti2v-5b", (1280, 704, 121))])
def test_cards_of_8_gb_are_too_small_for_720p(kind: Kind, size: tuple[int, int, int]) -> None:
    with pytest.raises(OutOfMemory, match=r"fits nowhere here: cuda:0 has 7\.5 GiB free, main memory 59\.6 GiB"):
        _placed(kind, size, 8, ram=64)


def test_16_gb_of_main_memory_are_too_little_for_the_large_model() -> None:
    with pytest.raises(
        OutOfMemory,
        match=r"memory 14\.9 GiB\. It needs one of: .* 27\.5 GiB .*add main memory: most",
    ):
        _placed("i2v-a14b", (832, 480, 81), 8, ram=16)


# --- the numbers behind it, counted anew


def _bytes_of_a_pass(config: dict[str, Any], kind: Kind, width: int, height: int, frames: int) -> int:
    """At the peak of two layers: more of them work one after the other, in the same memory."""
    facts = preset_of(kind).published
    scale, channels = facts.scale, config["in_channels"]
    with torch.device("meta"):
        network = WanTransformer3DModel(num_layers=2, text_dim=4096, **config)
        for name, tensor in network.named_parameters():
            wide = set(name.split(".")) & set(network._keep_in_fp32_modules)
            tensor.data = tensor.data.to(torch.float32 if wide else torch.bfloat16)
        latents = torch.empty(1, channels, 1 + (frames - 1) // 4, height // scale, width // scale, dtype=torch.bfloat16)
        text = torch.empty(1, 512, 4096, dtype=torch.bfloat16)
        step = torch.empty(1, tokens(facts, width, height, frames)) if kind == "ti2v-5b" else torch.empty(1)
    with torch.no_grad(), Peak() as peak:
        network(latents, step, text, return_dict=False)
    return peak.bytes


@pytest.mark.parametrize(
    ("kind", "config", "counted"),
    [
        ("i2v-a14b", {"num_attention_heads": 40, "ffn_dim": 13_824, "in_channels": 36, "out_channels": 16}, 113_152),
        ("ti2v-5b", {"num_attention_heads": 24, "ffn_dim": 14_336, "in_channels": 48, "out_channels": 48}, 199_172),
    ],
)
def test_a_token_takes_what_the_real_transformer_takes_for_one(
    kind: Kind, config: dict[str, Any], counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The difference of two sizes: views of the weights count as the weights do, in both alike."""
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", _attention_of_a_gpu)
    facts = preset_of(kind).published
    small, large = (1280, 704, 49), (1280, 704, 121)

    more = _bytes_of_a_pass(config, kind, *large) - _bytes_of_a_pass(config, kind, *small)

    assert more / (tokens(facts, *large) - tokens(facts, *small)) == pytest.approx(counted, rel=0.005)


def _attention_of_a_gpu(query: torch.Tensor, *rest: Any, **how: Any) -> torch.Tensor:
    """No matrix of all tokens by all tokens, as on torch's meta device."""
    return torch.empty_like(query)


@pytest.mark.parametrize(
    ("facts", "config", "encoded"),
    [
        (A14B, {}, 17),
        (
            TI2V_5B,
            {
                "base_dim": 160,
                "decoder_base_dim": 256,
                "z_dim": 48,
                "is_residual": True,
                "in_channels": 12,
                "out_channels": 12,
                "patch_size": 2,
                "scale_factor_spatial": 16,
            },
            1,
        ),
    ],
)
def test_a_pixel_takes_what_the_real_vae_takes_for_one(facts: Any, config: dict[str, Any], encoded: int) -> None:
    with torch.device("meta"):
        vae = AutoencoderKLWan(**config)
        latents = torch.empty(1, config.get("z_dim", 16), 4, 512 // facts.scale, 512 // facts.scale)
        picture = torch.empty(1, 3, 512, 512)
    _, condition, *_, decode = phases(facts, 512, 512, 81, 81)

    with Peak() as decoding:
        for pictures in decode_stream(vae, latents):
            del pictures
    with Peak() as encoding:
        encode(vae, picture, None, encoded)

    assert sum(tensor.numel() for tensor in vae.parameters()) == facts.vae.numbers
    assert 0.97 * decode.work < decoding.bytes <= decode.work
    assert 0.97 * condition.work < encoding.bytes <= condition.work
