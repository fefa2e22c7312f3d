"""Every planted problem is found, all at once, and nothing is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framedaemon.checking import passed_over_by, problems_of
from framedaemon.instance import Instance, create, default_config
from framedaemon.plugins import load_plugins
from framedaemon.settings import read_settings
from living import drop, files_below, make_instance
from weighty import toy_plugin


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path)


def problems(instance: Instance) -> list[str]:
    settings = read_settings(instance.config)
    return problems_of(instance, settings, load_plugins(instance.plugins, settings.plugins.disabled))


def test_a_fresh_instance_has_no_problems(tmp_path: Path) -> None:
    create(Instance(tmp_path))
    (tmp_path / "config.toml").write_text(default_config())

    assert problems(Instance(tmp_path)) == []


def test_good_pictures_and_recipes_are_no_problems(instance: Instance) -> None:
    drop(instance, "pets/cat.png", '[generate]\nuse = "camera"\nmove = "pan_left"\n[encode]\ncrf = 20\n')
    (instance.input / "defaults.toml").write_text('[interpolate]\nuse = "none"\n')

    assert problems(instance) == []


PLANTED = {
    "a folder's defaults": "input/trip/defaults.toml [encode] crf",
    "defaults of all": "input/defaults.toml [generate] seeds",
    "a sidecar's value": "cat.toml [interpolate] fps",
    "a sidecar's other value": "cat.toml [encode] bit_depth",
    "a sidecar's stage": "dog.toml [generate] use",
    "an option of no stage": "cow.toml [generate] colour: no stage here knows it",
    "a stage's own option": "ewe.toml [encode] threads: 0 is not",
    "a sidecar that no TOML is": "hen.toml",
    "a sidecar with no picture yet": "later.toml [generate] frames",
    "a last picture alone": "input/pets/owl.last.png: waits for a picture called owl",
    "two sidecars": "pig.png: has several sidecars",
    "a named pipe": "input/pipe.png: is a named pipe",
    "a plugin": "plugin broken (",
    "a folder that is gone": "output: is not there",
}


def test_every_planted_problem_is_found_at_once(instance: Instance) -> None:
    (instance.input / "trip").mkdir()
    (instance.input / "trip" / "defaults.toml").write_text('[encode]\ncrf = "low"\n')
    drop(instance, "pets/cat.png", "[interpolate]\nfps = -1\n[encode]\nbit_depth = 9\n")
    drop(instance, "pets/dog.png", '[generate]\nuse = "Camera!"\n')
    drop(instance, "pets/cow.png", "[generate]\ncolour = 1\n")
    drop(instance, "pets/ewe.png", "[encode]\nthreads = 0\n")
    drop(instance, "pets/hen.png", "[generate\n")
    drop(instance, "pets/pig.png", "")
    (instance.input / "pets" / "pig.png.toml").touch()
    (instance.input / "pets" / "later.toml").write_text("[generate]\nframes = 0\n")
    drop(instance, "pets/owl.last.png")
    os.mkfifo(instance.input / "pipe.png")
    (instance.plugins / "broken.py").write_text("raise RuntimeError('it is broken')\n")
    (instance.output / "logs").rmdir()
    instance.output.rmdir()
    (instance.input / "defaults.toml").write_text("[generate]\nseeds = 3\n")

    found = problems(instance)

    missing = [what for what, said in PLANTED.items() if not any(said in problem for problem in found)]
    assert missing == []
    assert len(found) == len(set(found))


def test_checking_touches_nothing(instance: Instance) -> None:
    drop(instance, "cat.png", "[interpolate]\nfps = -1\n")
    before = files_below(instance.root)

    problems(instance)

    assert {name for name in files_below(instance.root) if "__pycache__" not in name} == before


def test_a_missing_input_folder_is_one_problem(tmp_path: Path) -> None:
    create(Instance(tmp_path))
    Instance(tmp_path).failed.rmdir()
    Instance(tmp_path).done.rmdir()
    Instance(tmp_path).input.rmdir()

    (problem,) = problems(Instance(tmp_path))

    assert "input: is not there; `framedaemon init" in problem


def test_what_rests_in_done_and_failed_is_nobodys_problem(instance: Instance) -> None:
    for folder in (instance.done, instance.failed):
        (folder / "defaults.toml").write_text("nonsense")
        (folder / "cat.toml").write_text("nonsense")

    assert problems(instance) == []


@pytest.mark.parametrize("name", [".", "config.toml", "tmp"])
def test_what_decides_what_the_daemon_does_is_not_everybodys(instance: Instance, name: str) -> None:
    place = instance.root / name
    place.chmod(place.stat().st_mode | 0o002)

    assert problems(instance) == [
        f"{place}: everybody can write to it, and so decide what the daemon does: chmod o-w {place}"
    ]


def test_a_stage_that_lacks_something_is_no_problem_but_spoken_of(instance: Instance) -> None:
    (instance.plugins / "toy.py").write_text(toy_plugin(b"never fetched"))
    settings = read_settings(instance.config)
    registry = load_plugins(instance.plugins)

    assert problems(instance) == []
    lack = "interpolate toy cannot work here: weights missing: framedaemon models pull toy-1"
    assert lack in passed_over_by(instance, settings, registry)
