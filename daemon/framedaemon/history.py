"""What earlier jobs really took: from it come remaining times, corrected estimates and remembered placements."""

from __future__ import annotations

import sqlite3
from statistics import median, median_high

# Measures of a stage that are looked at, and kept.
_RECENT = 20

# An estimate is corrected by what earlier jobs used, within these bounds: odd jobs must not stop the queue.
_CORRECTION = (0.25, 4.0)

# It counts itself for as many jobs that it was right about: the first few tell little.
_BELIEF = 2

# Shapes that are remembered, the last ones used: videos have any size and length, and every order to a worker, which
# must not fill its line, tells of all.
_MOST_FITS = 500


class History:
    """A part of the ledger's database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def measure(self, stage: str, work: float, seconds: float, estimated: int, used: int, now: float) -> None:
        """Keep what a stage took for ``work`` (megapixels of frames that came out of it), or a kind of video in bytes.

        ``estimated`` and ``used``: bytes on disk; 0 for a stage.
        """
        self._db.execute("INSERT INTO measures VALUES (?, ?, ?, ?, ?, ?)", (stage, work, seconds, estimated, used, now))
        self._db.execute(
            "DELETE FROM measures WHERE stage = ? AND rowid NOT IN"
            " (SELECT rowid FROM measures WHERE stage = ? ORDER BY rowid DESC LIMIT ?)",  # not by time: clocks go back
            (stage, stage, _RECENT),
        )

    def seconds(self, stage: str, work: float) -> float | None:
        """How long ``stage`` will take for ``work``, by its median speed so far; None: it never ran."""
        query = "SELECT seconds / work FROM measures WHERE stage = ? AND work > 0"
        speeds = [row[0] for row in self._db.execute(query, (stage,))]
        return median(speeds) * work if speeds else None

    def correction(self, kind: str) -> float:
        """What to multiply the estimated bytes of a kind of video by: used / estimated, the median of recent ones.

        Not the largest: the disk guard leaves room for three times the estimate.
        """
        query = "SELECT 1.0 * bytes / estimated_bytes FROM measures WHERE stage = ? AND estimated_bytes > 0"
        ratios: list[float] = [row[0] for row in self._db.execute(query, (kind,))]
        low, high = _CORRECTION
        return min(high, max(low, median_high([1.0] * _BELIEF + ratios)))

    def fits(self) -> dict[str, int]:
        """The rungs of the memory ladder that worked, by `StageTask.fit_key`."""
        query = "SELECT key, rung FROM placements ORDER BY rowid DESC LIMIT ?"
        return dict(self._db.execute(query, (_MOST_FITS,)).fetchall())

    def forget_other_machines(self, machine: str) -> None:
        """Keep only what fitted on the machine that is `Machine.known_as` so: any other is gone, or has changed."""
        self._db.execute("DELETE FROM placements WHERE substr(key, 1, ?) != ?", (len(machine) + 1, f"{machine} "))

    def remember_fit(self, key: str, rung: int) -> None:
        """Start the next job of this device, stage and shape on this rung."""
        self._db.execute("INSERT OR REPLACE INTO placements VALUES (?, ?)", (key, rung))
        self._db.execute(
            "DELETE FROM placements WHERE rowid NOT IN (SELECT rowid FROM placements ORDER BY rowid DESC LIMIT ?)",
            (_MOST_FITS,),
        )
