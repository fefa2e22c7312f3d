from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from framedaemon.dossier import Dossier, compile_dossier, find_jobs
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from queues import end_job, plan_of, queue_job


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance(tmp_path)
    create(instance)
    return instance


@pytest.fixture
def ledger(instance: Instance) -> Iterator[Ledger]:
    ledger = Ledger(instance.ledger)
    yield ledger
    ledger.close()


def _dossier(instance: Instance, ledger: Ledger, id: str) -> Dossier:
    (row,) = find_jobs(instance, ledger, id)
    return compile_dossier(instance, ledger, row)


def test_a_job_at_work_has_its_picture_in_its_workspace_and_an_attempt_without_an_end(
    instance: Instance, ledger: Ledger
) -> None:
    id, plan = queue_job(ledger, "trip/a.jpg"), plan_of()
    ledger.start(id, 5.0)
    ledger.set_plan(id, plan.model_dump_json(), plan.place)
    (instance.jobs / "d0" / "source").mkdir(parents=True)
    (instance.jobs / "d0" / "source" / "a.jpg").touch()

    dossier = _dossier(instance, ledger, id)

    assert dossier.picture == "tmp/jobs/d0/source/a.jpg"
    assert [(one.number, one.started, one.ended, one.outcome) for one in dossier.attempts] == [(1, 5.0, None, None)]
    assert dossier.plan == plan.model_dump(mode="json")
    assert dossier.expected_seconds is not None


def test_a_failed_job_tells_all_of_its_reason_and_where_its_picture_lies(instance: Instance, ledger: Ledger) -> None:
    id = end_job(ledger, "a.jpg", "failed", "one thing\nand another")
    (instance.failed / "a.jpg").touch()
    (instance.failed / "a.error.txt").touch()

    dossier = _dossier(instance, ledger, id)

    assert dossier.reason == "one thing\nand another"
    assert (dossier.picture, dossier.explained) == ("input/failed/a.jpg", "input/failed/a.error.txt")
    assert (dossier.expected_seconds, dossier.video) == (None, None)


def test_what_was_removed_since_is_not_claimed_to_be_there(instance: Instance, ledger: Ledger) -> None:
    dossier = _dossier(instance, ledger, end_job(ledger, "a.jpg"))

    assert dossier.job.output == "d0-1.mp4"
    assert (dossier.picture, dossier.video, dossier.receipt, dossier.log) == (None, None, None, None)


def test_a_dossier_is_a_json_document(instance: Instance, ledger: Ledger) -> None:
    facts = json.loads(json.dumps(asdict(_dossier(instance, ledger, queue_job(ledger, "a.jpg", prompt="a cat")))))

    assert facts["version"] == 1
    assert facts["recipe"]["generate"]["options"] == {"prompt": "a cat"}


@pytest.mark.parametrize("word", ["a.jpg", "{root}/input/done/a.jpg", "{root}/output/d1-1.mp4", "d1-1"])
def test_a_job_is_found_by_what_people_have_at_hand(instance: Instance, ledger: Ledger, word: str) -> None:
    end_job(ledger, "a.jpg", "failed", "the first time")
    end_job(ledger, "a.jpg")

    (found,) = find_jobs(instance, ledger, word.format(root=instance.root))

    assert found.id == "d1-1"


@pytest.mark.parametrize("word", ["caf\udce9\n.jpg", r"caf\xe9\n.jpg", "{root}/input/caf\udce9\n.jpg"])
def test_a_name_that_cannot_be_shown_is_found_as_it_is_and_as_it_is_shown(
    instance: Instance, ledger: Ledger, word: str
) -> None:
    id = end_job(ledger, "caf\udce9\n.jpg")

    (found,) = find_jobs(instance, ledger, word.format(root=instance.root))

    assert found.id == id


@pytest.mark.parametrize("word", ["\udce9", "output/\udce9.mp4", r"\xe9"])
def test_words_that_are_no_text_mean_no_job(
    instance: Instance, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(instance.root)

    assert find_jobs(instance, ledger, word) == []
