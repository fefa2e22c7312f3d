"""diffusers as a stage: contract, what it reads off a folder, promises, refuses and notes; to a finished video."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from fakes import machine  # noqa: E402
from framedaemon import JobRejected, Picture, Placement, Scratch, StageFailed  # noqa: E402
from framedaemon.pipeline import run  # noqa: E402
from framedaemon.plan import make_plan  # noqa: E402
from framedaemon.plugins import load_plugins  # noqa: E402
from framedaemon.testing import GeneratorContract  # noqa: E402
from framedaemon_diffusers import Diffusers, DiffusersOptions, generators  # noqa: E402
from framedaemon_diffusers.options import passed_over  # noqa: E402
from planning import recipe_for  # noqa: E402
from tiny_diffusers import record_tiny  # noqa: E402

SMALL = {"width": 64, "height": 32, "frames": 5, "steps": 2, "seed": 7}


def picture(width: int, height: int) -> Picture:
    return Picture(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    record_tiny("ltx", folder)
    return folder


@pytest.fixture
def own(models: Path, tmp_path: Path) -> Path:
    """A copy of tiny LTX to change."""
    return Path(shutil.copytree(models / "diffusers-ltx", tmp_path / "own"))


def asked(models: Path, kind: str = "ltx", **options: Any) -> DiffusersOptions:
    """Options, completed by the tiny pipeline ``kind``."""
    return Diffusers().completed(record_tiny(kind, models), DiffusersOptions(weights=kind, **options))


def change(path: Path, **entries: Any) -> None:
    """Write other ``entries`` into a table."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


class TestContract(GeneratorContract):
    @pytest.fixture
    def stage(self) -> Diffusers:
        return Diffusers()

    @pytest.fixture
    def source(self) -> Picture:
        return picture(140, 90)

    @pytest.fixture
    def options(self, models: Path) -> DiffusersOptions:
        return asked(models, **SMALL)

    @pytest.fixture
    def placement(self, models: Path) -> Placement:
        return Placement(threads=2, models=models)


def test_it_is_never_chosen_by_itself() -> None:
    (found,) = generators()

    assert (found.name, found.preference) == ("diffusers", -1)


def test_without_a_pipeline_it_says_how_to_add_one(tmp_path: Path, models: Path) -> None:
    nothing, something = (Diffusers().unready(replace(machine(), models=folder)) for folder in (tmp_path, models))

    assert nothing == "no pipeline was added: framedaemon models add OWNER/NAME --for diffusers --as NAME"
    assert something is None


@pytest.mark.parametrize(
    ("kind", "size", "frames", "fps", "steps", "guidance"),
    [
        ("ltx", (736, 480), 161, 25, 50, 3),
        ("ltx-of-words", (736, 480), 161, 25, 50, 3),  # its index names LTX's text-to-video pipeline
        ("cogvideox", (96, 64), 49, 8, 50, 6),
        ("svd", (960, 608), 5, 7, 25, 3),
        ("hunyuan", (1200, 768), 129, 24, 50, 1),
        ("hunyuan-concat", (1200, 768), 125, 24, 50, 1),  # of 129 frames its pipeline leaves out 4
        ("kandinsky", (784, 496), 121, 24, 50, 5),
        ("wan-a14b", (784, 512), 81, 16, 50, 5),
        ("wan-5b", (800, 512), 81, 24, 50, 5),
    ],
)
def test_what_nobody_asks_for_is_as_the_pipeline_has_it(
    kind: str, size: tuple[int, int], frames: int, fps: int, steps: int, guidance: float, models: Path
) -> None:
    options = asked(models, kind)

    spec = Diffusers().promise(picture(140, 90), options)

    assert ((spec.width, spec.height), spec.frames, spec.fps) == (size, frames, fps)
    assert (options.steps, options.guidance) == (steps, guidance)


@pytest.mark.parametrize(
    ("kind", "asked_for", "frames"),
    [("ltx", 100, 105), ("cogvideox", 50, 57), ("svd", 6, 6), ("hunyuan", 6, 9), ("kandinsky", 3, 17), ("ltx", 1, 1)],
)
def test_frames_are_rounded_up_to_what_can_be_drawn(kind: str, asked_for: int, frames: int, models: Path) -> None:
    assert Diffusers().promise(picture(64, 64), asked(models, kind, frames=asked_for)).frames == frames


