"""One file without a daemon: what it asks for, and a video that costs nobody a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from framedaemon.errors import FramedaemonError, JobRejected, StageFailed
from framedaemon.instance import Instance
from framedaemon.layers import Layer
from framedaemon.pipeline import Made
from framedaemon.recipe import Recipe
from framedaemon.settings import Settings, read_settings
from framedaemon.single import Prepared, prepare, recipes_for, render
from framedaemon.workspace import sweep_copies
from living import drop, files_below, make_instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path)


def recipes(instance: Instance, path: Path, *extra: Layer) -> tuple[Recipe, ...]:
    return recipes_for(path, instance, read_settings(instance.config), *extra)


def prepared_in(instance: Instance, path: Path, **encode: object) -> Prepared:
    asked = recipes(instance, path, Layer("test", {"encode": {**encode}}))  # type: ignore[dict-item]  # plain values
    return prepare(path, instance, read_settings(instance.config), asked)[0]


def make(prepared: Prepared, output: Path, overwrite: bool = False) -> Made:
    return render(prepared, output, lambda *told: None, overwrite)


def test_a_picture_in_input_takes_its_folders_defaults_and_its_sidecar(instance: Instance) -> None:
    path = drop(instance, "pets/cat.png", sidecar="[encode]\ncrf = 30\n")
    (path.parent / "defaults.toml").write_text("[generate]\nframes = 9\n[encode]\ncrf = 40\n")

    (recipe,) = recipes(instance, path)

    assert recipe.generate.options["frames"] == 9
    assert recipe.encode.options["crf"] == 30


def test_a_picture_elsewhere_takes_its_sidecar_and_no_folders_defaults(instance: Instance, tmp_path: Path) -> None:
    elsewhere = drop(Instance(tmp_path / "other"), "cat.png", sidecar="[encode]\ncrf = 30\n")
    (elsewhere.parent / "defaults.toml").write_text("[generate]\nframes = 9\n")

    (recipe,) = recipes(instance, elsewhere)

    assert recipe.generate.options["frames"] == 3  # config.toml's
    assert recipe.encode.options["crf"] == 30


def test_what_is_said_last_counts(instance: Instance) -> None:
    path = drop(instance, "cat.png", sidecar="[encode]\ncrf = 30\n")

    (recipe,) = recipes(instance, path, Layer("command line", {"encode": {"crf": 16}}))

    assert recipe.encode.options["crf"] == 16


def test_a_sidecar_with_several_jobs_gives_as_many_plans_with_seeds_of_their_own(instance: Instance) -> None:
    path = drop(instance, "cat.png", sidecar="[[job]]\n[[job]]\n")
    settings = read_settings(instance.config)

    plans = [one.plan for one in prepare(path, instance, settings, recipes(instance, path))]

    assert plans[1].seed == plans[0].seed + 1


def test_a_recipe_is_no_picture(instance: Instance) -> None:
    path = drop(instance, "cat.png", sidecar="").with_suffix(".toml")

    with pytest.raises(JobRejected, match=r"cat\.toml: is a recipe"):
        recipes(instance, path)


def test_two_sidecars_of_one_picture_are_refused(instance: Instance) -> None:
    path = drop(instance, "cat.png", sidecar="")
    (path.parent / "cat.png.toml").touch()

    with pytest.raises(JobRejected, match="several sidecars"):
        recipes(instance, path)


def test_a_video_appears_with_its_receipt_and_nothing_else(instance: Instance, tmp_path: Path) -> None:
    output = tmp_path / "out" / "cat.mp4"
    output.parent.mkdir()

    made = make(prepared_in(instance, drop(instance, "cat.png")), output)

    facts = json.loads((output.parent / "cat.json").read_text())
    assert files_below(output.parent) == {"cat.mp4", "cat.json"}
    assert (facts["video"]["file"], facts["video"]["bytes"]) == ("cat.mp4", output.stat().st_size)
    assert facts["source"]["name"] == "cat.png"
    assert made.gate.passed


def test_a_folder_of_pictures_is_replaced_by_its_next_version(instance: Instance, tmp_path: Path) -> None:
    prepared = prepared_in(instance, drop(instance, "cat.png"), container="png")
    output = tmp_path / "frames"
    make(prepared, output)
    (output / "frame_000099.png").touch()

    make(prepared, output, overwrite=True)

    assert sorted(path.name for path in output.iterdir()) == [f"frame_{n:06d}.png" for n in range(5)]
    assert json.loads((tmp_path / "frames.json").read_text())["video"]["file"] == "frames"


@pytest.mark.parametrize("taken", ["cat.mp4", "cat.json"])
def test_what_stands_where_the_video_or_its_receipt_goes_stays(instance: Instance, taken: str) -> None:
    (instance.root / taken).write_text("somebody's own")

    with pytest.raises(JobRejected, match=rf"{taken} exists already; --overwrite"):
        make(prepared_in(instance, drop(instance, "cat.png")), instance.root / "cat.mp4")

    assert (instance.root / taken).read_text() == "somebody's own"


def test_overwriting_replaces_the_video(instance: Instance) -> None:
    output = instance.root / "cat.mp4"
    output.write_text("an old video")

    make(prepared_in(instance, drop(instance, "cat.png")), output, overwrite=True)

    assert output.stat().st_size > 500
    assert (instance.root / "cat.json").exists()


@pytest.mark.parametrize(
    ("output", "encode", "said"),
    [
        ("out.mkv", {}, r"the video will be a \.mp4 file"),
        ("out.png", {"container": "png"}, "a folder of pictures, whose name has no suffix"),
        ("nowhere/out.mp4", {}, "nowhere: is no folder"),
        ("input", {"container": "png"}, "is a folder that no receipt beside it knows"),
        ("notes.mp4", {}, r"notes\.json is no receipt"),
    ],
)
def test_overwriting_costs_nobody_a_file_or_folder(
    instance: Instance, output: str, encode: dict[str, str], said: str
) -> None:
    prepared = prepared_in(instance, drop(instance, "cat.png"), **encode)
    (instance.root / "notes.json").write_text('{"dear": "notes"}')
    before = files_below(instance.root)

    with pytest.raises(JobRejected, match=said):
        make(prepared, instance.root / output, overwrite=True)

    assert files_below(instance.root) == before


def test_a_video_never_replaces_what_it_is_made_of(instance: Instance) -> None:
    first = instance.root / "cat.mp4"
    make(prepared_in(instance, drop(instance, "cat.png")), first)
    before = first.read_bytes()

    with pytest.raises(JobRejected, match="is what the video is to be made of"):
        make(prepared_in(instance, first), first, overwrite=True)

    assert first.read_bytes() == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_nothing_new_and_nothing_old_away(instance: Instance, overwrite: bool) -> None:
    sidecar = '[generate]\nuse = "faulty"\nfault = "raise"\n'
    prepared = prepared_in(instance, drop(instance, "cat.png", sidecar))
    (instance.root / "old.mp4").write_text("an old video")
    output = instance.root / ("old.mp4" if overwrite else "new.mp4")
    before = files_below(instance.root)

    with pytest.raises(StageFailed, match="something broke"):
        make(prepared, output, overwrite)

    assert files_below(instance.root) == before
    assert (instance.root / "old.mp4").read_text() == "an old video"


def test_a_stage_that_exits_is_a_failure(instance: Instance) -> None:
    """Exit code 0 from a plugin must not look like a video."""
    prepared = prepared_in(instance, drop(instance, "cat.png", '[generate]\nuse = "faulty"\nfault = "exit"\n'))

    with pytest.raises(FramedaemonError, match="SystemExit"):
        make(prepared, instance.root / "cat.mp4")


def test_a_daemon_that_starts_meanwhile_leaves_the_work_alone(instance: Instance) -> None:
    prepared = prepared_in(instance, drop(instance, "cat.png"))

    render(prepared, instance.output / "cat.mp4", lambda *told: sweep_copies(instance.output))

    assert (instance.output / "cat.mp4").exists()


def test_too_small_a_machine_is_a_refusal(instance: Instance) -> None:
    path = drop(instance, "cat.png")
    (instance.plugins / "policy.py").write_text(
        "from framedaemon import OutOfMemory, hookimpl\n"
        "@hookimpl\ndef memory_policy(stage):\n    raise OutOfMemory('nothing smaller is left')\n"
    )

    with pytest.raises(JobRejected, match="nothing smaller is left"):
        prepare(path, instance, Settings(), recipes(instance, path))
