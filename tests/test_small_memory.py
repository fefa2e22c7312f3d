"""A real network that runs out of memory on each rung of the ladder but the last: the job goes on, placed smaller.

Real daemon, worker and weights; what is made up is only that torch finds no memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framedaemon.instance import Instance
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.stages import Estimate, Machine
from framedaemon.task import StageTask
from living import drop, jobs_of, make_instance, run_all

pytest.importorskip("torch", reason="torch is not installed: pip install 'framedaemon[rife]'")

# rife, which finds no memory but in the placement that the recipe names, and writes down which it was given.
STARVED = """
from contextlib import contextmanager
from pathlib import Path

from framedaemon import hookimpl
from framedaemon_rife import Rife, RifeOptions

TRIES = Path(__file__).parent.parent / "tries"


class StarvedOptions(RifeOptions):
    fits: str = ""
    key: str = ""


class Starved(Rife):
    name = "starved"
    options = StarvedOptions
    weights = ()
    preference = -1

    def chosen_weights(self, models, options):
        return ("rife-4.25",)

    @contextmanager
    def load(self, placement, options):
        import torch

        TRIES.mkdir(exist_ok=True)
        with (TRIES / options.key).open("a") as file:
            file.write(placement.reason + "\\n")
        with super().load(placement, options) as fill:
            def starved(gaps):
                for filled in fill(gaps):
                    if placement.reason != options.fits:
                        raise torch.OutOfMemoryError("tried to allocate 20.00 GiB")
                    yield filled
            yield starved


@hookimpl
def interpolators():
    return [Starved()]
"""

RECIPE = """
[generate]
use = "camera"
frames = 3
width = 608
height = 352
seed = 3
[interpolate]
use = "starved"
fits = "{fits}"
key = "{key}"
"""


def _ladder() -> list[str]:
    """The reasons of the shipped policy's placements on a CPU, the largest first."""
    task, on = StageTask("interpolate", "starved", 608, 352, 3), Machine("cpu", 0, 64 << 30, 2)
    policy = DefaultMemoryPolicy()
    return [policy.memory_policy(task, Estimate(), on, attempt).reason for attempt in range(3)]


LADDER = _ladder()


@pytest.fixture
def instance(tmp_path: Path, models_with: Callable[[str], Path]) -> Instance:
    config = f'[models]\nfolder = "{models_with("rife-4.25")}"\n[inbox]\nsettle_seconds = 0\n'
    instance = make_instance(tmp_path / "instance", config)
    (instance.plugins / "starved.py").write_text(STARVED, encoding="utf-8")
    (instance.plugins / "starved.py").chmod(0o644)
    return instance


def _tries(instance: Instance, key: str) -> list[str]:
    return (instance.root / "tries" / key).read_text(encoding="utf-8").splitlines()


def _receipt(instance: Instance, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((instance.output / f"{name}.json").read_text(encoding="utf-8"))
    return facts


def test_a_network_steps_down_to_what_fits_and_the_next_job_begins_there(instance: Instance) -> None:
    drop(instance, "first.png", RECIPE.format(fits=LADDER[-1], key="first"), side=640)
    run_all(instance)
    drop(instance, "second.png", RECIPE.format(fits=LADDER[-1], key="second"), side=640)

    run_all(instance)

    assert _tries(instance, "first") == LADDER
    assert _tries(instance, "second") == LADDER[-1:]
    assert [row.state for row in jobs_of(instance)] == ["done", "done"]
    step = _receipt(instance, "second")["plan"]["steps"][1]
    assert (step["rung"], step["placement"]["tile"]) == (len(LADDER) - 1, 256)
