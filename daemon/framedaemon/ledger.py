"""What was claimed, tried and finished: the daemon's memory, which survives anything.

    drop   a picture or video (and its sidecar) taken from input/
             claiming ─▶ open ─▶ closing ─▶ closed          or vanished
    job    one video to be made of a drop
             queued ─▶ running ─▶ publishing ─▶ done
                ▲          └─▶ failed | quarantined | cancelled
                └── waiting (disk, retry)

SQLite, write-ahead log, ``synchronous=FULL``: a committed row survives a power cut. One process writes (the service
holds the instance's lock); others open it read-only. File names are kept as bytes: they need not be UTF-8.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias

from framedaemon.history import History

JobState: TypeAlias = Literal[
    "queued", "waiting", "running", "publishing", "done", "failed", "quarantined", "cancelled", "vanished"
]
ENDED: frozenset[JobState] = frozenset({"done", "failed", "quarantined", "cancelled", "vanished"})
Outcome: TypeAlias = Literal["failed", "crashed", "stalled", "disk", "memory", "stopped"]
"""How an attempt ended that another follows; the last three do not count against the job."""
DropState: TypeAlias = Literal["claiming", "open", "closing", "closed", "vanished"]

_SCHEMA_VERSION = 1
_SCHEMA = """
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
CREATE TABLE placements (key TEXT PRIMARY KEY, rung INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class DropRow:
    """A picture or video that was taken from input/."""

    id: str
    name: str
    """Relative to input/; bytes that are not UTF-8 are surrogate escapes."""
    sidecar: str | None
    state: DropState
    rests: str | None
    """Where in input/ it lies since it was closed, or is to lie: ``done/photo.jpg``."""
    priority: int
    created: float


@dataclass(frozen=True, slots=True)
class JobRow:
    """One video to be made."""

    id: str
    drop_id: str
    number: int
    name: str
    """The drop's."""
    recipe: str
    """JSON of the Recipe."""
    state: JobState
    stem: str
    """Reserved in output/: relative path without suffix."""
    output: str | None
    """Relative path in output/, once known."""
    attempts: int
    """Counted before an attempt starts, so that a crash counts."""
    strikes: int
    """Attempts that count against it: not those that only waited for disk, memory or the daemon's stop."""
    shrinks: int
    """How often it ran out of memory."""
    not_before: float
    reason: str
    plan: str | None
    """JSON of the last attempt's PlanSummary."""
    priority: int
    created: float
    started: float | None
    ended: float | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try at a job."""

    number: int
    started: float
    ended: float | None
    outcome: str | None
    reason: str


_JOBS = "SELECT jobs.*, drops.name AS name FROM jobs JOIN drops ON drops.id = jobs.drop_id"

_STARTABLE = "state IN ('queued', 'waiting')"
_TRIED = "EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND attempts.ended IS NULL)"
_UNENDED = "ended IS NULL"


class Ledger:
    """Opened once by the service to write, or read-only by anyone."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Open, and create if need be, the ledger at ``path``.

        Raises sqlite3.OperationalError when it cannot be opened or was written by a newer framedaemon.
        """
        if read_only:
            self._db = sqlite3.connect(_read_only_uri(path), uri=True, isolation_level=None)
        else:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA busy_timeout = 5000")
        self._db.row_factory = sqlite3.Row
        try:
            self._migrate(read_only)
        except BaseException:
            self._db.close()
            raise
        self.history = History(self._db)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; on disk when it returns."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # on a full disk SQLite may have rolled back by itself
                self._db.execute("ROLLBACK")
            raise

    def _migrate(self, read_only: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise sqlite3.OperationalError(
                f"the ledger has version {version}; this framedaemon knows {_SCHEMA_VERSION}"
            )
        if version == 0 and not read_only:
            with self.transaction():
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def claiming(self, drops: Iterable[tuple[str, str, str | None]], now: float) -> None:
        """Record that drops (id, name, sidecar) are about to be taken. Comes before the files are moved."""
        query = "INSERT INTO drops (id, name, sidecar, state, created) VALUES (?, ?, ?, 'claiming', ?)"
        rows = [(id, os.fsencode(name), sidecar and os.fsencode(sidecar), now) for id, name, sidecar in drops]
        with self.transaction():
            self._db.executemany(query, rows)

    def drops(self, *states: DropState) -> list[DropRow]:
        """Drops in any of ``states``, the oldest first."""
        marks = ",".join("?" * len(states))
        rows = self._db.execute(f"SELECT * FROM drops WHERE state IN ({marks}) ORDER BY created", states)  # noqa: S608
        return [_drop(row) for row in rows]

    def put_away(self) -> Iterator[tuple[DropRow, float]]:
        """Drops that are closed, as they were taken one after another, and when the last of their jobs ended."""
        ended = "SELECT max(ended) FROM jobs WHERE drop_id = drops.id"
        query = f"SELECT *, ({ended}) AS ended FROM drops WHERE state = 'closed' ORDER BY rowid"  # noqa: S608
        return ((_drop(row), row["ended"]) for row in self._db.execute(query))

    def drop(self, id: str) -> DropRow:
        return _drop(self._db.execute("SELECT * FROM drops WHERE id = ?", (id,)).fetchone())

    def set_drop(self, id: str, state: DropState) -> None:
        self._db.execute("UPDATE drops SET state = ? WHERE id = ?", (state, id))

    def closing(self, id: str, rests: str | None) -> None:
        """The drop's file is about to be put away, at ``rests`` below input/. Comes before anything moves."""
        query = "UPDATE drops SET state = 'closing', rests = ? WHERE id = ?"
        self._db.execute(query, (rests and os.fsencode(rests), id))

    def close_drop(self, id: str, rests: str) -> None:
        """The drop's file was put away, at ``rests`` below input/."""
        self._db.execute("UPDATE drops SET state = 'closed', rests = ? WHERE id = ?", (os.fsencode(rests), id))

    def forget_drop(self, id: str) -> None:
        """Undo `claiming` for a drop whose file never moved."""
        self._db.execute("DELETE FROM drops WHERE id = ? AND state = 'claiming'", (id,))

    def set_sidecar(self, id: str, sidecar: str) -> None:
        self._db.execute("UPDATE drops SET sidecar = ? WHERE id = ?", (os.fsencode(sidecar), id))

    def add_job(self, drop_id: str, number: int, recipe: str, stem: str, priority: int, now: float) -> None:
        """Queue a job. Raises sqlite3.IntegrityError when another unfinished job has reserved ``stem``."""
        self._db.execute(
            "INSERT INTO jobs (id, drop_id, number, recipe, state, stem, priority, created)"
            " VALUES (?, ?, ?, ?, 'queued', ?, ?, ?)",
            (f"{drop_id}-{number}", drop_id, number, recipe, stem, priority, now),
        )

    def remove_jobs(self, drop_id: str) -> None:
        """Take back the jobs of a drop, none of which was ever tried."""
        self._db.execute("DELETE FROM jobs WHERE drop_id = ? AND attempts = 0", (drop_id,))

    def stem_taken(self, stem: str) -> bool:
        """Whether an unfinished job has reserved ``stem``."""
        query = "SELECT 1 FROM jobs WHERE lower(stem) = lower(?) AND ended IS NULL"
        return self._db.execute(query, (stem,)).fetchone() is not None

    def job(self, id: str) -> JobRow | None:
        row = self._db.execute(f"{_JOBS} WHERE jobs.id = ?", (id,)).fetchone()
        return _job(row) if row is not None else None

    def jobs(self, *states: JobState, limit: int = -1) -> list[JobRow]:
        """Jobs in any of ``states`` (all without), the newest first."""
        where = f"WHERE jobs.state IN ({','.join('?' * len(states))})" if states else ""
        query = f"{_JOBS} {where} ORDER BY jobs.created DESC, jobs.number DESC LIMIT ?"
        return [_job(row) for row in self._db.execute(query, (*states, limit))]

    def jobs_of(self, drop_id: str) -> list[JobRow]:
        """The jobs of a drop, in their order."""
        return [_job(row) for row in self._db.execute(f"{_JOBS} WHERE drop_id = ? ORDER BY number", (drop_id,))]

    def next_job(self, now: float, busy: Sequence[str] = ()) -> JobRow | None:
        """The job to run next, none of ``busy``: by priority, then by age; not one that waits until later."""
        marks = ",".join("?" * len(busy))
        query = (
            f"{_JOBS} WHERE jobs.ended IS NULL AND jobs.state IN ('queued', 'waiting') AND jobs.not_before <= ?"
            f" AND jobs.id NOT IN ({marks}) ORDER BY jobs.priority DESC, jobs.created, jobs.number LIMIT 1"
        )
        row = self._db.execute(query, (now, *busy)).fetchone()
        return _job(row) if row is not None else None

    def next_due(self) -> float | None:
        """When the next job that waits may run, or be published."""
        query = "SELECT min(not_before) FROM jobs WHERE ended IS NULL AND state != 'running'"
        return self._db.execute(query).fetchone()[0]  # type: ignore[no-any-return]  # a REAL or NULL

    def count(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        return dict(self._db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())

    def start(self, id: str, now: float) -> int:
        """Record an attempt, before it starts; returns its number, from 1.

        Raises ValueError for a job that is neither queued nor waiting.
        """
        with self.transaction():
            change = "state = 'running', attempts = attempts + 1, strikes = strikes + 1, started = ?, reason = ''"
            if not self._update(id, _STARTABLE, change, now):
                raise ValueError(f"job {id} cannot be started: it is at work, ended or unknown")
            number: int = self._db.execute("SELECT attempts FROM jobs WHERE id = ?", (id,)).fetchone()[0]
            self._db.execute("INSERT INTO attempts (job_id, number, started) VALUES (?, ?, ?)", (id, number, now))
        return number

    def set_plan(self, id: str, plan: str) -> None:
        self._db.execute("UPDATE jobs SET plan = ? WHERE id = ?", (plan, id))

    def wait(self, id: str, reason: str, not_before: float) -> None:
        """A job that was not started waits; one that was is left alone."""
        self._update(id, _STARTABLE, "state = 'waiting', reason = ?, not_before = ?", _text(reason), not_before)

    def publishing(self, id: str, output: str) -> None:
        """Record that a checked video is about to appear as ``output``. Comes before it does."""
        self._update(id, _UNENDED, "state = 'publishing', output = ?", output)

    def hold_publication(self, id: str, reason: str, not_before: float) -> None:
        """A finished video could not be made visible yet, or not even be given a name."""
        self._update(id, _UNENDED, "state = 'publishing', reason = ?, not_before = ?", _text(reason), not_before)

    def again(self, id: str, outcome: Outcome, reason: str, now: float, not_before: float) -> None:
        """An attempt ended without a video, and there will be another, not before ``not_before``."""
        state = "queued" if outcome == "stopped" else "waiting"
        forgiven, shrunk = outcome in ("disk", "memory", "stopped"), outcome == "memory"
        change = "state = ?, reason = ?, not_before = ?, strikes = strikes - ?, shrinks = shrinks + ?"
        with self.transaction():
            if self._update(id, _TRIED, change, state, _text(reason), not_before, forgiven, shrunk):
                self._end_attempt(id, outcome, reason, now)

    def finish(self, id: str, state: JobState, reason: str, now: float, outcome: Outcome | None = None) -> None:
        """A job ended for good, and its last attempt with ``outcome``, or as the job did.

        A job that had ended before stays as it was.
        """
        assert state in ENDED
        with self.transaction():
            self._end_attempt(id, outcome or state, reason, now)
            self._update(id, _UNENDED, "state = ?, reason = ?, ended = ?", state, _text(reason), now)

    def attempts(self, id: str) -> list[AttemptRow]:
        """The tries at a job, in order of time."""
        query = "SELECT number, started, ended, outcome, reason FROM attempts WHERE job_id = ? ORDER BY started"
        return [AttemptRow(*row) for row in self._db.execute(query, (id,))]

    def _update(self, id: str, when: str, change: str, *values: str | float) -> bool:
        """Change a job if it is in a state that allows it; whether it was."""
        query = f"UPDATE jobs SET {change} WHERE id = ? AND {when}"  # noqa: S608  (both are written here)
        return self._db.execute(query, (*values, id)).rowcount == 1

    def _end_attempt(self, id: str, outcome: str, reason: str, now: float) -> None:
        query = "UPDATE attempts SET ended = ?, outcome = ?, reason = ? WHERE job_id = ? AND ended IS NULL"
        self._db.execute(query, (now, outcome, _text(reason), id))


def _text(reason: str) -> str:
    """A reason as SQLite takes it: bytes of file names that were not UTF-8 are written as escapes."""
    return reason.encode("utf-8", "backslashreplace").decode()


def _read_only_uri(path: Path) -> str:
    """Opens the ledger so that nothing is written, not even the log that SQLite leaves where nobody has it open."""
    alone = not path.with_name(f"{path.name}-wal").exists()
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"


def _drop(row: sqlite3.Row) -> DropRow:
    name, sidecar, rests = (row[key] and os.fsdecode(row[key]) for key in ("name", "sidecar", "rests"))
    return DropRow(row["id"], name, sidecar, row["state"], rests, row["priority"], row["created"])


def _job(row: sqlite3.Row) -> JobRow:
    values = {field.name: row[field.name] for field in fields(JobRow)}
    values["name"] = os.fsdecode(row["name"])
    return JobRow(**values)
