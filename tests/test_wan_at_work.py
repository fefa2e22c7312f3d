"""A picture through wan, flow and ffmpeg to a video, its worker killed on the way: real daemons, real kills."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("diffusers")

from deadly import config_with_models, make_deadly, points, recipe
from framedaemon.instance import Instance
from living import CONFIG, drop, files_below, jobs_of, make_instance, run_all
from test_resume import pictures


def video_of(folder: Path, *deaths: str, no_memory: bool = False, **generate: object) -> Instance:
    """An instance whose one picture has become a video."""
    instance = make_instance(folder, config_with_models(CONFIG, folder))
    make_deadly(instance, "i2v-a14b", *deaths, no_memory=no_memory)
    drop(instance, "cat.png", recipe(**generate), side=96)
    run_all(instance)
    assert files_below(instance.output) >= {"cat.mp4", "cat.json"}, [row.reason for row in jobs_of(instance)]
    return instance


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return video_of(tmp_path_factory.mktemp("undisturbed"))


def test_a_picture_becomes_a_video_and_its_receipt_says_how(undisturbed: Instance) -> None:
    receipt = json.loads((undisturbed.output / "cat.json").read_text())

    assert len(pictures(undisturbed.output / "cat.mp4")) == 17
    assert receipt["recipe"]["generate"]["guidance"] == 3.5
    assert receipt["recipe"]["generate"]["weights"] == "deadly-tiny"
    assert receipt["said"]["deadly"]["attention"] == "native"
    assert receipt["said"]["deadly"]["segment 1"]["frames"] == [0, 9]
    assert receipt["gate"]["passed"]
    assert points(undisturbed)[0][:4] == ["text 0.000", "condition 0.000", "denoise 0.000", "denoise 0.250"]


def test_a_worker_killed_on_the_way_costs_no_step_twice_and_no_frame(undisturbed: Instance, tmp_path: Path) -> None:
    deaths = ("condition 0.000", "denoise 0.500")

    instance = video_of(tmp_path, *deaths)

    attempts = points(instance)
    assert [attempt[-1] for attempt in attempts[:-1]] == list(deaths)
    assert [point for attempt in attempts for point in attempt if "frame" not in point] == [
        *("text 0.000", "condition 0.000"),
        *("condition 0.000", "denoise 0.000", "denoise 0.250", "denoise 0.500"),
        *("denoise 0.000", "denoise 0.750", "denoise 1.000"),
    ]
    assert pictures(instance.output / "cat.mp4") == pictures(undisturbed.output / "cat.mp4")
    assert [path.read_text() for path in instance.logs.rglob("worker.out")] == [""], "it would hide why a worker died"


def test_a_job_that_runs_out_of_memory_goes_on_smaller_with_the_step_after(tmp_path: Path) -> None:
    instance = video_of(tmp_path, "denoise 0.500", no_memory=True, width=288, height=272, frames=5)

    receipt = json.loads((instance.output / "cat.json").read_text())
    passed = [point for attempt in points(instance) for point in attempt]
    assert [point for point in passed if point.startswith("denoise")] == [
        *("denoise 0.000", "denoise 0.250", "denoise 0.500"),
        *("denoise 0.000", "denoise 0.750", "denoise 1.000"),
    ]
    assert receipt["plan"]["steps"][0]["rung"] == 1
    assert receipt["plan"]["steps"][0]["placement"]["tile"] == 256
