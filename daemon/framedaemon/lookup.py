"""What those who only look ask of the ledger: the queue in its order, what ended last, a job by its picture's name.

The service asks for the next job, a second at a time; people and scripts ask for many, in a ledger of years.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable

from framedaemon.rows import JOBS, JobRow, JobState, read_job

_TOOK = 200  # finished jobs that are looked at for how long their like takes


class Lookup:
    """A part of the ledger's database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def queue(self) -> list[JobRow]:
        """Jobs that are neither at work nor ended, in the order in which they go, whatever they wait for."""
        query = (
            f"{JOBS} WHERE jobs.ended IS NULL AND jobs.state != 'running'"
            " ORDER BY jobs.priority DESC, jobs.queued, jobs.number"
        )
        return [read_job(row) for row in self._db.execute(query)]

    def ended(self, states: Iterable[JobState], limit: int) -> list[JobRow]:
        """The last ``limit`` jobs to have ended in any of ``states``, the last one first."""
        query = f"{JOBS} WHERE jobs.ended IS NOT NULL AND jobs.state = ? ORDER BY jobs.ended DESC LIMIT ?"
        found = [read_job(row) for state in states for row in self._db.execute(query, (state, limit))]
        return sorted(found, key=lambda job: job.ended or 0.0, reverse=True)[:limit]

    def took(self) -> list[tuple[str, float]]:
        """The recipe, and the seconds, of the last jobs that became a video at the first attempt."""
        query = (
            "SELECT recipe, ended - started FROM jobs"
            " WHERE ended IS NOT NULL AND state = 'done' AND attempts = 1 AND ended > started"
            " ORDER BY ended DESC LIMIT ?"
        )
        return [(recipe, seconds) for recipe, seconds in self._db.execute(query, (_TOOK,))]

    def named(self, name: str) -> list[JobRow]:
        """The jobs of the last picture that came as ``name``, or lies there now, below input/, in their order."""
        last = "SELECT id FROM drops WHERE name = ?1 OR rests = ?1 ORDER BY rowid DESC LIMIT 1"
        query = f"{JOBS} WHERE jobs.drop_id = ({last}) ORDER BY jobs.number"
        return [read_job(row) for row in self._db.execute(query, (os.fsencode(name),))]

    def published(self, output: str) -> list[JobRow]:
        """The last job whose video was put to ``output``, below output/."""
        query = f"{JOBS} WHERE jobs.output = ? ORDER BY jobs.rowid DESC LIMIT 1"
        return [read_job(row) for row in self._db.execute(query, (output,))]
