"""Ledgers that were damaged, and what they say of jobs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from framedaemon.breaker import Fault
from framedaemon.doctor import _Records as Records
from framedaemon.doctor.finding import Finding
from framedaemon.doctor.patient import Patient, admit
from framedaemon.doctor.records import examine_jobs
from framedaemon.ledger import JobState, Ledger
from framedaemon.requests import pause
from living import make_instance

NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    instance = make_instance(tmp_path)
    Ledger(instance.ledger).close()
    return admit(instance, NOW)


def jobs(patient: Patient, *states: JobState, at: float = NOW) -> list[Finding]:
    """What is said where there is a job in each of ``states``."""
    ledger = Ledger(patient.instance.ledger)
    for number, state in enumerate(states):
        ledger.claiming([(f"id{number}", "cat.png", None, None)], at)
        ledger.add_job(f"id{number}", 1, "{}", f"cat{number}", 0, at)
        _end(ledger, f"id{number}-1", state, at)
    found = [*examine_jobs(patient, ledger)]
    ledger.close()
    return found


def _end(ledger: Ledger, job: str, state: JobState, at: float) -> None:
    if state == "waiting":
        ledger.wait(job, "there is no room", at)
    elif state != "queued":
        ledger.finish(job, state, "why", at)


def test_a_whole_ledger_is_well_and_one_that_is_not_there_yet_too(patient: Patient) -> None:
    whole = [*Records(patient).examine()]
    patient.instance.ledger.unlink()
    none = [*Records(patient).examine()]

    assert [one.state for one in whole + none] == ["ok", "ok"]


def test_a_ledger_that_is_none_is_an_error_that_says_what_to_do(patient: Patient) -> None:
    patient.instance.ledger.write_bytes(b"garbled" * 1000)

    (one,) = Records(patient).examine()

    assert (one.state, one.said) == ("error", "the ledger is damaged: file is not a database")
    assert "put ledger.sqlite3 aside under another name" in one.mend


def test_a_ledger_that_is_damaged_within_is_found_by_looking_through_it(patient: Patient) -> None:
    jobs(patient, *["done"] * 200)
    with patient.instance.ledger.open("r+b") as file:
        for page in range(2, 40, 3):
            file.seek(4096 * page)
            file.write(b"\xff" * 2000)

    (one,) = Records(patient).examine()

    assert one.state == "error"
    assert "the ledger is damaged" in one.said


def test_a_ledger_of_a_newer_framedaemon_is_an_error(patient: Patient) -> None:
    db = sqlite3.connect(patient.instance.ledger)
    db.execute("PRAGMA user_version = 99")
    db.close()

    (one,) = Records(patient).examine()

    assert (one.state, "version 99" in one.said) == ("error", True)


def test_checks_that_need_the_ledger_go_without_a_damaged_one(patient: Patient) -> None:
    patient.instance.ledger.write_bytes(b"garbled" * 1000)
    records = Records(patient)
    [*records.examine()]

    assert [*records.with_ledger(records.jobs)] == []


def test_an_open_breaker_is_an_error(patient: Patient) -> None:
    jobs(patient, "queued")
    ledger = Ledger(patient.instance.ledger)
    ledger.breaker.failed("id0-1", 1, Fault("crashed", "SIGSEGV", "the worker's start"), 3, 60.0, NOW)

    found = [*examine_jobs(patient, ledger)]
    ledger.close()

    assert (found[0].name, found[0].state) == ("breaker", "error")
    assert "framedaemon retry --waiting" in found[0].mend


@pytest.mark.parametrize(
    ("states", "name", "state", "said"),
    [
        (["waiting"], "waiting", "warning", "1 job waits because there is no room"),
        (["quarantined"], "quarantined", "warning", "1 job failed at every attempt"),
        (["failed"], "failed", "ok", "1 job could not be made as they are"),
        (["done"], "last", "ok", "the last video is 0 min old"),
        ([], "last", "ok", "there is no video yet"),
    ],
)
def test_what_became_of_jobs_is_said(
    patient: Patient, states: list[JobState], name: str, state: str, said: str
) -> None:
    one = next(one for one in jobs(patient, *states) if one.name == name)

    assert (one.state, one.said) == (state, said)


def test_a_queue_that_has_given_no_video_for_days_is_a_warning(patient: Patient) -> None:
    last = jobs(patient, "done", "queued", at=NOW - 3 * DAY)[-1]

    assert (last.state, last.said) == ("warning", "the last video is 3 days old; in the queue: 1 job")


def test_a_pause_that_somebody_forgot_is_told_with_the_command_that_ends_it(patient: Patient) -> None:
    pause(patient.instance, now=False, wall=NOW - 3 * DAY)

    (one,) = [one for one in jobs(patient, "queued") if one.state != "ok"]

    assert one.said == "paused by hand for 3 days: no job is begun, whether or not a daemon runs"
    assert one.mend == f"framedaemon resume --instance {patient.instance.root}"
