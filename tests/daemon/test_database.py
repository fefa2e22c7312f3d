"""The ledger's file: made, opened, brought up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from framedaemon.database import _FIRST, VERSION, open_database, transaction
from framedaemon.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    db = open_database(path)
    yield db
    db.close()


@pytest.fixture
def first(path: Path) -> Path:
    """A ledger as the first framedaemon wrote it, with a job in the queue, one refused and one that failed."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"PRAGMA journal_mode = WAL; {_FIRST}; PRAGMA user_version = 1")
        for id, state, ended in (("a", "waiting", None), ("b", "failed", 9.0), ("c", "quarantined", 9.0)):
            db.execute("INSERT INTO drops (id, name, state, created) VALUES (?, ?, 'open', 2)", (id, os.fsencode(id)))
            db.execute(
                "INSERT INTO jobs (id, drop_id, number, recipe, state, stem, attempts, strikes, reason, created, ended)"
                " VALUES (?, ?, 1, '{}', ?, ?, 1, 1, 'why', 3.5, ?)",
                (f"{id}-1", id, state, id, ended),
            )
            db.execute("INSERT INTO attempts VALUES (?, 1, 4, 5, 'failed', 'why')", (f"{id}-1",))
        db.commit()
    return path


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def test_a_new_database_has_todays_version(db: sqlite3.Connection) -> None:
    assert db.execute("PRAGMA user_version").fetchone()[0] == VERSION
    assert db.execute("SELECT count(*) FROM jobs").fetchone()[0] == 0


def test_a_commit_is_on_disk_when_it_returns(db: sqlite3.Connection) -> None:
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert db.execute("PRAGMA synchronous").fetchone()[0] == 2


@pytest.mark.parametrize("read_only", [False, True])
def test_the_first_version_opens_and_keeps_its_jobs(first: Path, read_only: bool) -> None:
    with closing(Ledger(first, read_only)) as ledger:
        jobs = {job.id: job for job in ledger.jobs()}
        attempts = {id: [attempt.outcome for attempt in ledger.attempts(id)] for id in jobs}

    waiting = jobs["a-1"]
    assert (waiting.state, waiting.strikes, waiting.reason, waiting.queued, waiting.place) == (
        "waiting", 1, "why", 3.5, None,
    )  # fmt: skip
    assert attempts == {"a-1": ["failed"], "b-1": ["rejected"], "c-1": ["failed"]}


def test_looking_at_an_older_ledger_does_not_change_it(first: Path) -> None:
    before = first.read_bytes()

    open_database(first, read_only=True).close()

    assert first.read_bytes() == before


def test_bringing_it_up_to_date_is_done_once_and_whole(first: Path) -> None:
    open_database(first).close()
    once = _dump(first)

    open_database(first).close()

    assert _dump(first) == once


def test_a_migration_that_is_cut_short_leaves_the_old_ledger(first: Path) -> None:
    with closing(sqlite3.connect(first)) as db:
        db.execute("CREATE TABLE breakers (in_the_way)")
    before = _dump(first)

    with pytest.raises(sqlite3.OperationalError, match="breakers already exists"):
        open_database(first)

    assert _dump(first) == before


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 8000])
@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_no_database_is_left_alone(path: Path, content: bytes, read_only: bool) -> None:
    path.write_bytes(content)

    with pytest.raises(sqlite3.DatabaseError):
        open_database(path, read_only)

    assert path.read_bytes() == content


def test_a_transaction_within_another_is_a_part_of_it(db: sqlite3.Connection) -> None:
    with pytest.raises(ZeroDivisionError), transaction(db):
        with transaction(db):
            db.execute("INSERT INTO placements VALUES ('key', 1)")
        _ = 1 // 0

    assert db.execute("SELECT count(*) FROM placements").fetchone()[0] == 0
