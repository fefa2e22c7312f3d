"""The ledger's SQLite file: how it is opened, its tables, and how an older one becomes today's.

Tables come about in steps, one for each version that was ever released; a new file goes through all of them, so that
what a new ledger and a migrated one look like cannot differ.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framedaemon.errors import SettingsError

_FIRST = """
CREATE TABLE drops (
    id TEXT PRIMARY KEY, name BLOB NOT NULL, sidecar BLOB, state TEXT NOT NULL,
    rests BLOB, priority INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL);
CREATE INDEX drops_open ON drops (state) WHERE state NOT IN ('closed', 'vanished');
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, drop_id TEXT NOT NULL REFERENCES drops (id), number INTEGER NOT NULL,
    recipe TEXT NOT NULL, state TEXT NOT NULL, stem TEXT NOT NULL, output TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, strikes INTEGER NOT NULL DEFAULT 0,
    shrinks INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', plan TEXT, priority INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, started REAL, ended REAL);
CREATE INDEX jobs_next ON jobs (priority DESC, created, number) WHERE ended IS NULL;
CREATE INDEX jobs_of_drop ON jobs (drop_id);
CREATE UNIQUE INDEX stems_taken ON jobs (lower(stem)) WHERE ended IS NULL;
CREATE TABLE attempts (
    job_id TEXT NOT NULL REFERENCES jobs (id), number INTEGER NOT NULL, started REAL NOT NULL, ended REAL,
    outcome TEXT, reason TEXT NOT NULL DEFAULT '', PRIMARY KEY (job_id, number));
CREATE TABLE measures (
    stage TEXT NOT NULL, work REAL NOT NULL, seconds REAL NOT NULL, estimated_bytes INTEGER NOT NULL,
    bytes INTEGER NOT NULL, at REAL NOT NULL);
CREATE INDEX measures_of_stage ON measures (stage, at);
CREATE TABLE placements (key TEXT PRIMARY KEY, rung INTEGER NOT NULL)
"""

# A job's place in the queue may change; breakers and what opens them; a refusal is told apart from a failure.
_SECOND = """
ALTER TABLE jobs ADD COLUMN queued REAL NOT NULL DEFAULT 0;
UPDATE jobs SET queued = created;
ALTER TABLE jobs ADD COLUMN place TEXT;
ALTER TABLE jobs ADD COLUMN excused INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_next;
CREATE INDEX jobs_next ON jobs (priority DESC, queued) WHERE ended IS NULL;
CREATE TABLE failures (
    job_id TEXT NOT NULL, attempt INTEGER NOT NULL, place TEXT NOT NULL, kind TEXT NOT NULL,
    PRIMARY KEY (job_id, attempt));
CREATE TABLE breakers (
    place TEXT PRIMARY KEY, reason TEXT NOT NULL, opened REAL NOT NULL, until REAL NOT NULL, seconds REAL NOT NULL);
UPDATE attempts SET outcome = 'rejected'
    WHERE outcome = 'failed' AND job_id IN (SELECT id FROM jobs WHERE state = 'failed')
"""

# A picture may have another one that it is to end with.
_THIRD = "ALTER TABLE drops ADD COLUMN last BLOB"

# What ended piles up for years, and those who look want the last of it, and how much there is.
_FOURTH = "CREATE INDEX jobs_ended ON jobs (state, ended) WHERE ended IS NOT NULL"

# Jobs that are alike are done one after the other.
_FIFTH = "ALTER TABLE jobs ADD COLUMN alike TEXT NOT NULL DEFAULT ''"

_STEPS = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
VERSION = len(_STEPS)


def open_database(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """The database at ``path``, with today's tables; made if need be, unless it is only to be read.

    An older one that is only read is brought up to date in memory. Raises sqlite3.OperationalError when it cannot be
    opened or written, sqlite3.DatabaseError when it is no database, or a damaged one, and SettingsError when a newer
    framedaemon wrote it.
    """
    if read_only:
        db = sqlite3.connect(_read_only_uri(path), uri=True, isolation_level=None)
    else:
        db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA busy_timeout = 5000")
        if not read_only:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
        elif _version(db) < VERSION:
            db = _copy(db)
        _migrate(db)
    except BaseException:
        db.close()
        raise
    db.row_factory = sqlite3.Row
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; on disk when it returns. Within another it is a part of that one."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # on a full disk SQLite may have rolled back by itself
            db.execute("ROLLBACK")
        raise


def _migrate(db: sqlite3.Connection) -> None:
    version = _version(db)
    if version > VERSION:
        raise SettingsError(f"the ledger has version {version}; this framedaemon knows {VERSION}: install a newer one")
    if version == VERSION:
        return
    with transaction(db):
        for step in _STEPS[version:]:
            for statement in step.split(";\n"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def _copy(db: sqlite3.Connection) -> sqlite3.Connection:
    """All of it in memory, where it may be changed."""
    copied = sqlite3.connect(":memory:", isolation_level=None)
    db.backup(copied)
    db.close()
    return copied


def _read_only_uri(path: Path) -> str:
    """Opens the ledger so that nothing is written, not even the log that SQLite leaves where nobody has it open."""
    alone = not path.with_name(f"{path.name}-wal").exists()
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
