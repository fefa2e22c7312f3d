from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from framedaemon.breaker import Fault
from framedaemon.errors import SettingsError
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from framedaemon.lookout import SHOWN, Lookout
from framedaemon.requests import pause
from framedaemon.settings import Settings
from framedaemon.status import Progress, Status, write_status
from queues import end_job, plan_of, queue_job

NOW = 1000.0


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance(tmp_path / "instance")
    create(instance)
    return instance


@pytest.fixture
def ledger(instance: Instance) -> Iterator[Ledger]:
    ledger = Ledger(instance.ledger)
    yield ledger
    ledger.close()


@pytest.fixture
def lookout(instance: Instance) -> Lookout:
    return Lookout(instance, Settings())


@contextmanager
def _running(instance: Instance, progress: Progress | None = None, at: float = NOW, paused: str = "") -> Iterator[None]:
    """A daemon, as far as its lock and its status tell: this process."""
    write_status(instance.status, Status(os.getpid(), at, False, progress, since=400.0, worker=None, paused=paused))
    handle = os.open(instance.lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, b"%-20d" % os.getpid())
        yield
    finally:
        os.close(handle)


def _progress(job: str = "d0-1") -> Progress:
    """At frame 100 of 200, 5 a second: 20 s are left."""
    stages = {"camera": (160, 200), "ffmpeg": (100, 200)}
    return Progress(job, "now.jpg", 2, NOW - 60, stages, "", None, {"camera": (1, NOW - 30), "ffmpeg": (0, NOW - 20)})


# --- the daemon and its job


def test_where_no_daemon_ever_ran_there_is_nothing_but_the_machine(lookout: Lookout) -> None:
    seen = lookout.look(NOW)

    assert (seen.daemon, seen.current, seen.queue.jobs, seen.counts, seen.ended) == (None, None, 0, {}, ())
    assert seen.room.disks[0].free_bytes > 0
    assert seen.memory.total_bytes > 0


def test_the_job_at_hand_is_told_with_its_pace(instance: Instance, lookout: Lookout) -> None:
    with _running(instance, _progress()):
        seen = lookout.look(NOW)

    assert seen.daemon is not None
    assert seen.current is not None
    assert (seen.daemon.pid, seen.daemon.since) == (os.getpid(), 400.0)
    assert (seen.current.name, seen.current.attempt, seen.current.seconds) == ("now.jpg", 2, 60.0)
    assert (seen.current.frames_per_second, seen.current.remaining_seconds) == (5.0, 20.0)
    assert [(stage, count.done) for stage, count in seen.current.stages.items()] == [("camera", 160), ("ffmpeg", 100)]


def test_what_a_killed_daemon_left_behind_is_not_believed(instance: Instance, lookout: Lookout) -> None:
    """Its process number may be another's by now; its lock is nobody's."""
    with _running(instance, _progress()):
        pass

    seen = lookout.look(NOW)

    assert (seen.daemon, seen.current) == (None, None)


def test_a_job_that_a_killed_daemon_had_at_work_is_still_to_be_made(
    instance: Instance, ledger: Ledger, lookout: Lookout
) -> None:
    ledger.start(queue_job(ledger, "cut.jpg"), 2.0)
    with _running(instance, _progress()):
        meanwhile = lookout.look(NOW).queue

    left = lookout.look(NOW).queue

    assert (meanwhile.jobs, left.jobs) == (0, 1)
    assert (left.next[0].job.name, left.next[0].job.state) == ("cut.jpg", "running")


def test_a_daemon_that_is_just_coming_up_is_seen(instance: Instance, lookout: Lookout) -> None:
    with _running(instance):
        instance.status.unlink()

        seen = lookout.look(NOW)

    assert seen.daemon is not None
    assert (seen.daemon.pid, seen.daemon.said) == (os.getpid(), None)


def test_a_pause_that_waits_for_a_daemon_is_told(instance: Instance, lookout: Lookout) -> None:
    """Else the next one is started, and nobody knows why it makes nothing."""
    pause(instance, False, NOW)

    assert lookout.look(NOW).problems == (
        "paused by hand: a daemon that is started begins no job before `framedaemon resume`",
    )
    with _running(instance, paused="paused by hand"):
        assert lookout.look(NOW).problems == ()


def test_a_daemon_that_says_nothing_for_long_is_a_problem(instance: Instance, lookout: Lookout) -> None:
    with _running(instance, at=NOW - 300):
        (problem,) = lookout.look(NOW).problems

    assert problem.startswith("the daemon has said nothing for 300 s")


# --- the queue


def test_each_job_begins_when_those_before_it_are_expected_to_have_ended(
    instance: Instance, ledger: Ledger, lookout: Lookout
) -> None:
    end_job(ledger, "before.jpg", seconds=30.0)
    for name, at in (("a.jpg", 1.0), ("b.jpg", 2.0), ("c.jpg", 3.0)):
        queue_job(ledger, name, at)
    queue_job(ledger, "new.jpg", 4.0, use="wan")
    queue_job(ledger, "last.jpg", 5.0, use="wan")
    ledger.wait("d2-1", "no room", NOW + 500)

    with _running(instance, _progress()):
        queue = lookout.look(NOW).queue

    assert [(one.job.name, one.expected_seconds, one.starts_in_seconds) for one in queue.next] == [
        ("a.jpg", 30.0, 20.0),
        ("b.jpg", 30.0, 500.0),
        ("c.jpg", 30.0, 530.0),
        ("new.jpg", None, 560.0),
        ("last.jpg", None, None),
    ]
    assert (queue.jobs, queue.remaining_seconds, queue.unknown) == (5, 20.0 + 3 * 30.0, 2)