@pytest.mark.parametrize(
    ("options", "size"),
    [({"width": 320}, (320, 192)), ({"height": 192}, (288, 192)), ({"width": 500, "height": 300}, (512, 288))],
)
def test_a_size_that_is_asked_for_is_the_nearest_there_is(
    options: dict[str, int], size: tuple[int, int], models: Path
) -> None:
    spec = Diffusers().promise(picture(140, 90), asked(models, **options))

    assert (spec.width, spec.height) == size


def test_what_was_rounded_or_passed_over_is_noted(models: Path, tmp_path: Path) -> None:
    notes: dict[str, Any] = {}
    options = asked(models, "svd", **{**SMALL, "width": 70}, prompt="a boat", fps=12)

    with Diffusers().load(Placement(models=models, threads=2), options) as generate:
        drawn = list(generate(picture(64, 32), Scratch(tmp_path, note=notes.__setitem__)))

    assert len(drawn) == 5
    assert notes == {
        "pipeline": "StableVideoDiffusionPipeline",
        "prompt": "not for StableVideoDiffusionPipeline, passed over",
        "width": "70 asked for, 64 is the nearest that can be drawn",
    }


def test_another_pace_than_the_pipelines_own_is_noted(models: Path) -> None:
    assert passed_over(asked(models, "kandinsky", fps=30)) == {
        "fps": "Kandinsky5I2VPipeline draws 24 frames a second, played at another pace"
    }
    assert passed_over(asked(models, "ltx", fps=30)) == {}


def test_a_pipeline_of_code_of_its_own_is_refused(own: Path) -> None:
    change(own / "model_index.json", _class_name=["pipeline_mine", "Mine"])

    with pytest.raises(ValueError, match="names code of its own, which is not run"):
        Diffusers().check_folder(own)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NoSuchPipeline", "the installed diffusers has no NoSuchPipeline"),
        ("CogVideoXPipeline", "CogVideoXPipeline makes no clip of a picture"),
        ("StableDiffusionImg2ImgPipeline", "StableDiffusionImg2ImgPipeline makes no clip of a picture"),
        ("HunyuanVideo15ImageToVideoPipeline", "takes no width and height"),
    ],
)
def test_a_pipeline_that_cannot_do_it_is_refused_in_words(name: str, said: str, own: Path) -> None:
    change(own / "model_index.json", _class_name=name)

    with pytest.raises(JobRejected, match=said):
        Diffusers().completed(own, DiffusersOptions())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda own: (own / "model_index.json").write_text("{"), r"model_index\.json of own cannot be read"),
        (lambda own: (own / "model_index.json").write_text("[]"), r"model_index\.json of own is no table"),
        (lambda own: shutil.rmtree(own / "vae"), "has no vae"),
        (lambda own: (own / "vae" / "config.json").write_text('{"_class_name": "X"}'), "how much smaller"),
        (lambda own: (own / "vae" / "config.json").write_text('{"block_out_channels": [1, 2]}'), "how many frames go"),
    ],
)
def test_a_folder_that_tells_too_little_is_refused_in_words(spoil: Callable[[Path], Any], said: str, own: Path) -> None:
    spoil(own)

    with pytest.raises(ValueError, match=said):
        Diffusers().check_folder(own)


def test_damaged_weights_are_seen_before_anything_is_loaded(own: Path) -> None:
    (file,) = (own / "vae").glob("*.safetensors")
    file.write_bytes(b"\x00" * 3)

    with pytest.raises(JobRejected, match=r"vae/diffusion_pytorch_model\.safetensors is damaged"):
        Diffusers().completed(own, DiffusersOptions())


def test_a_folder_can_be_checked_before_its_weights_are_there(own: Path) -> None:
    for file in own.rglob("*.safetensors"):
        file.unlink()

    Diffusers().check_folder(own)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [("svd", {"fps": Fraction(15, 2)}, "fps: StableVideoDiffusionPipeline takes a whole number")],
)
def test_what_a_call_cannot_take_is_refused(kind: str, options: dict[str, Any], said: str, models: Path) -> None:
    with pytest.raises(JobRejected, match=said):
        asked(models, kind, **options)


