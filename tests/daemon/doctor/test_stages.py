"""Plugins, weights and settings that were broken on purpose, as the doctor finds and judges them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from framedaemon.doctor.finding import Finding
from framedaemon.doctor.patient import admit
from framedaemon.doctor.probe import Probe, ProbeFailed, find_plugins
from framedaemon.doctor.stages import (
    examine_plugins,
    examine_settings,
    examine_tried,
    examine_weights,
    plugins_unloadable,
    stage_findings,
)
from framedaemon.instance import Instance
from living import CONFIG, make_instance
from weighty import toy_plugin

MODELS = '[models]\nfolder = "models"\n'


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path, CONFIG + MODELS)


def bad(findings: Any) -> list[Finding]:
    return [one for one in findings if one.state != "ok"]


def stage(name: str, preference: int, lack: str | None, spared: bool = False) -> dict[str, Any]:
    return {"stage": name, "preference": preference, "lack": lack, "spared": spared}


def test_a_mistake_in_the_settings_is_an_error(instance: Instance) -> None:
    instance.config.write_text("[inbox]\nwatsch = 1\n[disk]\nkeep_free_bytes = -1\n")

    found = bad(examine_settings(admit(instance, 0.0), None))

    assert [one.state for one in found] == ["error", "error"]
    assert any("did you mean 'watch'?" in one.said for one in found)
    assert {one.mend for one in found} == {f"${{EDITOR:-nano}} {instance.config}"}


def test_a_recipe_that_cannot_be_used_is_a_warning(instance: Instance) -> None:
    (instance.input / "defaults.toml").write_text("[encode]\nbit_depth = 9\n")
    patient = admit(instance, 0.0)

    (one,) = bad(examine_settings(patient, find_plugins(patient)))

    assert (one.name, one.state) == ("recipe", "warning")
    assert one.mend == f"framedaemon check --instance {instance.root}"


def test_a_broken_plugin_is_an_error_with_the_ways_out(instance: Instance) -> None:
    (instance.plugins / "mine.py").write_text("import there_is_no_such_module\n")

    one = bad(examine_plugins(find_plugins(admit(instance, 0.0))))[0]

    assert one.said.startswith("plugin mine is broken: ModuleNotFoundError: No module named 'there_is_no_such_module'")
    assert one.mend.startswith(f"mv {instance.plugins / 'mine.py'} {instance.plugins / 'mine.py'}.off  # or mend it; ")
    assert 'disabled = ["mine"]' in one.mend


def test_weights_that_were_cut_short_are_found_at_once_and_others_when_all_is_read(instance: Instance) -> None:
    (instance.plugins / "toy.py").write_text(toy_plugin(b"never fetched"))
    models = instance.root / "models"
    models.mkdir()
    for name, size, said in (("toy-1", 5, 10), ("toy-2", 10, 10)):
        (models / f"{name}.safetensors").write_bytes(bytes(size))
        (models / f"{name}.json").write_text(f'{{"bytes": {said}, "sha256": "{"0" * 64}", "stage": "toy"}}')

    quick, deep = (admit(instance, 0.0, deep) for deep in (False, True))
    at_once = bad(examine_weights(quick, find_plugins(quick)))
    read = bad(examine_weights(deep, find_plugins(deep)))

    assert [(one.name, one.state, one.mend) for one in at_once] == [("toy-1", "error", "framedaemon models pull toy-1")]
    assert [one.name for one in read] == ["toy-1", "toy-2"]
    assert "is damaged: its sha256 is" in read[1].said


def test_a_plugin_that_takes_its_process_along_costs_one_line_that_says_where(instance: Instance) -> None:
    mine = instance.plugins / "mine.py"
    mine.write_text("import ctypes\nctypes.string_at(0)\n")
    patient = admit(instance, 0.0)

    with pytest.raises(ProbeFailed) as failed:
        Probe("plugins", patient).answer()

    one = plugins_unloadable(patient, failed.value)
    assert one.said == f"the process that loads the plugins was ended by SIGSEGV, in {mine}, line 2"
    assert one.mend == f"mv {mine} {mine}.off"


def test_a_plugin_that_hangs_costs_no_more_than_the_limit(instance: Instance) -> None:
    (instance.plugins / "mine.py").write_text("import time; time.sleep(600)")

    with pytest.raises(ProbeFailed, match="did not come to an end within 1 s"):
        Probe("plugins", admit(instance, 0.0), limit_seconds=1.0).answer()


@pytest.mark.parametrize(
    ("lack", "mend"),
    [
        ("torch missing: pip install 'framedaemon[wan]', with Python 3.11 or newer",
         f"{sys.executable} -m pip install 'framedaemon[wan]'  # with Python 3.11 or newer"),
        ('needs torch: pip install "framedaemon[rife]"', f'{sys.executable} -m pip install "framedaemon[rife]"'),
        ("weights are not there: framedaemon models pull a, or framedaemon models add FILE --for x --as a",
         "framedaemon models pull a  # or framedaemon models add FILE --for x --as a"),
    ],
)  # fmt: skip
def test_what_a_stage_says_of_its_lack_becomes_a_command_that_can_be_pasted(lack: str, mend: str) -> None:
    (one,) = (one for one in stage_findings([stage("interpolate rife", 20, lack)]) if one.name == "interpolate rife")

    assert one.mend == mend


def test_a_stage_that_auto_would_prefer_is_a_warning_where_it_lacks_something() -> None:
    lack = "weights missing: framedaemon models pull rife-4.25"
    found = [*stage_findings([stage("interpolate rife", 20, lack), stage("interpolate flow", 10, None)])]

    (rife,) = (one for one in found if one.name == "interpolate rife")
    assert (rife.state, rife.said) == ("warning", "interpolate rife cannot work: weights missing")
    assert rife.mend == "framedaemon models pull rife-4.25"


def test_a_stage_that_nobody_would_take_here_is_no_fault() -> None:
    found = stage_findings(
        [
            *(stage("generate wan", 50, "its weights are missing", spared=True), stage("generate camera", 10, None)),
            *(stage("interpolate film", -1, "weights missing"), stage("interpolate flow", 10, None)),
            stage("encode ffmpeg", 10, None),
        ]
    )

    assert bad(found) == []


def test_a_kind_of_work_that_no_stage_can_do_is_an_error() -> None:
    errors = [one for one in stage_findings([stage("encode ffmpeg", -1, "no ffmpeg here")]) if one.state == "error"]

    assert [one.said for one in errors] == [
        f"no stage here can {kind}: jobs fail" for kind in ("generate", "interpolate", "encode")
    ]


def test_an_encoder_that_does_not_work_is_a_warning_and_ffmpeg_itself_an_error() -> None:
    some = bad(examine_tried({"ffmpeg": {"ffmpeg 7": None, "h264_nvenc": "Cannot load libcuda.so.1"}}))
    none = bad(examine_tried({"ffmpeg": {"ffmpeg": "/opt/ffmpeg is not there: unset IMAGEIO_FFMPEG_EXE"}}))

    assert [(one.state, one.said) for one in some] == [("warning", "h264_nvenc: Cannot load libcuda.so.1")]
    assert [(one.state, one.said) for one in none] == [("error", "ffmpeg: /opt/ffmpeg is not there")]
    assert none[0].mend == "unset IMAGEIO_FFMPEG_EXE"
