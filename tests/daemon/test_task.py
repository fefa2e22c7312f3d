from __future__ import annotations

from dataclasses import replace

from framedaemon.task import StageTask

TASK = StageTask("interpolate", "flow", 64, 48, 161)


def test_a_placement_is_remembered_by_machine_stage_and_shape() -> None:
    assert TASK.fit_key("cuda:0") == "cuda:0 flow 64x48x161"


def test_whatever_changes_the_memory_it_takes_changes_the_key() -> None:
    others = [replace(TASK, name="rife"), replace(TASK, width=65), replace(TASK, height=49), replace(TASK, frames=162)]

    keys = {TASK.fit_key("cuda:0"), TASK.fit_key("cpu"), *(other.fit_key("cuda:0") for other in others)}

    assert len(keys) == 6
