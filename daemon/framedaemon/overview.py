"""The facts of an instance for people and scripts, as `lookout` finds them: what `status`, `watch` and whoever measures
the daemon show. ``asdict`` of an Overview is the JSON of `framedaemon status --json`; docs/watching.md explains it.

Bytes are whole numbers, seconds fractions, times seconds of the wall clock since 1970. Names are escaped, as
`naming.show` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from framedaemon.logtail import LogLine
from framedaemon.rows import JobState
from framedaemon.usage import Disk, Memory

VERSION = 1
"""Of the JSON: it rises when a field goes, or means something else; fields may be added at any time."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """The service, as it said last."""

    pid: int
    since: float | None = None
    worker: int | None = None
    """The worker's process."""
    draining: bool = False
    """Whether it ends after the job at hand."""
    paused: str = ""
    """Why no job is begun, or nothing."""
    said: float | None = None
    """When it last said so."""


@dataclass(frozen=True, slots=True)
class Count:
    """Frames that came out of a stage, of how many."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Current:
    """The job at hand."""

    job: str
    name: str
    attempt: int
    started: float
    seconds: float
    """Since this attempt began."""
    remaining_seconds: float | None
    frames_per_second: float | None
    step: str
    """What a stage does that gives no frames for a while: ``denoise 30 %``."""
    stages: dict[str, Count]
    """In the order in which frames came out of them."""


@dataclass(frozen=True, slots=True)
class Job:
    """One video, made or to be made."""

    id: str
    name: str
    state: JobState
    output: str | None
    """Relative to output/."""
    attempts: int
    reason: str
    """Its first line."""
    created: float
    started: float | None
    ended: float | None
    priority: int = 0
    """Larger goes first."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that waits for its turn, or for something else."""

    job: Job
    expected_seconds: float | None
    starts_in_seconds: float | None
    """By what is expected of those before it, and by what it waits for; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Queue:
    """All that is to be made, without the job at hand."""

    jobs: int
    remaining_seconds: float | None
    """For all whose time is known, and the job at hand."""
    unknown: int
    """Jobs of which nothing is known."""
    next: tuple[Queued, ...]
    """The first of them, in the order in which they go."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that ended without a video."""

    job: Job
    picture: str | None
    """Where it was put, relative to the instance; None where it is not put away yet."""
    explained: str | None
    """The .error.txt beside it."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture that waits until its preview is approved."""

    name: str
    previews: tuple[str, ...]
    """Relative to output/."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A breaker that is open: jobs of its place wait."""

    place: str
    reason: str
    opened: float
    until: float
    said: str


@dataclass(frozen=True, slots=True)
class Room:
    """The disk: what is free, and what of it is spoken for."""

    disks: tuple[Disk, ...]
    keep_free_bytes: int
    temporary_bytes: int
    """What lies below tmp/."""
    reserved_bytes: int
    """What the job at hand may still write."""


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it."""

    version: int
    instance: str
    at: float
    daemon: Daemon | None
    current: Current | None
    queue: Queue
    counts: dict[JobState, int]
    ended: tuple[Job, ...]
    failures: tuple[Failure, ...]
    """The last first, as all that has ended."""
    warnings: tuple[LogLine, ...]
    """The last of the daemon's log."""
    previews: tuple[Preview, ...]
    breakers: tuple[Standing, ...]
    problems: tuple[str, ...]
    memory: Memory
    room: Room
