"""Tells a machine at fault from jobs at fault: failures of one kind, in one place, of different files.

    closed ── jobs of so many files failed alike, none succeeded there in between ──▶ open: jobs of that place wait
       ▲                                                                                 │ until its time has come
       └──────────────── the job that is tried succeeds there ◀── half open ◀────────────┘
                                                                     └── it fails: open, twice as long

A place is what was at work: the worker's start, the opening of a file, or the stages of a plan. A file that fails
often, with however many jobs, is one file; a success takes away what was held against its place. What failed while the
machine was at fault is given back to the jobs, but only once to each: were it their own fault after all, they come to
their end.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

from framedaemon.database import transaction

START = "the worker's start"
"""The place of a worker that did not come up: it has seen no job, so one failure is enough."""

OPENING = "the opening of files"
"""The place of what is opened, understood and planned."""

EVERYWHERE = (START, OPENING)
"""Places that every job passes."""

LONGEST_WAIT_SECONDS = 3600.0
"""No job waits longer for its next try, whatever it waits for."""

Failure: TypeAlias = Literal["failed", "crashed", "stalled"]
"""How an attempt ends that counts against its job."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How and where an attempt failed; those that are equal are of one kind."""

    outcome: Failure
    cause: str
    """Class of the error, or what ended the worker: ``RuntimeError``, ``SIGSEGV``."""
    place: str

    @property
    def kind(self) -> str:
        """For people: ``crashed (SIGSEGV)``."""
        return f"{self.outcome} ({self.cause})" if self.cause else self.outcome


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A place where the machine seems to be at fault."""

    place: str
    reason: str
    opened: float
    until: float
    """When the next job is tried; wall clock, as all times here."""
    seconds: float
    """How long it waits this time."""

    def describe(self) -> str:
        """For people, on one line."""
        when = time.strftime("%H:%M:%S", time.localtime(self.until))
        return f"{self.reason}: the machine seems to be at fault; the next try is at {when}"


class Breaker:
    """A part of the ledger's database, so that a daemon that is started again remembers what is broken."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def failed(
        self, job: str, attempt: int, fault: Fault, files: int, seconds: float, now: float
    ) -> OpenBreaker | None:
        """Note an attempt's failure; returns the breaker if it is open now, and has the jobs of its place wait.

        ``files``: jobs of so many different ones open it. ``seconds``: how long it waits first. To note an attempt
        again, as after a full disk, changes nothing.
        """
        with transaction(self._db):
            query = "INSERT OR IGNORE INTO failures (job_id, attempt, place, kind) VALUES (?, ?, ?, ?)"
            known = self._db.execute(query, (job, attempt, fault.place, fault.kind)).rowcount == 0
            before = self._open(fault.place)
            if known and before is not None:
                return before
            if before is not None:
                longer = min(LONGEST_WAIT_SECONDS, 2 * before.seconds)
                breaker = OpenBreaker(fault.place, before.reason, before.opened, now + longer, longer)
            else:
                query = (
                    "SELECT count(DISTINCT drop_id) FROM failures JOIN jobs ON jobs.id = job_id"
                    " WHERE failures.place = ? AND kind = ?"
                )
                count: int = self._db.execute(query, (fault.place, fault.kind)).fetchone()[0]
                if count < (1 if fault.place == START else files):
                    return None
                reason = _reason(fault, count)
                breaker = OpenBreaker(fault.place, reason, now, now + seconds, seconds)
                self._excuse(fault)
            self._db.execute(
                "INSERT OR REPLACE INTO breakers (place, reason, opened, until, seconds) VALUES (?, ?, ?, ?, ?)",
                (breaker.place, breaker.reason, breaker.opened, breaker.until, breaker.seconds),
            )
            self._hold(breaker)
        return breaker

    def excuses(self, job: str, breaker: OpenBreaker, now: float) -> bool:
        """Whether the failure that ``breaker`` was just returned for is not to count against ``job``.

        One while it was open never does; one that opened it does where the job was excused before.
        """
        row = self._db.execute("SELECT excused FROM jobs WHERE id = ?", (job,)).fetchone()
        return breaker.opened < now or breaker.place == START or row is None or row[0] <= 1

    def passed(self, place: str, now: float) -> OpenBreaker | None:
        """An attempt came well through ``place``; returns the breaker that this closes, and lets its jobs go on."""
        with transaction(self._db):
            self._db.execute("DELETE FROM failures WHERE place = ?", (place,))
            breaker = self._open(place)
            if breaker is not None:
                self._db.execute("DELETE FROM breakers WHERE place = ?", (place,))
                self._db.execute(
                    "UPDATE jobs SET state = 'queued', not_before = ?, reason = ''"
                    " WHERE ended IS NULL AND state = 'waiting' AND not_before = ?",
                    (now, breaker.until),
                )
        return breaker

    def blocks(self, place: str | None, now: float) -> OpenBreaker | None:
        """The breaker that a job of ``place`` (None: not planned yet) waits for, or None when it may be tried."""
        where = (*EVERYWHERE, place) if place is not None else EVERYWHERE
        waiting = (breaker for breaker in self.standing() if breaker.place in where)
        return next((breaker for breaker in waiting if now < breaker.until <= now + breaker.seconds), None)

    def holds_all(self, now: float) -> bool:
        """Whether breakers hold jobs, and there are no others."""
        until = [breaker.until for breaker in self.standing() if now < breaker.until <= now + breaker.seconds]
        marks = ",".join("?" * len(until))
        query = f"SELECT count(*), count(*) FILTER (WHERE state = 'waiting' AND not_before IN ({marks}))"
        left, held = self._db.execute(f"{query} FROM jobs WHERE ended IS NULL", until).fetchone()
        return bool(left) and left == held

    def standing(self) -> list[OpenBreaker]:
        """The breakers that are open, or half open, the oldest first."""
        rows = self._db.execute("SELECT place, reason, opened, until, seconds FROM breakers ORDER BY opened")
        return [OpenBreaker(*row) for row in rows]

    def try_now(self, now: float) -> None:
        """Let a job be tried wherever a breaker is open; `Ledger.try_now` lets the jobs go that wait for it."""
        self._db.execute("UPDATE breakers SET until = min(until, ?)", (now,))

    def _open(self, place: str) -> OpenBreaker | None:
        return next((breaker for breaker in self.standing() if breaker.place == place), None)

    def _excuse(self, fault: Fault) -> None:
        """Give back what the failures cost that opened the breaker, but for the attempt that is not recorded yet."""
        ended = (
            "SELECT count(*) FROM failures JOIN attempts ON failures.job_id = attempts.job_id AND attempt = number"
            " WHERE failures.job_id = jobs.id AND place = :place AND kind = :kind AND attempts.ended IS NOT NULL"
        )
        self._db.execute(
            f"UPDATE jobs SET strikes = CASE excused WHEN 0 THEN max(0, strikes - ({ended})) ELSE strikes END,"  # noqa: S608
            " excused = excused + 1"
            " WHERE ended IS NULL AND id IN (SELECT job_id FROM failures WHERE place = :place AND kind = :kind)",
            {"place": fault.place, "kind": fault.kind},
        )

    def _hold(self, breaker: OpenBreaker) -> None:
        """Have the jobs of its place wait; those that failed there join the queue behind what is new."""
        facts = {"place": breaker.place, "reason": breaker.describe(), "until": breaker.until}
        self._db.execute(
            "UPDATE jobs SET queued = :until"
            " WHERE ended IS NULL AND id IN (SELECT job_id FROM failures WHERE place = :place)",
            facts,
        )
        where = "" if breaker.place in EVERYWHERE else " AND place = :place"
        self._db.execute(
            "UPDATE jobs SET state = 'waiting', reason = :reason, not_before = max(not_before, :until)"  # noqa: S608
            f" WHERE ended IS NULL AND state IN ('queued', 'waiting'){where}",
            facts,
        )


def _reason(fault: Fault, count: int) -> str:
    if fault.place == START:
        return f"the worker did not come up, it {fault.kind}"
    return f"jobs of {count} different files in a row {fault.kind} in {fault.place}"
