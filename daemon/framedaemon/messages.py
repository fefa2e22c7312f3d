"""What the service and a worker say to each other: one JSON object a line, frames never among them.

    service ─ Setup ─▶ worker ─ Ready ─▶ service
                              ─ Entered, for each plugin, before it is ready and when it plans ─▶
            ─ Order ─▶        ─ Planned | Ended ─▶
            ─ Go ───▶         ─ Advanced … Finished | Ended ─▶
            ─ Halt ─▶         ─ Finished | Ended, as stopped ─▶
                              ─ Beat, every second ─▶

Closing the socket is the order to die.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from framedaemon.recipe import Recipe
from framedaemon.settings import Settings
from framedaemon.summary import PlanSummary

EndKind: TypeAlias = Literal["rejected", "failed", "crashed", "stalled", "disk", "memory", "stopped"]


class Message(BaseModel):
    """A line on the socket."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Setup(Message):
    """Who the worker works for: its first line."""

    say: Literal["setup"] = "setup"
    root: str
    """The instance's folder."""
    settings: Settings
    aside: dict[str, str] = {}
    """Plugins that are not to be loaded, since they brought a worker down, and how."""


class Order(Message):
    """Open, understand and plan a job; hold it ready."""

    say: Literal["order"] = "order"
    job: str
    name: str
    """The source's name relative to input/, for messages."""
    source: str
    """Where its file stands now."""
    last: str | None = None
    """Where that of the picture stands that it is to end with."""
    folder: str
    """The job's own folder."""
    recipe: Recipe
    attempt: int
    number: int
    """Which of the drop's jobs it is: each has a seed of its own."""
    shrinks: int
    """How often it ran out of memory."""
    fits: dict[str, int] = {}
    """Rungs of the memory ladder that worked before, by `StageTask.fit_key`."""


class Go(Message):
    """Run the job that is held ready."""

    say: Literal["go"] = "go"
    job: str


class Halt(Message):
    """End the job that is at work, at a point where another attempt can go on."""

    say: Literal["halt"] = "halt"
    seconds: float
    """How long that may take; the worker is killed then."""


class Ready(Message):
    """The worker has loaded its plugins and takes orders."""

    say: Literal["ready"] = "ready"
    pid: int
    device: str
    machine: str = ""
    """`Machine.known_as`."""
    uuid: str = ""
    """Of the accelerator, as its driver calls it, where torch knows."""
    broken: dict[str, str] = {}
    """Plugins that could not be loaded, and why."""


class Beat(Message):
    """The process lives."""

    say: Literal["beat"] = "beat"


class Entered(Message):
    """From now on code of this plugin runs for jobs that never asked for it; with "", none."""

    say: Literal["entered"] = "entered"
    plugin: str


class Planned(Message):
    """The job can be run; here is what it will take."""

    say: Literal["planned"] = "planned"
    job: str
    plan: PlanSummary


class Advanced(Message):
    """The work has moved on: this many of so many frames came out of a stage."""

    say: Literal["advanced"] = "advanced"
    job: str
    stage: str
    done: int
    total: int


class Finished(Message):
    """A checked video and its receipt stand in the job's folder."""

    say: Literal["finished"] = "finished"
    job: str
    video: str
    """Name of the video in the job's folder."""
    bytes: int
    seconds: dict[str, float]
    """Of each stage."""
    worn: str = ""
    """What this and earlier jobs have left behind in the worker, where that is too much."""


class Ended(Message):
    """The job, or this attempt at it, is over without a video."""

    say: Literal["ended"] = "ended"
    job: str
    kind: EndKind
    reason: str
    """For a person; problems stand on lines of their own."""
    cause: str = ""
    """Class of the error, or what ended the worker: what failures of one kind have in common."""
    came_up: bool = True
    """False: the worker ended before it was ready, and has not seen the job."""


ToWorker: TypeAlias = Annotated[Setup | Order | Go | Halt, Field(discriminator="say")]
FromWorker: TypeAlias = Annotated[
    Ready | Beat | Entered | Planned | Advanced | Finished | Ended, Field(discriminator="say")
]
_TO_WORKER: TypeAdapter[Setup | Order | Go | Halt] = TypeAdapter(ToWorker)
_FROM_WORKER: TypeAdapter[Ready | Beat | Entered | Planned | Advanced | Finished | Ended] = TypeAdapter(FromWorker)


def encode(message: Message) -> bytes:
    """The message as a line. Names that are not UTF-8 survive as escaped surrogates."""
    return json.dumps(message.model_dump(mode="json")).encode("ascii") + b"\n"


def read_order(line: bytes) -> Setup | Order | Go | Halt:
    """What the service said. Raises ValueError for anything else."""
    return _TO_WORKER.validate_python(json.loads(line), strict=False)


def read_report(line: bytes) -> Ready | Beat | Entered | Planned | Advanced | Finished | Ended:
    """What a worker said. Raises ValueError for anything else, as a plugin in it may say."""
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return _FROM_WORKER.validate_python(said, strict=False)
