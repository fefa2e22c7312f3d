"""Remembers, across restarts and kills, of which jobs' ends a target was told.

    tmp/notices/<target>.json     {"until": 1764201600.5, "jobs": ["20261127T…-1"]}

All that ended before ``until`` was told, and of what ended right then ``jobs``. The ledger knows what ended later, so
nothing else has to be kept, and nothing is lost between a video's publication and the notice of it. What the daemon
is killed right after telling is told once more.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from pathlib import Path

from framedaemon.database import open_database
from framedaemon.errors import SettingsError
from framedaemon.events import JobFailed, JobPublished
from framedaemon.naming import show
from framedaemon.notice import News, news_of
from framedaemon.workspace import write_atomically

DAY_SECONDS = 86_400.0
"""What is older than this is not told any more."""

# Found by an index; what was cancelled by hand is not told.
_WANTED = "jobs.ended IS NOT NULL AND jobs.state IN ('done', 'failed', 'quarantined', 'vanished')"
_ENDED = (
    "SELECT jobs.id, jobs.state, output, reason, started, ended, name"  # noqa: S608  (written here)
    f" FROM jobs JOIN drops ON drops.id = jobs.drop_id WHERE {_WANTED}"
)

# Every target has a thread, and a file is written beside itself first, under one name for all of a process.
_WRITING = threading.Lock()


class Told:
    """Of one target."""

    def __init__(self, folder: Path, target: str, now: float) -> None:
        """``target`` names it across restarts; one that is not known yet is told of what ends from now on.

        Raises OSError.
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path = folder / f"{hashlib.sha256(target.encode()).hexdigest()[:16]}.json"
        self.until, self.jobs = now, frozenset[str]()
        try:
            facts = json.loads(self.path.read_text(encoding="ascii"))
            self.until, self.jobs = float(facts["until"]), frozenset(map(str, facts["jobs"]))
        except FileNotFoundError:
            self._write()
        except (ValueError, KeyError, TypeError):  # not written by us; better silent of the past than wrong
            self._write()

    def note(self, news: Iterable[News]) -> None:
        """These were told, or given up. Raises OSError where that cannot be remembered."""
        before = self.until, self.jobs
        for one in news:
            if one.ends and one.at > self.until:
                self.until, self.jobs = one.at, frozenset({one.job})
            elif one.ends and one.at == self.until:
                self.jobs |= {one.job}
        if before != (self.until, self.jobs):
            self._write()

    def _write(self) -> None:
        data = json.dumps({"until": self.until, "jobs": sorted(self.jobs)})
        with _WRITING:
            write_atomically(self.path, data.encode("ascii"))


def ended_since(ledger: Path, told: Told, now: float) -> tuple[list[News], int]:
    """What a target was not told of before the daemon ended, the oldest first, and how much more is too old by now.

    Raises sqlite3.Error and SettingsError as `open_database` does.
    """
    if not ledger.exists():
        return [], 0
    oldest = max(told.until, now - DAY_SECONDS)
    with closing(open_database(ledger, read_only=True)) as db:
        rows = db.execute(f"{_ENDED} AND jobs.ended >= ? ORDER BY jobs.ended", (oldest,)).fetchall()
        query = f"SELECT count(*) FROM jobs WHERE {_WANTED} AND ended > ? AND ended < ?"  # noqa: S608  (written here)
        (too_old,) = db.execute(query, (told.until, oldest)).fetchone()
    untold = [row for row in rows if row["ended"] > told.until or row["id"] not in told.jobs]
    return [one for one in (news_of(_event(row), now) for row in untold) if one is not None], too_old


def _event(row: sqlite3.Row) -> JobPublished | JobFailed:
    """What was told, or would have been, when the job ended; the ledger does not know all of it."""
    name, at = show(os.fsdecode(row["name"])), row["ended"]
    if row["state"] == "done":
        return JobPublished(row["id"], name, row["output"] or "", 0, at - (row["started"] or at), 0, at=at)
    return JobFailed(row["id"], name, row["state"], row["reason"], at)


def forget_others(folder: Path, known: Collection[Path]) -> None:
    """Remove what is remembered of targets that are none any more."""
    for path in folder.glob("*.json"):
        if path not in known:
            with suppress(OSError):  # read-only by now: the next start tries again
                path.unlink()


LEDGER_TROUBLE = (sqlite3.Error, SettingsError, OSError)
"""What `ended_since` may raise."""