def test_while_the_daemon_pauses_nobody_knows_when_a_job_begins(
    instance: Instance, ledger: Ledger, lookout: Lookout
) -> None:
    end_job(ledger, "before.jpg", seconds=30.0)
    queue_job(ledger, "a.jpg")

    with _running(instance, paused="paused by hand"):
        seen = lookout.look(NOW)

    assert seen.daemon is not None
    assert seen.daemon.paused == "paused by hand"
    assert [(one.expected_seconds, one.starts_in_seconds) for one in seen.queue.next] == [(30.0, None)]


def test_of_a_long_queue_all_is_counted_and_the_first_are_told(ledger: Ledger, lookout: Lookout) -> None:
    with ledger.transaction():
        [queue_job(ledger, f"{number}.jpg", float(number)) for number in range(SHOWN + 5)]

    queue = lookout.look(NOW).queue

    assert (queue.jobs, len(queue.next), queue.next[0].job.name) == (SHOWN + 5, SHOWN, "0.jpg")


# --- what went wrong


def test_a_failure_is_told_with_where_its_picture_and_reason_lie(
    instance: Instance, ledger: Ledger, lookout: Lookout
) -> None:
    end_job(ledger, "pets.jpg", "failed", "[encode] crf: 99 is not in 0..51\nand more")
    (instance.failed / "pets.jpg").touch()
    (instance.failed / "pets.error.txt").touch()

    (failure,) = lookout.look(NOW).failures

    assert (failure.job.name, failure.job.reason) == ("pets.jpg", "[encode] crf: 99 is not in 0..51")
    assert (failure.picture, failure.explained) == ("input/failed/pets.jpg", "input/failed/pets.error.txt")


def test_a_failed_picture_that_somebody_took_away_is_nowhere(ledger: Ledger, lookout: Lookout) -> None:
    end_job(ledger, "pets.jpg", "failed", "broken")

    (failure,) = lookout.look(NOW).failures

    assert (failure.picture, failure.explained) == (None, None)


def test_the_logs_warnings_are_told_but_for_failed_jobs(instance: Instance, lookout: Lookout) -> None:
    lines = [{"level": "warning", "event": event, "reason": "why"} for event in ("job_failed", "job_retried")]
    (instance.logs / "framedaemon.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    assert [line.event for line in lookout.look(NOW).warnings] == ["job_retried"]


def test_an_open_breaker_is_told_with_when_it_tries_again(ledger: Ledger, lookout: Lookout) -> None:
    for name in "xyz":
        id = queue_job(ledger, name)
        ledger.breaker.failed(id, 1, Fault("crashed", "SIGSEGV", "wan, ffmpeg"), 3, 60.0, NOW)

    (breaker,) = lookout.look(NOW).breakers

    assert (breaker.place, breaker.opened, breaker.until) == ("wan, ffmpeg", NOW, NOW + 60)
    assert "the machine seems to be at fault" in breaker.said


def test_a_damaged_ledger_is_an_error_for_a_person(instance: Instance, lookout: Lookout) -> None:
    instance.ledger.write_bytes(b"garbled")

    with pytest.raises(SettingsError, match="the ledger is damaged"):
        lookout.look(NOW)


# --- room


def test_what_the_job_at_hand_will_still_write_is_reserved(
    instance: Instance, ledger: Ledger, lookout: Lookout
) -> None:
    plan = plan_of().model_copy(update={"temporary_bytes": 1000, "video_bytes": 5000})
    id = queue_job(ledger, "a.jpg")
    ledger.start(id, NOW)
    ledger.set_plan(id, plan.model_dump_json(), plan.place)
    folder = instance.jobs / "d0" / "1"
    folder.mkdir(parents=True)
    (folder / "checkpoint").write_bytes(b"x" * 400)

    room = lookout.look(NOW).room

    assert room.reserved_bytes == 5600
    assert room.temporary_bytes >= 400
    assert room.keep_free_bytes == Settings().disk.keep_free_bytes


# --- looking again


def test_what_changed_is_seen_at_once(ledger: Ledger, lookout: Lookout) -> None:
    before = lookout.look(NOW).queue.jobs

    queue_job(ledger, "a.jpg")

    assert (before, lookout.look(NOW).queue.jobs) == (0, 1)


def test_looking_again_at_a_long_queue_costs_next_to_nothing(ledger: Ledger, lookout: Lookout) -> None:
    """Once a second, of a core: measured against a look at what has changed, since machines differ."""
    with ledger.transaction():
        [queue_job(ledger, f"{number}.jpg", float(number)) for number in range(500)]
    first = _cpu_seconds(lookout, NOW)

    again = min(_cpu_seconds(lookout, NOW) for _ in range(5))

    assert again < first / 5


def _cpu_seconds(lookout: Lookout, now: float) -> float:
    before = time.process_time()
    lookout.look(now)
    return time.process_time() - before
