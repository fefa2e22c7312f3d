from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from framedaemon.ledger import Ledger
from queues import end_job, queue_job


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


def test_the_queue_is_in_the_order_in_which_jobs_go_whatever_they_wait_for(ledger: Ledger) -> None:
    late, early, running = (queue_job(ledger, name, at) for name, at in (("b", 5.0), ("a", 3.0), ("c", 1.0)))
    ledger.wait(early, "no room", 9e9)
    ledger.start(running, 6.0)
    end_job(ledger, "d")

    assert [job.id for job in ledger.lookup.queue()] == [early, late]


def test_what_ended_last_comes_first_whenever_it_was_dropped(ledger: Ledger) -> None:
    slow = end_job(ledger, "slow", started=10.0, seconds=500.0)
    bad = end_job(ledger, "bad", "failed", started=20.0, seconds=5.0)
    quick = end_job(ledger, "quick", started=30.0, seconds=5.0)

    assert [job.id for job in ledger.lookup.ended(["done", "failed"], 3)] == [slow, quick, bad]
    assert [job.id for job in ledger.lookup.ended(["failed"], 3)] == [bad]
    assert [job.id for job in ledger.lookup.ended(["done", "failed"], 1)] == [slow]


def test_only_videos_made_at_the_first_attempt_tell_how_long_they_take(ledger: Ledger) -> None:
    """A second attempt goes on with what the first left."""
    end_job(ledger, "good", seconds=60.0)
    end_job(ledger, "bad", "failed", seconds=2.0)
    resumed = queue_job(ledger, "resumed")
    ledger.start(resumed, 1.0)
    ledger.again(resumed, "stopped", "", 2.0, 2.0)
    ledger.start(resumed, 3.0)
    ledger.finish(resumed, "done", "", 4.0)

    assert [seconds for _, seconds in ledger.lookup.took()] == [60.0]


def test_jobs_are_found_by_the_name_of_their_last_picture(ledger: Ledger) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    end_job(ledger, name)
    again = end_job(ledger, name)

    assert [job.id for job in ledger.lookup.named(name)] == [again]
    assert ledger.lookup.named("other.png") == []


def test_what_has_piled_up_for_years_is_not_walked_through(ledger: Ledger, tmp_path: Path) -> None:
    """Every question about jobs that ended is answered from an index."""
    questions: list[str] = []
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as db:
        ledger.lookup._db.set_trace_callback(questions.append)
        ledger.lookup.ended(["done"], 3)
        ledger.lookup.took()
        ledger.count()
        ledger.lookup._db.set_trace_callback(None)
        plans = [row[3] for question in questions for row in db.execute(f"EXPLAIN QUERY PLAN {question}")]

    assert len(questions) == 3
    assert [plan for plan in plans if plan.startswith("SCAN") and "USING" not in plan and "jobs" in plan] == []
