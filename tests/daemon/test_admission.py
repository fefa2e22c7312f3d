"""What keeps a job from going: breakers, and a disk on which others have been promised room."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import machine, picture, registry_of
from framedaemon.admission import ROOM_SECONDS, Admission
from framedaemon.breaker import OPENING, Fault
from framedaemon.disk import free_bytes
from framedaemon.instance import Instance
from framedaemon.ledger import Ledger
from framedaemon.plan import make_plan
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.summary import PlanSummary
from living import make_instance

MIB = 2**20


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path)


@pytest.fixture
def ledger(instance: Instance) -> Iterator[Ledger]:
    ledger = Ledger(instance.ledger)
    yield ledger
    ledger.close()


@pytest.fixture
def elsewhere(instance: Instance) -> Iterator[Path]:
    """output/ on a filesystem of its own."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    shutil.rmtree(instance.output)
    instance.output.symlink_to(folder)
    yield folder
    shutil.rmtree(folder)


def plan() -> PlanSummary:
    recipe = Recipe(
        generate=StageChoice(use="squares"), interpolate=InterpolateChoice(use="blend"), encode=StageChoice(use="raw")
    )
    return make_plan(picture(), recipe, registry_of(), machine(), seed=1).summary()


def _hold_back(instance: Instance, ledger: Ledger, id: str, size: int) -> None:
    """A finished video of ``size`` bytes that could not be published yet."""
    ledger.claiming([(id, f"{id}.png", None, None)], 1.0)
    ledger.add_job(id, 1, "{}", id, 0, 1.0)
    ledger.start(f"{id}-1", 2.0)
    ledger.hold_publication(f"{id}-1", "output/ is full", 3.0)
    made = instance.jobs / id / "1" / "video.mp4"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"\0" * size)


def fail_three(ledger: Ledger, fault: Fault) -> None:
    """Three files whose only jobs failed alike: the breaker opens at 10.0, for a minute."""
    for id in "abc":
        ledger.claiming([(id, f"{id}.png", None, None)], 1.0)
        ledger.add_job(id, 1, "{}", id, 0, 1.0)
        ledger.breaker.failed(f"{id}-1", 1, fault, 3, 60.0, 10.0)


def test_where_nothing_is_in_the_way_a_job_may_go(instance: Instance, ledger: Ledger) -> None:
    assert Admission(instance, ledger).obstacle(plan(), 0, 10.0) is None
    assert Admission(instance, ledger).obstacle(None, 2**62, 10.0) is None, "what it needs is not known yet"


def test_a_disk_without_room_is_asked_again_soon(instance: Instance, ledger: Ledger) -> None:
    obstacle = Admission(instance, ledger).obstacle(plan(), 2**62, 10.0)

    assert obstacle is not None
    assert (obstacle.outcome, obstacle.until) == ("disk", 10.0 + ROOM_SECONDS)
    assert obstacle.shortage is not None
    assert obstacle.reason == obstacle.shortage.describe()


def test_an_open_breaker_is_in_the_way_of_its_place_alone(instance: Instance, ledger: Ledger) -> None:
    fail_three(ledger, Fault("failed", "RuntimeError", plan().place))

    obstacle = Admission(instance, ledger).obstacle(plan(), 2**62, 11.0)

    assert obstacle is not None
    assert (obstacle.outcome, obstacle.until, obstacle.shortage) == ("held", 70.0, None)
    assert Admission(instance, ledger).obstacle(None, 0, 11.0) is None


def test_where_files_cannot_be_opened_nothing_goes_planned_or_not(instance: Instance, ledger: Ledger) -> None:
    fail_three(ledger, Fault("crashed", "SIGSEGV", OPENING))

    assert Admission(instance, ledger).obstacle(None, 0, 11.0) is not None
    assert Admission(instance, ledger).obstacle(plan(), 0, 11.0) is not None


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second filesystem")
def test_videos_that_wait_to_be_copied_into_output_have_their_room_there(
    instance: Instance, ledger: Ledger, elsewhere: Path
) -> None:
    _hold_back(instance, ledger, "a", 40 * MIB)
    _hold_back(instance, ledger, "b", 40 * MIB)

    keep_free_bytes = free_bytes(elsewhere) - 60 * MIB  # room for 60 MiB
    obstacle = Admission(instance, ledger).obstacle(plan(), keep_free_bytes, 10.0)

    assert obstacle is not None
    assert obstacle.shortage is not None
    assert obstacle.shortage.folder == instance.output
    ledger.finish("a-1", "done", "", 11.0)
    assert Admission(instance, ledger).obstacle(plan(), keep_free_bytes, 12.0) is None


def test_videos_that_a_rename_brings_into_output_take_no_more_room(instance: Instance, ledger: Ledger) -> None:
    _hold_back(instance, ledger, "a", 80 * MIB)

    assert Admission(instance, ledger).obstacle(plan(), free_bytes(instance.output) - 60 * MIB, 10.0) is None


def test_what_a_job_holds_from_an_earlier_attempt_is_room_that_it_has(instance: Instance, ledger: Ledger) -> None:
    """Else a job that filled half the disk would wait for ever for what it holds itself."""
    ledger.claiming([("a", "a.png", None, None)], 1.0)
    ledger.add_job("a", 1, "{}", "a", 0, 1.0)
    kept = instance.jobs / "a" / "1" / "segments" / "000000.mp4"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"\0" * 80 * MIB)
    admission, keep_free_bytes = Admission(instance, ledger), free_bytes(instance.output) + 40 * MIB

    with_own, without = (admission.obstacle(plan(), keep_free_bytes, 10.0, job) for job in (ledger.job("a-1"), None))

    assert with_own is None
    assert without is not None
