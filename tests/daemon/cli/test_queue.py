"""jobs, show, retry, cancel, and status beside them, on an instance that has seen some work."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from commands import PATIENT, PROGRAM, SIDECAR, Commands, daemon, drawing, drop_capabilities, wait_until
from framedaemon.cli.queue import _KINDS
from framedaemon.instance import Instance
from framedaemon.ledger import Ledger, RetryKind
from living import drop, files_below, jobs_of, living, make_instance, run_all

BROKEN_NAME = os.fsdecode(b"caf\xe9\n.png")
READING = [["status"], ["status", "--json"], ["jobs"], ["jobs", "--json"], ["plugins"]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An instance whose daemon made one video and failed twice, once for a name that prints badly."""
    instance = make_instance(tmp_path_factory.mktemp("finished"))
    (instance.plugins / "patient.py").write_text(PATIENT)
    drop(instance, "good.png")
    drop(instance, "pets/bad.png", "[encode]\ncrf = 99\n")
    drop(instance, "plain.png").rename(instance.input / BROKEN_NAME)
    (instance.input / BROKEN_NAME).write_text("no picture")
    run_all(instance)
    yield instance.root


@pytest.fixture
def instance(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """A copy of it, as the current folder."""
    shutil.copytree(finished, tmp_path / "instance")
    monkeypatch.chdir(tmp_path / "instance")
    return Instance(tmp_path / "instance")


def job_of(instance: Instance, name: str) -> str:
    return next(job.id for job in jobs_of(instance) if job.name == name)


def everything(instance: Instance) -> dict[str, bytes]:
    files = (path for path in instance.root.rglob("*") if path.is_file() and "__pycache__" not in str(path))
    return {str(path): path.read_bytes() for path in files}


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_looking_leaves_nothing_behind(command: Commands, instance: Instance, words: list[str]) -> None:
    """Not even a log beside the ledger: were it root's, the daemon could not open its ledger any more."""
    before = everything(instance)
    assert {path.name for path in instance.tmp.glob("ledger*")} == {"ledger.sqlite3"}

    assert command(*words).code == 0

    assert everything(instance) == before


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_looking_where_no_daemon_ever_ran_shows_nothing_and_makes_nothing(
    command: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "input").mkdir()
    monkeypatch.chdir(tmp_path)

    assert command(*words).code == 0

    assert list(tmp_path.rglob("*")) == [tmp_path / "input"]


@pytest.mark.parametrize("words", [["status", "--json"], ["jobs"]], ids=" ".join)
def test_looking_needs_no_right_to_write(instance: Instance, words: list[str]) -> None:
    for path in (*instance.root.rglob("*"), instance.root):
        path.chmod(path.stat().st_mode & 0o555)

    said = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, preexec_fn=drop_capabilities)

    assert (said.returncode, said.stderr) == (0, "")
    assert "good.png" in said.stdout


def test_looking_needs_no_right_to_write_while_the_daemon_does(instance: Instance) -> None:
    ledger = Ledger(instance.ledger)
    ledger.claiming([("d9", "new.png", None, None)], 1.0)
    ledger.add_job("d9", 1, "{}", "new", 0, 9e9)
    for path in instance.tmp.glob("ledger*"):
        path.chmod(0o444)
    instance.tmp.chmod(0o555)

    said = subprocess.run([*PROGRAM, "jobs"], capture_output=True, text=True, preexec_fn=drop_capabilities)

    ledger.close()
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines()[0].split() == ["d9-1", "queued", "new.png"]


def test_looking_works_while_the_daemon_writes(command: Commands, instance: Instance) -> None:
    stop = threading.Event()
    writer = threading.Thread(target=_write_on, args=(instance, stop))
    writer.start()
    try:
        said = [command("jobs", "--json", "--limit", "1000") for _ in range(20)]
    finally:
        stop.set()
        writer.join()

    counts = [len(each.json) for each in said]
    assert {each.code for each in said} == {0}
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_jobs_are_listed_one_a_line_the_newest_first(command: Commands, instance: Instance) -> None:
    said = command("jobs")

    rows = [line.split()[1:3] for line in said.out.splitlines()]
    assert sorted(rows) == [["done", "good.png"], ["failed", r"caf\xe9\n.png"], ["failed", "pets/bad.png"]]
    assert [line.split()[0] for line in said.out.splitlines()] == [job.id for job in jobs_of(instance)[::-1]]


