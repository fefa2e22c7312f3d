"""What happens to jobs, told to plugins through `happened` and to the log.

Names are past tense; facts are fields with units. An event is complete: who hears it needs to ask nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple, TypeAlias


class StageSeconds(NamedTuple):
    """What a stage took of a job."""

    kind: str
    """``generate``, ``interpolate``, ``encode``, or ``check`` for the quality gate."""
    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class JobClaimed:
    """A picture was taken from input/ and stands in the ledger."""

    job: str
    name: str


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A worker began an attempt at a job."""

    job: str
    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class JobWaiting:
    """A job cannot run yet; it goes on by itself."""

    job: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobRetried:
    """An attempt failed in a way that another may not."""

    job: str
    name: str
    attempt: int
    reason: str
    outcome: str = ""
    """How it ended: ``failed``, ``crashed``, ``stalled``, ``disk``, ``memory``, ``stopped`` or ``held``."""


@dataclass(frozen=True, slots=True)
class JobPublished:
    """A finished, checked video stands in output/."""

    job: str
    name: str
    output: str
    """Path of the video, relative to output/."""
    frames: int
    seconds: float
    """From the attempt's start to the published video."""
    bytes: int
    stages: tuple[StageSeconds, ...] = ()
    """In the order in which frames pass; empty for a video that was finished before the daemon started."""
    at: float = 0.0
    """When it ended, as the ledger has it; wall clock."""


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A job ended without a video; its picture stands in input/failed/ with the reason beside it."""

    job: str
    name: str
    state: str
    """``failed``, ``quarantined``, ``cancelled`` or ``vanished``."""
    reason: str
    at: float = 0.0
    """When it ended, as the ledger has it; wall clock."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """The worker's process has come up and takes jobs."""

    pid: int
    device: str


@dataclass(frozen=True, slots=True)
class PluginMuted:
    """A plugin was set aside: it could not be loaded, or kept raising."""

    plugin: str
    reason: str


@dataclass(frozen=True, slots=True)
class DiskWaited:
    """There is too little room; jobs wait."""

    folder: str
    free_bytes: int
    needed_bytes: int


@dataclass(frozen=True, slots=True)
class BreakerOpened:
    """Different jobs failed alike, so that the machine seems to be at fault: jobs wait, and one is tried after a while.

    Told again, with a longer wait, each time that one is tried in vain.
    """

    place: str
    """What was at work: the stages of a plan, the opening of files, or the worker's start."""
    reason: str
    seconds: float
    """Until a job is tried."""


@dataclass(frozen=True, slots=True)
class BreakerClosed:
    """A job succeeded where a breaker was open: those that waited go on."""

    place: str
    seconds: float
    """How long it was open."""


@dataclass(frozen=True, slots=True)
class WorkPaused:
    """No job is begun from now on, until `WorkResumed`: the daemon was paused, or others need the machine."""

    reason: str
    """``paused by hand``, ``outside working hours until Mon 20:00``; several are joined by ``; ``."""


@dataclass(frozen=True, slots=True)
class WorkResumed:
    """Jobs are begun again."""

    seconds: float
    """How long none was begun."""


Event: TypeAlias = (
    JobClaimed
    | JobStarted
    | JobWaiting
    | JobRetried
    | JobPublished
    | JobFailed
    | WorkerReady
    | PluginMuted
    | DiskWaited
    | BreakerOpened
    | BreakerClosed
    | WorkPaused
    | WorkResumed
)

ALL_EVENTS: tuple[type[Event], ...] = (
    JobClaimed,
    JobStarted,
    JobWaiting,
    JobRetried,
    JobPublished,
    JobFailed,
    WorkerReady,
    PluginMuted,
    DiskWaited,
    BreakerOpened,
    BreakerClosed,
    WorkPaused,
    WorkResumed,
)


def event_name(event: Event) -> str:
    """The event's name in the log: ``job_published`` for JobPublished."""
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(event).__name__)
    return words.lstrip("_")


def event_facts(event: Event) -> dict[str, object]:
    """The event's fields, for the log."""
    return asdict(event)