def test_a_person_must_say_what_a_pipeline_does_not(own: Path) -> None:
    """Of this class nothing is known but its call, which says nothing of frames a second."""
    change(own / "model_index.json", _class_name="ChronoEditPipeline")

    with pytest.raises(JobRejected, match="fps: ChronoEditPipeline does not say how many frames a second"):
        Diffusers().completed(own, DiffusersOptions())


@pytest.mark.parametrize(("options", "size"), [({}, (384, 256)), ({"width": 640}, (320, 192))])
def test_a_preview_has_a_quarter_of_the_pixels_and_few_steps(
    options: dict[str, int], size: tuple[int, int], models: Path
) -> None:
    cheap = Diffusers().previewed(asked(models, **options))

    spec = Diffusers().promise(picture(140, 90), cheap)

    assert (spec.width, spec.height) == size
    assert cheap.steps == 10


def test_the_estimate_is_of_networks_one_after_the_other(models: Path) -> None:
    stage, options = Diffusers(), asked(models, "wan-a14b", **SMALL)
    short, long = (stage.promise(picture(64, 32), options.model_copy(update={"frames": n})) for n in (5, 81))

    first, second = (stage.estimate(picture(64, 32), spec, options) for spec in (short, long))

    assert [phase.name for phase in first.phases] == ["text encoder", "transformer", "transformer 2", "decode"]
    assert second.ram - first.ram == 76 * short.frame_bytes
    assert all(one.work <= other.work for one, other in zip(first.phases, second.phases, strict=True))
    assert first.not_on_cpu == ""


def test_hours_on_a_cpu_are_refused_unless_forced(models: Path) -> None:
    stage = Diffusers()
    options = asked(models, "wan-a14b", frames=801, width=1280, height=720)
    spec = stage.promise(picture(64, 32), options)

    said = stage.estimate(picture(64, 32), spec, options).not_on_cpu
    forced = stage.estimate(picture(64, 32), spec, options.model_copy(update={"force": True})).not_on_cpu

    assert said.startswith("WanImageToVideoPipeline would take about ")
    assert said.endswith(" on this CPU: ask for fewer frames, steps or pixels, or say force = true")
    assert forced == ""


def test_files_of_half_precision_are_taken_where_there_are_no_others(own: Path) -> None:
    whole = Diffusers().completed(own, DiffusersOptions()).facts
    for file in own.rglob("*.safetensors"):
        shutil.copy(file, file.with_suffix(".fp16.safetensors"))
    both = Diffusers().completed(own, DiffusersOptions()).facts
    for file in own.rglob("*[!6].safetensors"):
        file.unlink()
    half = Diffusers().completed(own, DiffusersOptions()).facts

    assert [whole.variant, both.variant, half.variant] == [None, None, "fp16"]
    assert whole.parts == both.parts == half.parts


def test_a_folder_that_diffusers_cannot_read_fails_in_words(models: Path, tmp_path: Path) -> None:
    folder = record_tiny("ltx", tmp_path)
    change(folder / "model_index.json", vae=["diffusers", "NoSuchVae"])
    record = folder.with_suffix(".json")
    files = json.loads(record.read_text())["files"]
    changed = [{**file, "bytes": (folder / file["path"]).stat().st_size} for file in files]
    change(record, files=changed)

    with (
        pytest.raises(StageFailed, match="LTXImageToVideoPipeline cannot be read from diffusers-ltx"),
        Diffusers().load(Placement(models=tmp_path), asked(models, **SMALL)) as generate,
    ):
        next(generate(picture(64, 32), Scratch(tmp_path)))


def test_a_picture_becomes_a_video(models: Path, tmp_path: Path) -> None:
    generate = {"weights": "ltx", "prompt": "a boat", **SMALL}
    recipe = recipe_for(generate=generate, use=("diffusers", "none", "ffmpeg"))
    registry = load_plugins(None)
    plan = make_plan(picture(140, 90), recipe, registry, replace(machine(), models=models), seed=42)

    made = run(plan, tmp_path, registry, "{}", lambda step, done, total: None)

    assert made.gate.passed
    assert (plan.drawn.frames, plan.drawn.fps) == (9, 25)
    assert made.said["diffusers"]["pipeline"] == "LTXImageToVideoPipeline"