def test_jobs_tell_a_priority_while_it_counts(command: Commands, instance: Instance) -> None:
    ledger = Ledger(instance.ledger)
    ledger.claiming([("d9", "first.png", None, None)], 9e9)
    ledger.add_job("d9", 1, "{}", "first", 7, 9e9)
    ledger.close()

    assert command("jobs").out.splitlines()[0].split() == ["d9-1", "queued", "first.png", "priority", "+7"]
    assert [job["priority"] for job in command("jobs", "--json").json] == [7, 0, 0, 0]


def test_jobs_can_be_chosen_by_state_name_and_number(command: Commands, instance: Instance) -> None:
    assert [job["name"] for job in command("jobs", "--json", "--state", "done").json] == ["good.png"]
    assert [job["name"] for job in command("jobs", "--json", "--name", "pets/*").json] == ["pets/bad.png"]
    assert command("jobs", "--json", "--name", "pets/*", "--state", "done").json == []
    assert len(command("jobs", "--json", "--state", "failed", "--limit", "1").json) == 1
    assert command("jobs", "--state", "lost").code == 2


def test_where_no_job_is_listed_that_is_said_and_stdout_stays_empty(command: Commands, instance: Instance) -> None:
    said = command("jobs", "--state", "running")

    assert (said.code, said.out, said.err) == (0, "", "no job is like that\n")


def test_a_retry_puts_picture_and_sidecar_back_and_removes_the_reason(command: Commands, instance: Instance) -> None:
    said = command("retry", job_of(instance, "pets/bad.png"))

    assert (said.code, said.out) == (0, f"pets/bad.png: back in {instance.input / 'pets'}\n")
    assert files_below(instance.input) >= {"pets/bad.png", "pets/bad.toml"}
    assert not any((instance.failed / "pets").iterdir())


def test_a_picture_that_was_mended_and_retried_becomes_a_video(command: Commands, instance: Instance) -> None:
    command("retry", job_of(instance, "pets/bad.png"))
    (instance.input / "pets" / "bad.toml").write_text("[encode]\ncrf = 30\n")

    assert command("once").code == 0

    assert (instance.output / "pets" / "bad.mp4").exists()
    assert command("retry", "--all").out.splitlines() == [rf"caf\xe9\n.png: back in {instance.input}"]


def test_retrying_all_with_nothing_there_is_no_failure(command: Commands, instance: Instance) -> None:
    command("retry", "--all")

    said = command("retry", "--all")

    assert (said.code, said.out, said.err) == (0, "", "there is nothing to put back\n")


def test_what_cannot_be_retried_is_said(command: Commands, instance: Instance) -> None:
    gone = job_of(instance, "pets/bad.png")
    (instance.failed / "pets" / "bad.png").unlink()

    said = command("retry", gone, job_of(instance, "good.png"), "nonsense")

    assert (said.code, said.out) == (1, "")
    assert said.err.count("no job with this id has failed") == 2
    assert "pets/bad.png: is not in" in said.err


def test_pictures_are_retried_by_how_their_jobs_ended(command: Commands, instance: Instance) -> None:
    none, said = command("retry", "--kind", "crashed"), command("retry", "--kind", "rejected", "--json")

    assert (none.code, none.out, none.err) == (0, "", "there is nothing to put back\n")
    assert sorted(said.json, key=str) == [
        {"name": r"caf\xe9\n.png", "path": rf"{instance.input}/caf\xe9\n.png"},
        {"name": "pets/bad.png", "path": str(instance.input / "pets" / "bad.png")},
    ]


def test_a_kind_that_is_none_is_refused_with_those_there_are(command: Commands, instance: Instance) -> None:
    said = command("retry", "--kind", "lost")

    assert said.code == 2
    assert "quarantined" in said.err
    assert sorted(_KINDS) == sorted(get_args(RetryKind))


def test_what_waits_is_tried_when_the_operator_says_so(command: Commands, instance: Instance) -> None:
    ledger = Ledger(instance.ledger)
    ledger.claiming([("d9", "new.png", None, None)], 1.0)
    ledger.add_job("d9", 1, "{}", "new", 0, 1.0)
    ledger.set_drop("d9", "open")
    ledger.wait("d9-1", "no room", 9e9)
    ledger.close()

    said = command("retry", "--waiting")
    with living(instance) as service:
        service.holding = True
        service.tick(time.monotonic())

    assert said.out == "no daemon is running; they will be tried when one starts\n"
    assert next(job.not_before for job in jobs_of(instance) if job.id == "d9-1") < 9e9


