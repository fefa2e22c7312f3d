from __future__ import annotations

import time
from pathlib import Path

import pytest

from commands import PATIENT, SIDECAR, Commands, daemon, drawing, wait_until
from framedaemon.instance import Instance
from framedaemon.ledger import Ledger
from framedaemon.requests import read_pause
from living import drop, make_instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = make_instance(tmp_path)
    (made.plugins / "patient.py").write_text(PATIENT)
    return made


def test_a_pause_without_a_daemon_counts_when_one_starts_and_says_so(command: Commands, instance: Instance) -> None:
    said = command("pause", "--instance", instance.root)

    assert said.out == "paused: no daemon is running; one that starts begins no job until `framedaemon resume`\n"
    assert read_pause(instance) is not None


def test_resume_says_whether_it_was_paused(command: Commands, instance: Instance) -> None:
    command("pause", "--now", "--instance", instance.root)

    resumed = command("resume", "--instance", instance.root)
    again = command("resume", "--json", "--instance", instance.root)

    assert resumed.out == "resumed; no daemon is running\n"
    assert again.json == {"paused": False, "before": False, "daemon": False}
    assert read_pause(instance) is None


def test_a_daemon_that_is_paused_at_once_halts_its_job_and_goes_on_with_it(
    command: Commands, instance: Instance
) -> None:
    """Across a restart, too: the pause is the instance's."""
    config = instance.config.read_text()
    instance.config.write_text(config.replace("[worker]", "[worker]\nhalt_seconds = 0.1"))
    drop(instance, "a.png", SIDECAR)
    with daemon(instance) as running:
        wait_until(lambda: drawing(instance), "the job to draw")
        said = command("pause", "--now", "--json", "--instance", instance.root)
        running.wait_for("job_halted")
    with daemon(instance) as running:
        running.wait_for("work_paused", 2)
        state = _only_job(instance)
        (instance.tmp / "go").touch()
        command("resume", "--instance", instance.root)
        running.wait_for("job_published")

    assert said.json == {"paused": True, "before": False, "now": True, "daemon": True}
    assert state == "queued"


def test_to_prefer_a_job_is_left_for_the_daemon(command: Commands, instance: Instance) -> None:
    ledger = Ledger(instance.ledger)
    ledger.claiming([("a", "a.png", None, None)], time.time())
    ledger.add_job("a", 1, "{}", "a", 0, time.time())
    ledger.close()

    said = command("prefer", "a-1", "--priority", "7", "--json", "--instance", instance.root)

    assert said.json == {"a-1": {"priority": 7, "before": 0, "daemon": False}}
    assert (instance.tmp / "requests" / "prefer a-1 7").exists()


@pytest.mark.parametrize("words", [("nobody-1",), ("nobody-1", "--json")])
def test_to_prefer_what_is_not_there_is_said(command: Commands, instance: Instance, words: tuple[str, ...]) -> None:
    said = command("prefer", *words, "--instance", instance.root)

    assert said.code == 1
    assert said.err == "nobody-1: no such job\n"


def _only_job(instance: Instance) -> str:
    ledger = Ledger(instance.ledger, read_only=True)
    (job,) = ledger.jobs()
    ledger.close()
    return job.state
