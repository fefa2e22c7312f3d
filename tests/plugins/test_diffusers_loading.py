"""Pipelines put where a placement wants them, as far as a CPU shows it; and which of them can go on in their middle."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from framedaemon import Frame, Picture, Placement, Scratch  # noqa: E402
from framedaemon.networks import device_for  # noqa: E402
from framedaemon_diffusers import Diffusers, DiffusersOptions  # noqa: E402
from framedaemon_diffusers.drawing import arguments  # noqa: E402
from framedaemon_diffusers.facts import read_facts  # noqa: E402
from framedaemon_diffusers.loading import open_pipeline  # noqa: E402
from framedaemon_diffusers.resuming import why_whole  # noqa: E402
from framedaemon_diffusers.signature import read_signature, signature_of  # noqa: E402
from tiny_diffusers import record_tiny, tiny  # noqa: E402

PICTURE = Picture(np.random.default_rng(1).integers(0, 256, (40, 70, 3), np.uint8))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def opened(kind: str, models: Path, placement: Placement) -> tuple[Any, dict[str, Any]]:
    """The tiny pipeline ``kind``, and what was noted when it was placed."""
    folder, notes = record_tiny(kind, models), dict[str, Any]()
    with device_for(placement) as device:
        return open_pipeline(folder, read_facts(folder), device, placement, notes.__setitem__), notes


def draw(kind: str, models: Path, placement: Placement, scratch: Path, **asked: Any) -> list[Frame]:
    wanted = DiffusersOptions(weights=kind, seed=3, width=64, height=32, frames=5, **{"steps": 2, **asked})
    options = Diffusers().completed(record_tiny(kind, models), wanted)
    scratch.mkdir()
    with Diffusers().load(placement, options) as generate:
        return list(generate(PICTURE, Scratch(scratch)))


def test_networks_are_of_the_placements_number_format(models: Path) -> None:
    pipeline, notes = opened("ltx", models, Placement(dtype="bfloat16"))

    kinds = {pipeline.transformer.dtype, pipeline.vae.dtype, pipeline.text_encoder.dtype}
    assert kinds == {torch.bfloat16}
    assert notes == {}


def test_a_vae_that_shows_narrow_numbers_keeps_wide_ones(models: Path) -> None:
    pipeline, _ = opened("wan-5b", models, Placement(dtype="bfloat16"))

    assert (pipeline.transformer.dtype, pipeline.vae.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("kind", ["ltx", "svd", "wan-5b"])
def test_sixteen_bits_draw_nearly_what_thirty_two_draw(kind: str, models: Path, tmp_path: Path) -> None:
    wide = draw(kind, models, Placement(models=models, threads=2), tmp_path / "wide")

    narrow = draw(kind, models, Placement(models=models, threads=2, dtype="bfloat16"), tmp_path / "narrow")

    apart = np.abs(np.stack(wide).astype(float) - np.stack(narrow)).mean()
    assert 0 < apart < 16


def test_float8_is_where_weights_are_kept_not_where_they_work(models: Path, tmp_path: Path) -> None:
    placement = Placement(models=models, threads=2, dtype="bfloat16", storage="float8")

    pipeline, _ = opened("ltx", models, placement)
    drawn = draw("ltx", models, placement, tmp_path / "drawn")

    kept = {parameter.dtype for parameter in pipeline.transformer.parameters()}
    assert torch.float8_e4m3fn in kept
    assert len(drawn) == 9


def test_tiles_are_of_the_side_that_is_asked_for(models: Path) -> None:
    pipeline, notes = opened("hunyuan", models, Placement(tile=128))

    vae = pipeline.vae
    assert (vae.use_tiling, vae.tile_sample_min_height, vae.tile_sample_min_width) == (True, 128, 128)
    assert (vae.tile_sample_stride_height, vae.tile_sample_stride_width) == (96, 96)
    assert notes == {}


def test_a_vae_without_tiles_works_on_whole_frames_and_says_so(models: Path) -> None:
    _, notes = opened("svd", models, Placement(tile=128))

    assert notes == {"tiles": "AutoencoderKLTemporalDecoder has none: whole frames"}


@pytest.mark.parametrize("kind", ["ltx", "cogvideox", "cogvideox-dpm", "svd", "hunyuan", "kandinsky", "wan-a14b"])
def test_these_can_go_on_in_the_middle(kind: str) -> None:
    pipeline = tiny(kind)

    assert why_whole(pipeline, signature_of(type(pipeline))) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("I2VGenXLPipeline", "its call hands out no latents after a step"),
        ("LTX2ImageToVideoPipeline", "it works on audio_latents as well"),
        ("HunyuanVideoFramepackPipeline", "it works on image_latents, last_image_latents as well"),
    ],
)
def test_a_call_tells_that_latents_are_not_all(name: str, said: str) -> None:
    signature = read_signature(name)
    assert signature is not None

    assert why_whole(tiny("ltx"), signature) == said


def test_of_some_pipelines_it_is_known() -> None:
    pipeline = tiny("ltx")
    with_own = type("LTX2ImageToVideoPipeline", (type(pipeline),), {})
    pipeline.__class__ = with_own

    assert "copies of its scheduler" in why_whole(pipeline, signature_of(with_own))


def test_two_schedulers_are_one_too_many() -> None:
    pipeline = tiny("ltx")
    both = {"scheduler": pipeline.scheduler, "second": diffusers.DDIMScheduler()}
    two = SimpleNamespace(components=both, scheduler=pipeline.scheduler, _callback_tensor_inputs=["latents"])

    assert why_whole(two, signature_of(type(pipeline))) == "it has 2 schedulers"


def test_what_cannot_go_on_is_drawn_all_the_same_and_says_so(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: dict[str, Any] = {}
    monkeypatch.setattr("framedaemon_diffusers.drawing.why_whole", lambda pipeline, signature: "it has no memory")
    options = Diffusers().completed(
        record_tiny("ltx", models), DiffusersOptions(weights="ltx", width=64, height=32, frames=9, steps=2)
    )

    with Diffusers().load(Placement(models=models), options) as generate:
        drawn = list(generate(PICTURE, Scratch(tmp_path, note=notes.__setitem__)))

    assert len(drawn) == 9
    assert notes["resumes"] == "not in the middle of the denoise: it has no memory"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("ltx", {"num_frames": 9, "frame_rate": 25, "guidance_scale": 2.0, "prompt": "a boat"}),
        ("svd", {"num_frames": 5, "fps": 7, "max_guidance_scale": 2.0, "decode_chunk_size": 8}),
        ("hunyuan", {"num_frames": 5, "true_cfg_scale": 2.0, "prompt": "a boat", "negative_prompt": ""}),
        ("hunyuan-concat", {"num_frames": 9, "true_cfg_scale": 2.0, "prompt": "a boat", "negative_prompt": ""}),
        ("cogvideox", {"num_frames": 9, "guidance_scale": 2.0, "prompt": "a boat"}),
    ],
)
def test_a_call_is_given_what_a_recipe_says_by_its_own_names(kind: str, given: dict[str, Any], models: Path) -> None:
    wanted = DiffusersOptions(weights=kind, width=64, height=32, frames=5, steps=2, guidance=2, prompt="a boat")
    options = Diffusers().completed(record_tiny(kind, models), wanted)
    spec = Diffusers().promise(PICTURE, options)

    asked = arguments(signature_of(getattr(diffusers, options.facts.pipeline)), options, spec)

    shared = {"width": 64, "height": 32, "num_inference_steps": 2, "output_type": "np"}
    assert asked == {**shared, **given}


def test_networks_are_gone_before_the_first_frame_comes(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: weakref.WeakSet[Any] = weakref.WeakSet()

    def remember(*asked: Any) -> Any:
        pipeline = open_pipeline(*asked)
        held.update((pipeline, pipeline.transformer))
        return pipeline

    monkeypatch.setattr("framedaemon_diffusers.drawing.open_pipeline", remember)
    options = Diffusers().completed(
        record_tiny("ltx", models), DiffusersOptions(weights="ltx", width=64, height=32, frames=9, steps=2)
    )

    with Diffusers().load(Placement(models=models), options) as generate:
        frames = generate(PICTURE, Scratch(tmp_path))
        next(frames)
        gc.collect()

        assert len(held) == 0