@pytest.mark.parametrize("word", ["pets/bad.png", "input/failed/pets/bad.png"])
def test_a_job_is_shown_whole_by_the_name_or_the_place_of_its_picture(
    command: Commands, instance: Instance, word: str
) -> None:
    said, (facts,) = command("show", word), command("show", word, "--json").json
    id = job_of(instance, "pets/bad.png")

    lines = {line[:11].strip(): line[11:] for line in said.out.splitlines()}
    assert lines["picture"] == "pets/bad.png: input/failed/pets/bad.png"
    assert lines["reason"].startswith("[encode] crf: 99 is not in 0..51")
    assert lines["to do"] == "read input/failed/pets/bad.error.txt"
    assert f"framedaemon retry {id}" in said.out
    assert (facts["job"]["id"], facts["explained"]) == (id, "input/failed/pets/bad.error.txt")


def test_a_video_is_traced_back_to_its_job(command: Commands, instance: Instance) -> None:
    (facts,) = command("show", "output/good.mp4", "--json").json

    assert facts["job"]["id"] == job_of(instance, "good.png")
    assert (facts["video"], facts["receipt"]) == ("output/good.mp4", "output/good.json")
    assert [attempt["outcome"] for attempt in facts["attempts"]] == ["done"]
    assert facts["plan"]["frames"] == 5
    assert command("show", facts["job"]["id"]).out.startswith(f"job        {facts['job']['id']}\n")


def test_what_is_no_job_and_no_name_is_not_shown(command: Commands, instance: Instance) -> None:
    said = command("show", "nonsense")

    assert (said.code, said.out) == (1, "")
    assert "nonsense: no job has this id" in said.err


@pytest.mark.parametrize("words", [["status"], ["jobs"], ["retry", "--all"], ["cancel", "x"]])
def test_a_damaged_ledger_is_said_without_a_traceback(command: Commands, instance: Instance, words: list[str]) -> None:
    instance.ledger.write_bytes(b"garbled")

    said = command(*words)

    assert said.code == 2
    assert "the ledger is damaged" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("words", [[], ["--all", "some-job"], ["--all", "--kind", "failed"], ["--waiting", "some-job"]])
def test_a_retry_of_nothing_or_of_both_is_wrong_usage(command: Commands, instance: Instance, words: list[str]) -> None:
    assert command("retry", *words).code == 2


def test_a_job_is_cancelled_by_the_next_daemon_when_none_runs(command: Commands, instance: Instance) -> None:
    ledger = Ledger(instance.ledger)
    ledger.claiming([("d9", "new.png", None, None)], 1.0)
    ledger.add_job("d9", 1, "{}", "new", 0, 1.0)
    ledger.set_drop("d9", "open")
    ledger.close()
    (instance.jobs / "d9" / "source").mkdir(parents=True)
    (instance.jobs / "d9" / "source" / "new.png").write_text("picture")

    said = command("cancel", "d9-1")

    assert (said.code, said.out) == (0, "d9-1: no daemon is running; it will be cancelled when one starts\n")
    assert command("once").code == 0
    assert files_below(instance.failed) >= {"new.png", "new.error.txt"}
    assert command("jobs", "--state", "cancelled", "--json").json[0]["id"] == "d9-1"


def test_what_is_not_there_or_has_ended_is_not_cancelled(command: Commands, instance: Instance) -> None:
    said = command("cancel", "nonsense", job_of(instance, "good.png"))

    assert (said.code, said.out) == (1, "")
    assert "nonsense: no such job" in said.err
    assert "ended already: done" in said.err
    assert not (instance.tmp / "requests").exists() or not any((instance.tmp / "requests").iterdir())


def test_a_running_daemon_is_seen_and_told(command: Commands, instance: Instance) -> None:
    drop(instance, "slow.png", SIDECAR)

    with daemon(instance) as running:
        wait_until(lambda: drawing(instance), "the job")
        wait_until(lambda: (command("status", "--json").json["current"] or {}).get("stages"), "its progress")
        facts, table = command("status", "--json").json, command("status").out
        said = command("cancel", facts["current"]["job"])
        running.wait_for("job_failed")

    assert facts["daemon"]["pid"] == running.process.pid
    assert facts["current"]["name"] == "slow.png"
    assert facts["current"]["stages"]["patient"]["total"] == 3
    assert f"process {running.process.pid}" in table.splitlines()[0]
    assert facts["daemon"]["worker"] is not None
    assert facts["memory"]["worker_bytes"] > 1_000_000
    assert (said.code, said.out) == (0, f"{facts['current']['job']}: the daemon was told\n")
    assert jobs_of(instance)[-1].state == "cancelled"


def _write_on(instance: Instance, stop: threading.Event) -> None:
    ledger = Ledger(instance.ledger)
    number = 0
    while not stop.is_set():
        number += 1
        ledger.claiming([(f"w{number}", "x.png", None, None)], 1.0)
        ledger.add_job(f"w{number}", 1, "{}", f"x{number}", 0, 1.0)
    ledger.close()
