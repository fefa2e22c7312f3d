"""The table: fault × trials × lost × doubled × partial × not bit-identical."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from torture.invariants import Violation

_COLUMNS = ("lost", "doubled", "partial", "differing", "ledger", "litter")


@dataclass(slots=True)
class Row:
    """What came of breaking a daemon in one way, many times."""

    fault: str
    trials: int = 0
    """Times that the fault really struck: a kill that came too late is none."""
    violations: list[Violation] = field(default_factory=list)
    seconds: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    """How many times the fault struck while a job or a drop was in this state, or at this system call."""
    said: list[str] = field(default_factory=list)
    """What else was measured."""

    def add(self, violations: Iterable[Violation], trials: int = 1) -> None:
        """Count ``trials`` more, and what they broke."""
        self.trials += trials
        self.violations += violations

    def counts(self) -> list[int]:
        return [sum(violation.kind == column for violation in self.violations) for column in _COLUMNS]


def table(rows: Iterable[Row]) -> str:
    """The rows as people read them, with their sum."""
    rows = list(rows)
    total = Row("all", sum(row.trials for row in rows), [v for row in rows for v in row.violations])
    total.seconds = sum(row.seconds for row in rows)
    width = max(len(row.fault) for row in (*rows, total))
    head = f"{'fault':<{width}} {'trials':>7} " + " ".join(f"{column:>9}" for column in _COLUMNS) + f" {'seconds':>8}"
    lines = [head]
    for row in (*rows, total):
        counts = " ".join(f"{count:>9}" for count in row.counts())
        lines.append(f"{row.fault:<{width}} {row.trials:>7} {counts} {row.seconds:>8.0f}")
    for row in rows:
        if row.states:
            lines.append(f"{row.fault}: " + ", ".join(f"{state} {count}" for state, count in row.states.most_common()))
        lines += [f"{row.fault}: {line}" for line in row.said]
    return "\n".join(lines)
