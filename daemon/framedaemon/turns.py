"""Whose turn it is: by priority and age, but jobs alike together, so that what one has loaded serves the next.

    queue      A1  B1  A2  A3  B2            A, B: kinds of jobs, see `rows.likeness_of`
    begun      A1  A2  A3  B1  B2            not more than a few, nor for long, before one whose turn it was

Only among jobs of one priority: a higher one goes first, whatever is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from framedaemon.ledger import JobRow, Ledger

# What a job saves that finds its network loaded is a second or two (benchmarks/warm.py): nobody is to wait long for
# that. Eight such jobs bring nearly all of it, as only one in nine then loads anew; and where jobs take minutes, which
# is more than is saved, the time ends it first.
_MOST_BEFORE = 8
_LONGEST_SECONDS = 600.0


def in_turn(rows: Sequence[JobRow], alike: str, count: int) -> list[JobRow]:
    """The queue's ``rows`` as they will be begun, after a job that is ``alike``; beyond ``count`` as they are.

    Nobody can say how long each takes, so this may be off by a few.
    """
    left, begun = list(rows), list[JobRow]()
    passed_over, before = "", 0
    while left and len(begun) < count:
        first = left[0]
        if first.id != passed_over:
            passed_over, before = first.id, 0
        same = (row for row in left if row.alike == alike and row.priority == first.priority)
        turn = (next(same, first) if before < _MOST_BEFORE else first) if alike else first
        left.remove(turn)
        begun.append(turn)
        alike, before = turn.alike, before + 1
    return [*begun, *left]


class Turns:
    """Remembers what was begun last, and who was passed over for it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._alike = ""
        self._passed_over: str | None = None
        self._since = 0.0
        self._before = 0

    def next(self, wall: float) -> JobRow | None:
        """The job to begin now; nothing is taken."""
        first = self._ledger.next_job(wall)
        if first is None or first.alike == self._alike or not self._alike:
            return first
        if first.id == self._passed_over and not self._may_wait(wall):
            return first
        return self._ledger.next_job(wall, self._alike, first.priority) or first

    def began(self, job: JobRow, wall: float) -> None:
        """It was begun. To be called before the ledger is told, while it still says whose turn it was."""
        first = self._ledger.next_job(wall)
        passed_over = first.id if first is not None and first.id != job.id else None
        if passed_over != self._passed_over:
            self._since, self._before = wall, 0
        self._passed_over, self._alike = passed_over, job.alike
        self._before += 1

    def _may_wait(self, wall: float) -> bool:
        return self._before < _MOST_BEFORE and 0 <= wall - self._since < _LONGEST_SECONDS
