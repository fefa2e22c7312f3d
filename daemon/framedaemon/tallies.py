"""What the ledger holds, counted for who measures: cheap enough to be asked every few seconds for years.

Counts of what ended come from an index; what each of them was made by is read once, and after that only of what ended
since. The connection is one's own, read-only and opened anew each time: a ledger that is locked or damaged is the
caller's to report, and holds up nobody.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Wait: TypeAlias = Literal["turn", "retry", "room", "memory", "machine", "publication"]
"""What a job waits for: its turn; its next try; room on the disk; memory; a machine that works; output/."""

# So long a reader waits for a ledger that somebody holds for himself.
_LOCKED_SECONDS = 0.25

# So often all is read again: two writes may come within what a file's time can tell.
_AGAIN_SECONDS = 60.0

# Of so many combinations of stages jobs are told apart; the rarest are one.
_MOST_COMBINATIONS = 50

_ENDED = "SELECT state, count(*), max(ended) FROM jobs WHERE ended IS NOT NULL GROUP BY state"
_MADE_BY = (
    "SELECT ifnull(place, ''), count(*), max(ended) FROM jobs"
    " WHERE ended IS NOT NULL AND state = ? AND ended > ? GROUP BY place"
)
_WAITING = """
    SELECT CASE
        WHEN state = 'publishing' THEN 'publication'
        WHEN state = 'queued' THEN 'turn'
        WHEN EXISTS (SELECT 1 FROM breakers WHERE breakers.place IN (jobs.place, 'the worker''s start',
                     'the opening of files')) THEN 'machine'
        ELSE CASE (SELECT outcome FROM attempts WHERE job_id = jobs.id ORDER BY number DESC LIMIT 1)
            WHEN 'disk' THEN 'room' WHEN 'memory' THEN 'memory' WHEN 'held' THEN 'machine' ELSE 'retry' END
        END, count(*), min(created)
    FROM jobs WHERE ended IS NULL AND state != 'running' GROUP BY 1"""


@dataclass(frozen=True, slots=True)
class Tally:
    """One look at the ledger."""

    ended: dict[tuple[str, str], int]
    """Jobs by state and the stages that made them, ``camera, flow, ffmpeg``; "" for those refused before."""
    succeeded: float | None
    """When the last video was published; wall clock."""
    attempts: dict[str, int]
    """By outcome."""
    waiting: dict[Wait, int]
    running: int
    oldest: float | None
    """When the oldest job that waits was taken; wall clock."""
    breakers: dict[str, float]
    """Open ones, by place: when a job is tried."""


class Tallies:
    """Looks at one ledger again and again."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._ended: Counter[tuple[str, str]] = Counter()
        self._until: dict[str, float] = {}
        self._attempts: Counter[str] = Counter()
        self._attempt = 0
        self._last: tuple[object, Tally] | None = None

    def look(self) -> Tally:
        """What it holds now. Raises sqlite3.Error."""
        age = self._age()
        if self._last is None or self._last[0] != age:
            self._last = age, self._count()
        return self._last[1]

    def _age(self) -> object:
        """The same for as long as nothing was written: a daemon that rests costs nothing."""
        log = self._ledger.with_name(f"{self._ledger.name}-wal")
        stats = [path.stat() for path in (self._ledger, log) if path.exists()]
        return [(stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats], time.monotonic() // _AGAIN_SECONDS

    def _count(self) -> Tally:
        uri = f"{self._ledger.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_LOCKED_SECONDS)) as db:
            db.execute("BEGIN")  # all of one moment
            counts = {state: (count, last) for state, count, last in db.execute(_ENDED)}
            self._count_ended(db, {state: count for state, (count, _) in counts.items()})
            self._count_attempts(db)
            waiting = db.execute(_WAITING).fetchall()
            (running,) = db.execute("SELECT count(*) FROM jobs WHERE ended IS NULL AND state = 'running'").fetchone()
            breakers = dict(db.execute("SELECT place, until FROM breakers LIMIT ?", (_MOST_COMBINATIONS,)))
        return Tally(
            ended=_bounded(self._ended),
            succeeded=counts.get("done", (0, None))[1],
            attempts=dict(self._attempts),
            waiting={wait: count for wait, count, _ in waiting},
            running=running,
            oldest=min((created for _, _, created in waiting), default=None),
            breakers=breakers,
        )

    def _count_ended(self, db: sqlite3.Connection, counts: dict[str, int]) -> None:
        """Count what ended since the last look; all of it where that does not add up, since a clock was set back."""
        for state, count in counts.items():
            for since in (self._until.get(state, -1.0), -1.0):
                known = sum(number for (of, _), number in self._ended.items() if of == state)
                if known == count:
                    break
                if since < 0:
                    self._ended = Counter({key: number for key, number in self._ended.items() if key[0] != state})
                for place, number, last in db.execute(_MADE_BY, (state, since)):
                    self._ended[state, place] += number
                    self._until[state] = max(last, self._until.get(state, -1.0))

    def _count_attempts(self, db: sqlite3.Connection) -> None:
        """Count the attempts that ended since the last look; one is at work at a time, and the last to have begun."""
        query = "SELECT min(rowid) FROM attempts WHERE rowid > ? AND ended IS NULL"
        (open_one,) = db.execute(query, (self._attempt,)).fetchone()
        bound = open_one if open_one is not None else 2**62
        query = (
            "SELECT ifnull(outcome, ''), count(*), max(rowid) FROM attempts WHERE rowid > ? AND rowid < ? GROUP BY 1"
        )
        for outcome, count, last in db.execute(query, (self._attempt, bound)).fetchall():
            self._attempts[outcome] += count
            self._attempt = max(self._attempt, last)


def _bounded(ended: Counter[tuple[str, str]]) -> dict[tuple[str, str], int]:
    found: Counter[tuple[str, str]] = Counter()
    for rank, ((state, place), count) in enumerate(ended.most_common()):
        found[state, place if rank < _MOST_COMBINATIONS else "others"] += count
    return dict(found)
