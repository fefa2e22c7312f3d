"""What was claimed, tried and finished: the daemon's memory, which survives anything.

    drop   a picture or video (and what belongs to it) taken from input/
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
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

from framedaemon.breaker import LONGEST_WAIT_SECONDS, Breaker
from framedaemon.database import open_database, transaction
from framedaemon.history import History
from framedaemon.lookup import Lookup
from framedaemon.naming import show
from framedaemon.rows import (
    ENDED,
    JOBS,
    STRIKES,
    AttemptRow,
    DropRow,
    DropState,
    JobRow,
    JobState,
    Outcome,
    RetryKind,
    VideoRow,
    likeness_of,
    read_drop,
    read_job,
)

__all__ = [
    "ENDED",
    "STRIKES",
    "AttemptRow",
    "DropRow",
    "DropState",
    "JobRow",
    "JobState",
    "Ledger",
    "Outcome",
    "RetryKind",
    "VideoRow",
]

_STARTABLE = "state IN ('queued', 'waiting')"
_TRIED = "EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND attempts.ended IS NULL)"
_UNENDED = "ended IS NULL"


class Ledger:
    """Opened once by the service to write, or read-only by anyone."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Open, and create if need be, the ledger at ``path``.

        Raises as `open_database` does.
        """
        self._db = open_database(path, read_only)
        self.history = History(self._db)
        self.breaker = Breaker(self._db)
        self.lookup = Lookup(self._db)

    def close(self) -> None:
        self._db.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; on disk when it is left."""
        return transaction(self._db)

    def claiming(self, drops: Iterable[tuple[str, str, str | None, str | None]], now: float) -> None:
        """Record that drops (id, name, sidecar, last) are about to be taken. Comes before the files are moved."""
        query = "INSERT INTO drops (id, name, sidecar, last, state, created) VALUES (?, ?, ?, ?, 'claiming', ?)"
        rows = [(id, *(file and os.fsencode(file) for file in files), now) for id, *files in drops]
        with self.transaction():
            self._db.executemany(query, rows)

    def drops(self, *states: DropState) -> list[DropRow]:
        """Drops in any of ``states``, the oldest first."""
        marks = ",".join("?" * len(states))
        rows = self._db.execute(f"SELECT * FROM drops WHERE state IN ({marks}) ORDER BY created", states)  # noqa: S608
        return [read_drop(row) for row in rows]

    def put_away(self) -> Iterator[tuple[DropRow, float]]:
        """Drops that are closed, as they were taken one after another, and when the last of their jobs ended."""
        ended = "ifnull((SELECT max(ended) FROM jobs WHERE drop_id = drops.id), created)"
        query = f"SELECT *, {ended} AS ended FROM drops WHERE state = 'closed' ORDER BY rowid"  # noqa: S608
        return ((read_drop(row), row["ended"]) for row in self._db.execute(query))

    def videos(self) -> dict[str, list[VideoRow]]:
        """The videos that were published, by the id of their drop."""
        found: dict[str, list[VideoRow]] = {}
        query = "SELECT drop_id, id, output, ended FROM jobs WHERE state = 'done' AND output IS NOT NULL ORDER BY rowid"
        for drop_id, *video in self._db.execute(query):
            found.setdefault(drop_id, []).append(VideoRow(*video))
        return found

    def resting_in(self, folder: str) -> dict[str, DropRow]:
        """Drops that were put into ``folder`` of input/, by their places there; of several in one place the last."""
        query = "SELECT * FROM drops WHERE state = 'closed' AND substr(rests, 1, ?) = ? ORDER BY rowid"
        place = os.fsencode(f"{folder}/")
        return {drop.rests or "": drop for drop in map(read_drop, self._db.execute(query, (len(place), place)))}

    def last_closed(self, rests: str, name: str) -> DropRow | None:
        """The last drop to be taken of those that were put to ``rests``, or had come as ``name``."""
        query = "SELECT * FROM drops WHERE state = 'closed' AND (rests = ? OR name = ?) ORDER BY rowid DESC LIMIT 1"
        row = self._db.execute(query, (os.fsencode(rests), os.fsencode(name))).fetchone()
        return read_drop(row) if row is not None else None

    def unclosed(self) -> list[str]:
        """Ids of the drops whose jobs have all ended, and whose files were not put away, the oldest first."""
        query = (
            "SELECT id FROM drops WHERE state IN ('open', 'closing') AND NOT EXISTS"
            " (SELECT 1 FROM jobs WHERE drop_id = drops.id AND ended IS NULL) ORDER BY created"
        )
        return [id for (id,) in self._db.execute(query)]

    def drop(self, id: str) -> DropRow:
        return read_drop(self._db.execute("SELECT * FROM drops WHERE id = ?", (id,)).fetchone())

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

    def set_last(self, id: str, last: str) -> None:
        self._db.execute("UPDATE drops SET last = ? WHERE id = ?", (os.fsencode(last), id))

    def add_job(self, drop_id: str, number: int, recipe: str, stem: str, priority: int, now: float) -> None:
        """Queue a job. Raises sqlite3.IntegrityError when another unfinished job has reserved ``stem``."""
        drop = self._db.execute("SELECT name FROM drops WHERE id = ?", (drop_id,)).fetchone()
        alike = likeness_of(recipe, os.fsdecode(drop["name"])) if drop is not None else ""
        self._db.execute(
            "INSERT INTO jobs (id, drop_id, number, recipe, state, stem, priority, created, queued, alike)"
            " VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?)",
            (f"{drop_id}-{number}", drop_id, number, recipe, stem, priority, now, now, alike),
        )

    def refuse(self, drop_id: str, reason: str, now: float) -> None:
        """End the jobs of a drop before the first attempt; part of the transaction that adds them."""
        change = "UPDATE jobs SET state = 'failed', reason = ?, ended = ? WHERE drop_id = ?"
        self._db.execute(change, (_text(reason), now, drop_id))

    def remove_jobs(self, drop_id: str) -> None:
        """Take back the jobs of a drop, none of which was ever tried."""
        self._db.execute("DELETE FROM jobs WHERE drop_id = ? AND attempts = 0", (drop_id,))

    def stem_taken(self, stem: str) -> bool:
        """Whether an unfinished job has reserved ``stem``."""
        query = "SELECT 1 FROM jobs WHERE lower(stem) = lower(?) AND ended IS NULL"
        return self._db.execute(query, (stem,)).fetchone() is not None

    def job(self, id: str) -> JobRow | None:
        if not id.isascii():  # what a person typed: SQLite takes no bytes that are not UTF-8
            return None
        row = self._db.execute(f"{JOBS} WHERE jobs.id = ?", (id,)).fetchone()
        return read_job(row) if row is not None else None

    def jobs(self, *states: JobState, limit: int = -1) -> list[JobRow]:
        """Jobs in any of ``states`` (all without), the newest first."""
        where = f"WHERE jobs.state IN ({','.join('?' * len(states))})" if states else ""
        if states and not ENDED.intersection(states):
            where += " AND jobs.ended IS NULL"  # these are few and have an index; those that ended pile up for years
        query = f"{JOBS} {where} ORDER BY jobs.created DESC, jobs.number DESC LIMIT ?"
        return [read_job(row) for row in self._db.execute(query, (*states, limit))]

    def jobs_of(self, drop_id: str) -> list[JobRow]:
        """The jobs of a drop, in their order."""
        return [read_job(row) for row in self._db.execute(f"{JOBS} WHERE drop_id = ? ORDER BY number", (drop_id,))]

    def next_job(self, now: float, alike: str = "", priority: int = 0) -> JobRow | None:
        """The job to run next: by priority, then by its place in the queue; not one that waits until later.

        With ``alike``, the next one that is alike and has this ``priority``.

        One whose time is further away than any wait lasts was put off before the clock was set back: it is due.
        """
        query = (
            f"{JOBS} WHERE jobs.ended IS NULL AND jobs.state IN ('queued', 'waiting')"
            " AND NOT (jobs.not_before > ? AND jobs.not_before <= ?)"
            f"{' AND jobs.alike = ? AND jobs.priority = ?' if alike else ''}"
            " ORDER BY jobs.priority DESC, jobs.queued,"
            " CASE WHEN jobs.queued > jobs.created THEN jobs.started END, jobs.number LIMIT 1"
        )
        only = (alike, priority) if alike else ()
        row = self._db.execute(query, (now, now + LONGEST_WAIT_SECONDS, *only)).fetchone()
        return read_job(row) if row is not None else None

    def next_due(self) -> float | None:
        """When the next job that waits may run, or be published."""
        query = "SELECT min(not_before) FROM jobs WHERE ended IS NULL AND state != 'running'"
        return self._db.execute(query).fetchone()[0]  # type: ignore[no-any-return]  # a REAL or NULL

    def ended_by(self, kind: RetryKind) -> list[JobRow]:
        """Jobs that ended without a video in this way, the newest first."""
        if kind in ("quarantined", "cancelled"):
            return self.jobs(cast(JobState, kind))
        last = "SELECT outcome FROM attempts WHERE job_id = jobs.id ORDER BY number DESC LIMIT 1"
        # a sidecar may be refused before anything is tried
        query = f"{JOBS} WHERE jobs.state IN ('failed', 'quarantined') AND coalesce(({last}), 'rejected') = ?"
        return [
            read_job(row) for row in self._db.execute(f"{query} ORDER BY jobs.created DESC, jobs.number DESC", (kind,))
        ]

    def count(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        counts = "SELECT state, count(*) FROM jobs WHERE ended IS {} GROUP BY state".format  # each has its index
        return dict(self._db.execute(f"{counts('NULL')} UNION ALL {counts('NOT NULL')}").fetchall())

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

    def set_plan(self, id: str, plan: str, place: str) -> None:
        self._db.execute("UPDATE jobs SET plan = ?, place = ? WHERE id = ?", (plan, place, id))

    def try_now(self, now: float) -> None:
        """Let whatever waits be tried at once."""
        with self.transaction():
            self.breaker.try_now(now)
            query = "UPDATE jobs SET not_before = min(not_before, ?) WHERE state IN ('waiting', 'publishing')"
            self._db.execute(query, (now,))

    def prefer(self, id: str, priority: int) -> bool:
        """Give a job that has not ended another priority; whether there was one."""
        return self._update(id, _UNENDED, "priority = ?", priority)

    def wait(self, id: str, reason: str, not_before: float) -> None:
        """A job that was not started waits; one that was is left alone."""
        self._update(id, _STARTABLE, "state = 'waiting', reason = ?, not_before = ?", _text(reason), not_before)

    def publishing(self, id: str, output: str) -> None:
        """Record that a checked video is about to appear as ``output``. Comes before it does."""
        self._update(id, _UNENDED, "state = 'publishing', output = ?", output)

    def hold_publication(self, id: str, reason: str, not_before: float) -> None:
        """A finished video could not be made visible yet, or not even be given a name."""
        self._update(id, _UNENDED, "state = 'publishing', reason = ?, not_before = ?", _text(reason), not_before)

    def again(
        self, id: str, outcome: Outcome, reason: str, now: float, not_before: float, excused: bool = False
    ) -> None:
        """An attempt ended without a video, and there will be another, not before ``not_before``.

        ``excused``: it does not count against the job, however it ended.
        """
        state = "queued" if outcome == "stopped" else "waiting"
        forgiven, shrunk = excused or outcome not in STRIKES, outcome == "memory"
        change = "state = ?, reason = ?, not_before = ?, strikes = strikes - ?, shrinks = shrinks + ?"
        with self.transaction():
            if self._update(id, _TRIED, change, state, _text(reason), not_before, forgiven, shrunk):
                self._end_attempt(id, outcome, reason, now)

    def shift(self, seconds: float) -> None:
        """The wall clock was set ahead by ``seconds``, or back: what waits, and the queue's order, go along."""
        with self.transaction():
            change = "queued = queued + ?1, not_before = CASE not_before WHEN 0 THEN 0 ELSE not_before + ?1 END"
            self._db.execute(f"UPDATE jobs SET {change} WHERE ended IS NULL", (seconds,))  # noqa: S608  (written here)
            self._db.execute("UPDATE breakers SET opened = opened + ?1, until = until + ?1", (seconds,))

    def to_the_end(self, id: str, not_before: float) -> None:
        """Have a job that failed join the queue anew when it is due: what was dropped until then goes first."""
        self._update(id, _UNENDED, "queued = max(queued, ?)", not_before)

    def finish(self, id: str, state: JobState, reason: str, now: float, outcome: Outcome | None = None) -> None:
        """A job ended for good, and its last attempt with ``outcome``, or as the job did.

        A job that had ended before stays as it was.
        """
        assert state in ENDED
        with self.transaction():
            self._end_attempt(id, outcome or state, reason, now)
            self._update(id, _UNENDED, "state = ?, reason = ?, ended = ?", state, _text(reason), now)

    def attempts(self, id: str) -> list[AttemptRow]:
        """The tries at a job, the first one first."""
        query = "SELECT number, started, ended, outcome, reason FROM attempts WHERE job_id = ? ORDER BY number"
        return [AttemptRow(*row) for row in self._db.execute(query, (id,))]

    def _update(self, id: str, when: str, change: str, *values: str | float) -> bool:
        """Change a job if it is in a state that allows it; whether it was."""
        query = f"UPDATE jobs SET {change} WHERE id = ? AND {when}"  # noqa: S608  (both are written here)
        return self._db.execute(query, (*values, id)).rowcount == 1

    def _end_attempt(self, id: str, outcome: str, reason: str, now: float) -> None:
        query = "UPDATE attempts SET ended = ?, outcome = ?, reason = ? WHERE job_id = ? AND ended IS NULL"
        self._db.execute(query, (now, outcome, _text(reason), id))


def _text(reason: str) -> str:
    """A reason as SQLite and terminals take it: what a file's name, or a plugin, put into it and does not print."""
    return "\n".join(show(line) for line in reason.split("\n"))
