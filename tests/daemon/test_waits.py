from __future__ import annotations

from pathlib import Path

from framedaemon.admission import Obstacle
from framedaemon.disk import Shortage
from framedaemon.events import DiskWaited, Event, JobWaiting
from framedaemon.ledger import JobRow, Ledger
from framedaemon.recipe import Recipe
from framedaemon.waits import Waits


def job_in(folder: Path) -> JobRow:
    ledger = Ledger(folder / "ledger.sqlite3")
    ledger.claiming([("a", "a.png", None, None)], 1.0)
    ledger.add_job("a", 1, Recipe().to_json(), "a", 0, 1.0)
    (job,) = ledger.jobs_of("a")
    ledger.close()
    return job


def test_a_wait_is_told_once_until_it_is_over(tmp_path: Path) -> None:
    job, told = job_in(tmp_path), list[Event]()
    waits = Waits(told.append)

    waits.say(job, "no room")
    waits.say(job, "no room")
    waits.over(job.id)
    waits.say(job, "no room again")

    assert told == [JobWaiting("a-1", "a.png", "no room"), JobWaiting("a-1", "a.png", "no room again")]


def test_want_of_room_tells_of_the_disk_too_and_a_breaker_has_said_it_already(tmp_path: Path) -> None:
    job, told = job_in(tmp_path), list[Event]()
    shortage = Shortage(tmp_path, free=1, needed=2)

    Waits(told.append).say_obstacle(job, Obstacle("disk", "no room", 5.0, shortage))
    Waits(told.append).say_obstacle(job, Obstacle("held", "breaker", 5.0))

    assert told == [DiskWaited(str(tmp_path), 1, 2), JobWaiting("a-1", "a.png", "no room")]
