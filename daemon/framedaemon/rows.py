"""What the ledger's rows are to everybody else: drops, jobs and attempts, and the words for how they end."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from framedaemon.breaker import LONGEST_WAIT_SECONDS

JobState: TypeAlias = Literal[
    "queued", "waiting", "running", "publishing", "done", "failed", "quarantined", "cancelled", "vanished"
]
ENDED: frozenset[JobState] = frozenset({"done", "failed", "quarantined", "cancelled", "vanished"})
Outcome: TypeAlias = Literal["failed", "crashed", "stalled", "disk", "memory", "stopped", "held", "rejected"]
"""How an attempt ended without a video; only the first three count against the job, and none follows the last."""
RetryKind: TypeAlias = Literal["rejected", "memory", "failed", "crashed", "stalled", "quarantined", "cancelled"]
"""How jobs end that can be tried again: by how the last attempt did, or as the job did."""
STRIKES: frozenset[Outcome] = frozenset({"failed", "crashed", "stalled"})
# Of a generator's options, what says what is drawn, and neither by what nor how large.
_OF_ONE_PICTURE = frozenset({"prompt", "negative_prompt", "seed"})
DropState: TypeAlias = Literal["claiming", "open", "closing", "closed", "vanished"]


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
    last: str | None = None
    """The name of the picture that it is to end with."""

    @property
    def beside(self) -> tuple[str, ...]:
        """Names of what belongs to it, in the order in which it moves; the picture itself moves last."""
        return tuple(name for name in (self.sidecar, self.last) if name is not None)

    @property
    def sides(self) -> tuple[str, ...]:
        """How those go on behind the picture's stem: ``.toml`` or ``.jpg.toml``, ``.last.png``."""
        return tuple(name.removeprefix(PurePosixPath(self.name).stem) for name in self.beside)

    @property
    def own_sides(self) -> tuple[str, ...]:
        """The same, and where it has no sidecar what would be taken for one: names that are to be free around it."""
        return self.sides if self.sidecar is not None else (*self.sides, ".toml")


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
    place: str | None
    """Where it works, as breakers know it; None until it is planned."""
    priority: int
    created: float
    queued: float
    """Its place in the queue: when it was made, or when it was to be tried again after a failure."""
    started: float | None
    ended: float | None
    alike: str = ""
    """What jobs that are alike have in common, see `likeness_of`; empty: of an older version, and like no other."""

    def due(self, now: float) -> bool:
        """Whether its wait is over. One longer than any wait was begun before the clock was set back: it is over."""
        return not now < self.not_before <= now + LONGEST_WAIT_SECONDS


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try at a job."""

    number: int
    started: float
    ended: float | None
    outcome: str | None
    """None while it lasts; ``done`` where it gave the video."""
    reason: str


@dataclass(frozen=True, slots=True)
class VideoRow:
    """A video that was published."""

    job: str
    output: str
    """Where in output/ it was put."""
    ended: float


def likeness_of(recipe: str, name: str) -> str:
    """A word that is the same for jobs that probably load the same, for frames of the same size.

    recipe: JSON. name: of the picture; those of one folder come from one camera more often than not.
    """
    asked = json.loads(recipe)
    generate, interpolate = asked.get("generate", {}), asked.get("interpolate", {})
    options = {key: value for key, value in generate.get("options", {}).items() if key not in _OF_ONE_PICTURE}
    between = {key: value for key, value in interpolate.items() if key != "origins"}  # which file said so
    told = [name.rpartition("/")[0], generate.get("use"), options, between, asked.get("preview")]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_drop(row: sqlite3.Row) -> DropRow:
    """A row of ``drops``; names come back byte for byte."""
    name, sidecar, rests, last = (row[key] and os.fsdecode(row[key]) for key in ("name", "sidecar", "rests", "last"))
    return DropRow(row["id"], name, sidecar, row["state"], rests, row["priority"], row["created"], last)


JOBS = "SELECT jobs.*, drops.name AS name FROM jobs JOIN drops ON drops.id = jobs.drop_id"
"""Jobs as `read_job` reads them."""


def read_job(row: sqlite3.Row) -> JobRow:
    """A row of ``jobs`` with its drop's name."""
    values = {field.name: row[field.name] for field in fields(JobRow)}
    values["name"] = os.fsdecode(row["name"])
    return JobRow(**values)
