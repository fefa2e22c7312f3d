"""A service that is to leave the machine to others: paused, outside its hours, halted; with real workers."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from framedaemon.gate import Closed
from framedaemon.hours import DAYS
from framedaemon.instance import Instance
from framedaemon.ledger import Ledger
from framedaemon.requests import ask_to_cancel, ask_to_prefer, pause, resume
from framedaemon.service import Service
from framedaemon.settings import read_settings
from framedaemon.status import read_status
from living import CONFIG, drop, jobs_of, living, make_instance, tick_until

# 600 frames, in three parts: a second or two of work.
LONG = """
[generate]
use = "faulty"
frames = 600
fps = 60
[interpolate]
use = "none"
"""


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path)


def alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


def shown(service: Service) -> int:
    """Frames that came into the video so far."""
    progress = service._dispatch.progress
    return list(progress.stages.values())[-1][0] if progress is not None and progress.stages else 0


def outcomes(instance: Instance, job: str) -> list[str | None]:
    ledger = Ledger(instance.ledger, read_only=True)
    found = [attempt.outcome for attempt in ledger.attempts(job)]
    ledger.close()
    return found


def test_what_changes_right_after_the_status_was_said_is_said_before_long(instance: Instance) -> None:
    with living(instance) as service:
        service.tick(100.0)
        pause(instance, now=False, wall=time.time())

        due = service.tick(100.1)
        rests = service.tick(due)
        said = read_status(instance.status)

    assert due <= 101.0 < rests
    assert said is not None and said.paused == "paused by hand"


def test_what_a_ledger_did_not_take_down_is_done_as_soon_as_it_does(tmp_path: Path) -> None:
    """A picture that was being taken, for which nothing would look before the next scan, and a request."""
    instance = make_instance(tmp_path, CONFIG.replace("rescan_seconds = 1.0", "rescan_seconds = 3600.0"))
    pause(instance, now=False, wall=time.time())
    with living(instance) as service:
        drop(instance, "a.png")
        service.tick(0.0)
        (job,) = service._ledger.jobs("queued")
        ask_to_cancel(instance, job.id)
        drop(instance, "b.png")
        service.woken = True
        service._ledger._db.execute("PRAGMA query_only = ON")
        with pytest.raises(sqlite3.OperationalError):
            service.tick(10.0)
        with pytest.raises(sqlite3.OperationalError):
            service._take_in(11.0, time.time())
        idle = service.idle
        service._ledger._db.execute("PRAGMA query_only = OFF")
        service.tick(12.0)

    assert not idle
    assert {job.name: job.state for job in jobs_of(instance)} == {"a.png": "cancelled", "b.png": "queued"}


def test_while_it_is_paused_pictures_are_taken_and_wait_and_no_worker_lives(instance: Instance) -> None:
    drop(instance, "a.png")
    with living(instance) as service:
        tick_until(service, lambda: service.idle)
        worker = service.executor.pid
        pause(instance, now=False, wall=time.time())
        drop(instance, "b.png")
        service.woken = True

        tick_until(service, lambda: bool(service.paused) and service.idle and len(jobs_of(instance)) == 2)
        gone, status = not alive(worker), read_status(instance.status)
        resume(instance)
        tick_until(service, lambda: service.idle)

    assert gone
    assert status is not None
    assert status.paused in ("", "paused by hand")  # it is written once a second
    assert [job.state for job in jobs_of(instance)] == ["done", "done"]


def test_a_pause_lets_the_job_at_work_finish_and_then_frees_the_memory(instance: Instance) -> None:
    drop(instance, "a.png")
    drop(instance, "b.png")
    with living(instance) as service:
        tick_until(service, lambda: service.busy)
        pause(instance, now=False, wall=time.time())
        worker = service.executor.pid

        tick_until(service, lambda: not service.busy and not service.executor.ready)

    assert not alive(worker)
    assert sorted(job.state for job in jobs_of(instance)) == ["done", "queued"]


def test_a_pause_at_once_halts_the_job_which_goes_on_behind_its_finished_parts(instance: Instance) -> None:
    instance.config.write_text(CONFIG.replace("[worker]", "[worker]\nhalt_seconds = 0.2"))
    drop(instance, "long.png", sidecar=LONG)
    with living(instance) as service:
        tick_until(service, lambda: shown(service) > 260)
        worker = service.executor.pid
        pause(instance, now=True, wall=time.time())

        tick_until(service, lambda: not service.busy)
        (halted,), gone = jobs_of(instance), not alive(worker)
        resume(instance)
        tick_until(service, lambda: service.idle)

    (job,) = jobs_of(instance)
    assert gone
    assert (halted.state, halted.strikes) == ("queued", 0)
    assert (job.state, job.attempts) == ("done", 2), job.reason
    assert outcomes(instance, job.id) == ["stopped", "done"]
    resumed = [line for line in _job_log(instance, job.id) if line["event"] == "clip_resumed"]
    assert resumed[0]["frames"] >= 200


def test_a_service_that_is_to_halt_ends_its_job_and_begins_no_other(instance: Instance) -> None:
    drop(instance, "long.png", sidecar=LONG)
    with living(instance) as service:
        tick_until(service, lambda: shown(service) > 50)
        service.draining = True

        service.halt(time.monotonic())
        tick_until(service, lambda: not service.busy)
        worker = service.executor.pid

    assert worker is None
    assert jobs_of(instance)[0].state in ("queued", "done")  # what can be whole in time is finished


def test_outside_its_hours_it_begins_nothing_and_says_when_it_will(instance: Instance) -> None:
    tomorrow = DAYS[(datetime.now() + timedelta(days=1, hours=1)).weekday()]
    instance.config.write_text(f'{CONFIG}\n[hours]\nopen = ["{tomorrow} 03:00-04:00"]\n')
    drop(instance, "a.png")
    with living(instance) as service:
        tick_until(service, lambda: bool(service.paused) and service.idle)
        said = service.paused
        instance.config.write_text(CONFIG)
        service.reload(read_settings(instance.config))
        tick_until(service, lambda: service.idle)

    assert said == f"outside working hours until {tomorrow} 03:00"
    assert [job.state for job in jobs_of(instance)] == ["done"]


def test_a_preferred_job_is_begun_before_those_that_came_earlier(instance: Instance) -> None:
    pause(instance, now=False, wall=time.time())
    for name in ("a.png", "b.png", "c.png"):
        drop(instance, name)
    with living(instance) as service:
        tick_until(service, lambda: len(jobs_of(instance)) == 3)
        last = jobs_of(instance)[-1]
        ask_to_prefer(instance, last.id, 5)
        service.tick(time.monotonic())
        resume(instance)
        tick_until(service, lambda: service.busy)
        progress = service._dispatch.progress

    assert progress is not None
    assert progress.job == last.id


def _job_log(instance: Instance, job: str) -> list[dict[str, object]]:
    lines = (instance.logs / "jobs" / f"{job}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_daemon_that_drains_does_not_ask_again_and_again_whether_it_may_begin(instance: Instance) -> None:
    with living(instance) as service:
        service.draining = True
        service._closed = Closed({"hours": "outside working hours"}, time.time() - 100, halts=False)  # they have begun
        now = time.monotonic()

        due = service.tick(now)

    assert due - now > 0.5
