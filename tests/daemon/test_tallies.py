from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.ledger import JobState, Ledger, Outcome
from framedaemon.tallies import Tallies

PLACE = "camera, flow, ffmpeg"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


@pytest.fixture
def tallies(tmp_path: Path, ledger: Ledger) -> Tallies:
    return Tallies(tmp_path / "ledger.sqlite3")


def _take(ledger: Ledger, id: str, at: float = 1.0, place: str = PLACE) -> str:
    ledger.claiming([(id, f"{id}.jpg", None, None)], at)
    ledger.add_job(id, 1, "{}", id, 0, at)
    ledger.set_plan(f"{id}-1", "{}", place)
    return f"{id}-1"


def _end(ledger: Ledger, id: str, at: float, state: JobState = "done", place: str = PLACE) -> None:
    job = _take(ledger, id, place=place)
    ledger.start(job, at - 1)
    ledger.finish(job, state, "", at)


def _again(ledger: Ledger, id: str, outcome: Outcome) -> None:
    job = _take(ledger, id)
    ledger.start(job, 2.0)
    ledger.again(job, outcome, "", 3.0, 100.0)


def test_what_ended_is_counted_by_state_and_stages(ledger: Ledger, tallies: Tallies) -> None:
    _end(ledger, "a", 10.0)
    _end(ledger, "b", 11.0, place="wan, flow, ffmpeg")
    _end(ledger, "c", 12.0, "quarantined")

    tally = tallies.look()

    assert tally.ended == {("done", PLACE): 1, ("done", "wan, flow, ffmpeg"): 1, ("quarantined", PLACE): 1}
    assert tally.attempts == {"done": 2, "quarantined": 1}
    assert tally.succeeded == 11.0


def test_each_look_counts_what_ended_since(ledger: Ledger, tallies: Tallies) -> None:
    _end(ledger, "a", 10.0)
    tallies.look()
    _end(ledger, "b", 11.0)

    assert tallies.look().ended == {("done", PLACE): 2}
    assert tallies.look().attempts == {"done": 2}


def test_a_clock_that_was_set_back_loses_no_count(ledger: Ledger, tallies: Tallies) -> None:
    _end(ledger, "a", 1000.0)
    _end(ledger, "b", 1000.0)
    tallies.look()
    _end(ledger, "c", 10.0, place="wan, flow, ffmpeg")

    assert tallies.look().ended == {("done", PLACE): 2, ("done", "wan, flow, ffmpeg"): 1}


def test_what_waits_is_counted_by_what_it_waits_for(ledger: Ledger, tallies: Tallies) -> None:
    _take(ledger, "turn", at=5.0)
    _again(ledger, "retry", "crashed")
    _again(ledger, "room", "disk")
    _again(ledger, "memory", "memory")
    ledger.publishing(_take(ledger, "out", at=7.0), "out.mp4")
    ledger.start(_take(ledger, "working", at=0.5), 2.0)

    tally = tallies.look()

    assert tally.waiting == {"turn": 1, "retry": 1, "room": 1, "memory": 1, "publication": 1}
    assert (tally.running, tally.oldest) == (1, 1.0)
    assert tally.attempts == {"crashed": 1, "disk": 1, "memory": 1}  # the one at work has not ended


def test_an_attempt_that_was_at_work_is_counted_when_it_has_ended(ledger: Ledger, tallies: Tallies) -> None:
    job = _take(ledger, "a")
    ledger.start(job, 2.0)
    tallies.look()
    ledger.finish(job, "done", "", 3.0)

    assert tallies.look().attempts == {"done": 1}


def test_behind_an_open_breaker_jobs_wait_for_the_machine(tmp_path: Path, ledger: Ledger, tallies: Tallies) -> None:
    _again(ledger, "a", "crashed")
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        db.execute("INSERT INTO breakers VALUES (?, 'crashed', 1.0, 99.0, 60.0)", (PLACE,))
    db.close()

    tally = tallies.look()

    assert tally.waiting == {"machine": 1}
    assert tally.breakers == {PLACE: 99.0}


def test_combinations_of_stages_are_told_apart_only_so_far(ledger: Ledger, tallies: Tallies) -> None:
    for number in range(60):
        _end(ledger, f"j{number}", 10.0 + number, place=f"stage{number}")

    ended = tallies.look().ended

    assert (len(ended), ended["done", "others"], sum(ended.values())) == (51, 10, 60)


def test_a_ledger_that_somebody_holds_is_not_waited_for(tmp_path: Path, ledger: Ledger, tallies: Tallies) -> None:
    ledger.close()
    holder = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()

    with pytest.raises(sqlite3.OperationalError):
        tallies.look()

    assert time.monotonic() - started < 3.0
    holder.close()


def test_a_hundred_thousand_jobs_are_counted_in_no_time(tmp_path: Path, ledger: Ledger, tallies: Tallies) -> None:
    """By an index; and not at all where nothing was written since."""
    tally = tallies.look()
    again = tallies.look()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        plan = db.execute(
            "EXPLAIN QUERY PLAN SELECT state, count(*), max(ended) FROM jobs WHERE ended IS NOT NULL GROUP BY state"
        ).fetchall()
    db.close()

    assert again is tally
    assert "USING COVERING INDEX jobs_ended" in str(plan)
