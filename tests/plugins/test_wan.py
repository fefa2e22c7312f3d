"""What wan says of itself and promises, before anything is loaded: no torch."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import machine, picture
from framedaemon import JobRejected, Picture
from framedaemon_wan import Wan, WanOptions
from framedaemon_wan.facts import read_facts
from framedaemon_wan.geometry import fitted, frames_for, size_for
from framedaemon_wan.options import completed
from framedaemon_wan.presets import LIGHTNING, MODELS, NEGATIVE_PROMPT
from framedaemon_wan.segments import Match, drift_of, match_of, segments_of


def options(model: str = "wan-i2v-a14b", **asked: Any) -> WanOptions:
    """Completed by the published weights."""
    return completed(None, WanOptions.model_validate({"weights": model} | asked))


# --- what the model knows


def test_what_a_recipe_leaves_open_is_as_the_model_was_trained() -> None:
    big, small = options(), options("wan-ti2v-5b")

    assert (big.frames, big.fps, big.steps, big.guidance, big.guidance_low, big.shift) == (81, 16, 40, 3.5, 3.5, 5.0)
    assert (small.frames, small.fps, small.steps, small.guidance, small.shift) == (121, 24, 50, 5.0, 5.0)
    assert big.negative_prompt == NEGATIVE_PROMPT
    assert (big.experts, small.experts) == (("high", "low"), ("high",))


@pytest.mark.parametrize(
    ("model", "asked", "said"),
    [
        ("wan-ti2v-5b", {}, "ti2v-5b takes no last picture: take it away"),
        ("wan-i2v-a14b", {"last": "first"}, "leave 'last' out"),
        ("wan-i2v-a14b", {"frames": 1}, "one frame cannot end with another"),
    ],
)
def test_a_last_picture_that_would_be_passed_over_is_refused(model: str, asked: dict[str, Any], said: str) -> None:
    ending = replace(picture(), last=picture().pixels)

    with pytest.raises(JobRejected, match=said):
        Wan().promise(ending, options(model, **asked))


def test_what_a_recipe_says_stays() -> None:
    asked = options(steps=20, guidance=1.0, guidance_low=1.0, fps=Fraction(24), negative_prompt="", frames=33)

    assert (asked.steps, asked.guidance, asked.fps, asked.frames) == (20, 1.0, 24, 33)
    assert asked.negative_prompt == ""


def test_guidance_alone_is_for_both_experts() -> None:
    plain, strong = options(guidance=1.0), options(guidance=6.0)

    assert (plain.guidance_low, plain.guided) == (1.0, False)
    assert (strong.guidance_low, strong.guided) == (6.0, True)


def test_lightning_draws_in_four_steps_without_guidance_by_its_loras() -> None:
    fast = options(speed="lightning")

    assert (fast.steps, fast.guidance, fast.guidance_low, fast.shift) == (4, 1.0, 1.0, 5.0)
    assert LIGHTNING.name in Wan().chosen_weights(Path("nowhere"), fast)
    assert fast.fused and not options().fused


@pytest.mark.parametrize(
    ("model", "asked", "said"),
    [
        ("wan-ti2v-5b", {"last": "first"}, "ti2v-5b takes no last picture"),
        ("wan-ti2v-5b", {"size": "480p"}, "size: ti2v-5b draws 720p"),
        ("wan-ti2v-5b", {"speed": "lightning"}, "made for wan-i2v-a14b"),
        ("wan-ti2v-5b", {"loras": [{"weights": "wan-x", "expert": "low"}]}, "has one expert"),
        ("wan-i2v-a14b", {"guidance": 1.0, "guidance_low": 3.0}, "both are above 1, or neither is"),
        ("wan-i2v-a14b", {"guidance": 0.5, "guidance_low": 3.5}, "both are above 1, or neither is"),
        ("wan-i2v-a14b", {"step_cache": "mag"}, "one for each of the 40 steps"),
    ],
)
def test_what_a_model_cannot_do_is_refused_in_words(model: str, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(JobRejected, match=said):
        options(model, **asked)


# --- sizes and lengths


@pytest.mark.parametrize(
    ("size", "model", "asked", "drawn"),
    [
        ((1920, 1080), "wan-i2v-a14b", {}, (848, 480)),
        ((832, 480), "wan-i2v-a14b", {}, (832, 480)),
        ((1080, 1920), "wan-i2v-a14b", {"size": "720p"}, (720, 1280)),
        ((1000, 1000), "wan-ti2v-5b", {}, (960, 960)),
        ((3000, 1000), "wan-ti2v-5b", {}, (1632, 544)),
        ((1000, 500), "wan-i2v-a14b", {"width": 512}, (512, 256)),
        ((1000, 500), "wan-i2v-a14b", {"width": 500, "height": 300}, (496, 304)),
    ],
)
def test_a_clip_has_the_pictures_aspect_and_the_models_multiples(
    size: tuple[int, int], model: str, asked: dict[str, Any], drawn: tuple[int, int]
) -> None:
    promised = Wan().promise(picture(*size), options(model, **asked))

    assert (promised.width, promised.height) == drawn


def test_a_picture_like_a_thread_is_refused_in_words() -> None:
    with pytest.raises(JobRejected, match="20000x32 is more than 8192 pixels a side"):
        Wan().promise(picture(10_000, 16), options("wan-ti2v-5b", height=32))


def test_frames_are_rounded_up_to_4k_and_1_and_that_is_said() -> None:
    asked = options(frames=80, width=500)

    promised = Wan().promise(picture(1000, 500), asked)

    assert [frames_for(count) for count in (1, 2, 5, 80, 81)] == [1, 5, 5, 81, 81]
    assert promised.frames == 81
    assert Wan().remarks(picture(1000, 500), asked) == (
        "81 frames in place of 80: wan draws 4k + 1",
        "width 496 in place of 500: wan draws multiples of 16",
    )


@pytest.mark.parametrize(
    ("frames", "most", "lengths"),
    [
        (161, 81, [81, 81]),
        (81, 81, [81]),
        (101, 81, [49, 53]),
        (241, 121, [121, 121]),
        (1, 81, [1]),
        (13, 5, [5, 5, 5]),
    ],
)
def test_a_long_clip_is_cut_into_segments_that_share_their_ends(frames: int, most: int, lengths: list[int]) -> None:
    segments = segments_of(frames, most)

    assert [segment.frames for segment in segments] == lengths
    assert [segment.start for segment in segments[1:]] == [segment.stop - 1 for segment in segments[:-1]]
    assert segments[-1].stop == frames


def test_one_pass_over_the_trained_length_is_drawn_only_when_asked_by_name() -> None:
    assert "2 segments" in Wan().remarks(picture(832, 480), options(frames=161))[0]
    assert Wan().remarks(picture(832, 480), options(frames=161, single_pass=True)) == ()


def test_a_preview_is_small_and_short_and_has_few_steps() -> None:
    whole = options(frames=161, width=1280, height=720, size="720p")

    cheap = Wan().previewed(whole)
    gives = Wan().promise(picture(1280, 720), cheap)

    assert (cheap.steps, gives.frames) == (8, 81)
    assert gives.width * gives.height < 1280 * 720 / 8


# --- the picture


def test_a_picture_is_cropped_in_its_middle_and_never_stretched() -> None:
    y, x = np.mgrid[0:200, 0:400]
    circle = np.where((x - 200) ** 2 + (y - 100) ** 2 < 60**2, 255, 0).astype(np.uint8)
    wide = Picture(np.ascontiguousarray(np.repeat(circle[..., None], 3, axis=2)))

    cropped, padded = fitted(wide, 96, 96, "crop"), fitted(wide, 96, 96, "pad")

    for_circle = [_extent(cropped), _extent(padded)]
    assert for_circle[0][0] == pytest.approx(for_circle[0][1], abs=1)
    assert for_circle[1][0] == pytest.approx(for_circle[1][1], abs=1)
    assert for_circle[0][0] == pytest.approx(120 * 96 / 200, abs=1)
    assert for_circle[1][0] == pytest.approx(120 * 96 / 400, abs=1)


@pytest.mark.parametrize("thread", [(1, 5000), (5000, 1)])
def test_a_picture_like_a_thread_is_padded_too(thread: tuple[int, int]) -> None:
    padded = fitted(Picture(np.full((*thread[::-1], 3), 200, np.uint8)), 64, 64, "pad")

    assert padded.shape == (64, 64, 3)
    assert sorted(_extent(padded)) == [1, 64]


def test_the_size_for_a_picture_keeps_its_area_within_a_step() -> None:
    sizes = [size_for((w, 1000), 480 * 832, 16) for w in range(300, 3000, 37)]

    assert max(abs(w * h / (480 * 832) - 1) for w, h in sizes) < 0.06


# --- colours between segments


def test_a_shift_of_colours_is_found_and_undone() -> None:
    frame = np.random.default_rng(3).integers(40, 200, (48, 64, 3)).astype(np.uint8)
    shifted = np.clip(frame * 1.05 + (4, -3, 2), 0, 255).astype(np.uint8)

    match = match_of(shifted, frame)

    assert np.abs(match.apply(shifted).astype(int) - frame).mean() < 1
    assert np.abs(shifted.astype(int) - frame).mean() > 4
    assert np.abs(drift_of(shifted, frame)["mean"]).max() > 2
    assert Match().apply(frame) is frame


# --- folders of weights


def test_facts_are_read_from_configs_and_headers(tmp_path: Path) -> None:
    _folder(tmp_path)

    facts = read_facts(tmp_path)

    assert (facts.kind, facts.boundary, facts.scale) == ("i2v-a14b", 0.9, 8)
    assert (facts.high.numbers, facts.high.layer) == (4 * 6 + 7, 4 * 5)
    assert facts.low is not None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"transformer": {"_class_name": "WanTransformer3DModel", "in_channels": 16}}, "no image-to-video model"),
        ({"index": {"boundary_ratio": None}}, "as Wan 2.1 has"),
        ({"index": None}, "model_index.json cannot be read: framedaemon models verify"),
        ({"weights": b"\x00" * 3}, "is damaged: framedaemon models verify"),
        ({"weights": struct.pack("<Q", 1 << 60)}, "is damaged"),
        ({"weights": struct.pack("<Q", 2) + b"[]"}, "is damaged"),
    ],
)
def test_a_folder_that_is_none_of_wans_is_refused_in_words(tmp_path: Path, spoil: dict[str, Any], said: str) -> None:
    _folder(tmp_path, **spoil)

    with pytest.raises(JobRejected, match=said):
        read_facts(tmp_path)


def test_files_of_a_variant_are_not_counted_and_do_not_do(tmp_path: Path) -> None:
    _folder(tmp_path)
    plain = tmp_path / "text_encoder" / "m.safetensors"
    counted = read_facts(tmp_path).text

    variant = plain.with_name("m.fp16.safetensors")
    variant.write_bytes(plain.read_bytes())
    beside = read_facts(tmp_path).text
    plain.unlink()

    assert beside == counted
    with pytest.raises(JobRejected, match="text_encoder holds no safetensors; files of a variant"):
        read_facts(tmp_path)


def test_a_repository_is_told_by_its_small_files(tmp_path: Path) -> None:
    _folder(tmp_path, weights=b"not come yet")

    Wan().check_folder(tmp_path)
    (tmp_path / "model_index.json").unlink()

    with pytest.raises(ValueError, match=r"model_index.json cannot be read"):
        Wan().check_folder(tmp_path)


# --- what is missing


def test_missing_weights_are_said_with_the_command(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")

    assert (
        Wan().unready(replace(machine(), models=tmp_path))
        == "its weights are missing: framedaemon models pull wan-ti2v-5b"
    )


def test_rows_name_what_is_needed_of_a_repository() -> None:
    files = MODELS[0].files

    assert {"model_index.json", "transformer/*", "transformer_2/*", "vae/*"} <= set(files)
    assert all(row.licence == "Apache-2.0" for row in Wan().weights)


def _extent(frame: Any) -> tuple[int, int]:
    rows, columns = np.nonzero(frame[..., 0] > 127)
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def _folder(
    root: Path,
    index: dict[str, Any] | bool | None = True,
    transformer: dict[str, Any] | None = None,
    weights: bytes | None = None,
) -> None:
    """A pipeline's small files, and headers of safetensors without their tensors."""
    given = {"boundary_ratio": 0.9, "expand_timesteps": False} | (index if isinstance(index, dict) else {})
    if index is not None:
        (root / "model_index.json").write_text(json.dumps(given))
    config = transformer or {"_class_name": "WanTransformer3DModel", "in_channels": 36}
    shapes = {"blocks.0.a": [4, 5], "blocks.0.b": [4], "patch.weight": [7]}
    tensors = {name: {"shape": shape, "data_offsets": [0, 2 * int(np.prod(shape))]} for name, shape in shapes.items()}
    header = json.dumps({"__metadata__": {}} | tensors).encode()
    for part in ("transformer", "transformer_2", "text_encoder", "vae"):
        (root / part).mkdir()
        (root / part / "config.json").write_text(json.dumps(config if "trans" in part else {"z_dim": 16}))
        (root / part / "m.safetensors").write_bytes(weights or struct.pack("<Q", len(header)) + header)
