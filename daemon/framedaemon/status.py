"""What the daemon is doing right now, in a small file that anyone may read: tmp/status.json.

The ledger says what is and was; this says how far the job at hand is. It is rewritten every second while a job
runs, replaced whole, and worth nothing once the daemon that wrote it is gone.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from framedaemon.durations import show_roughly
from framedaemon.history import History
from framedaemon.summary import PlanSummary


@dataclass(slots=True)
class Progress:
    """How far a job is."""

    job: str
    name: str
    attempt: int
    started: float
    """Wall clock."""
    stages: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The frames that came out of each stage, of how many, in the plan's order; the last one is the video's."""
    step: str = ""
    """What a stage does that gives no frames for a while: ``denoise 30 %``."""
    expected_seconds: float | None = None
    """For the whole job: by what earlier ones took, else by the stages' estimates."""
    begun: dict[str, tuple[int, float]] = field(default_factory=dict)
    """For each stage, where this attempt saw it first: at which frame, and when."""
    order: list[str] = field(default_factory=list)
    """The plan's stages: one that goes on where an attempt was cut short is heard of before those that it waits for."""

    def expect(self, plan: PlanSummary, history: History) -> None:
        """Take order and expected time from the plan; stages overlap, so the slowest counts."""
        self.order = [step.stage for step in plan.steps]
        known = (history.seconds(step.stage, plan.megapixels) for step in plan.steps)
        self.expected_seconds = max(
            seconds if seconds is not None else step.seconds for seconds, step in zip(known, plan.steps, strict=True)
        )

    def advance(self, stage: str, done: int, total: int, now: float) -> None:
        """A frame came out of ``stage``: number ``done`` of ``total``."""
        self.begun.setdefault(stage, (done, now))
        self.stages[stage] = (done, total)
        self.stages = {name: self.stages[name] for name in self.order or self.stages if name in self.stages}
        self.step = ""

    def frames_per_second(self, now: float) -> float | None:
        """How fast the video grows since its first frame; what came before, loading and drawing, has no frames."""
        stage, (done, total) = list(self.stages.items())[-1] if self.stages else ("", (0, 0))
        first, since = self.begun.get(stage, (done, now))
        return (done - first) / (now - since) if done - first >= max(10, total // 50) and now > since else None

    def remaining_seconds(self, now: float) -> float | None:
        """How long it will still take: by the pace of its frames once there are some, else by what was expected.

        None once it takes longer than that: nobody knows how much.
        """
        pace = self.frames_per_second(now)
        if pace is not None:
            done, total = list(self.stages.values())[-1]
            return (total - done) / pace
        left = self.expected_seconds - max(0.0, now - self.started) if self.expected_seconds is not None else 0.0
        return left if left > 0.0 else None


@dataclass(frozen=True, slots=True)
class Status:
    """The daemon, as it said last."""

    pid: int
    at: float
    """Wall clock."""
    draining: bool
    progress: Progress | None
    problems: tuple[str, ...] = ()
    """What keeps the daemon from its work: input/ that cannot be read, and the like."""
    since: float | None = None
    """When it started; wall clock."""
    worker: int | None = None
    """The worker's process, while there is one."""
    paused: str = ""
    """Why no job is begun now: ``paused by hand``; empty when jobs are begun."""


def describe(status: Status, waiting: int, stuck: str = "") -> str:
    """What the daemon does, on one line for people; ``waiting``: jobs that are to come; ``stuck``: what the last needs.

    ``photo.jpg: 120 of 321 frames, 2 min left; 14 wait``
    """
    said = [_job(status.progress, status.at) if status.progress is not None else status.paused or "idle"]
    if status.progress is not None and status.paused:
        said.append(f"then {status.paused}")
    if status.draining:
        said.append("ends after it" if status.progress is not None else "ends")
    if waiting:
        said.append(f"{waiting} {'waits' if waiting == 1 else 'wait'}{f': {stuck}' if stuck else ''}")
    return "; ".join(said)


def _job(progress: Progress, now: float) -> str:
    done, total = list(progress.stages.values())[-1] if progress.stages else (0, 0)
    frames = f"{done} of {total} frames" if total else "planning" if not progress.step else ""
    left = progress.remaining_seconds(now)
    facts = (frames, progress.step, f"{show_roughly(left)} left" if left is not None else "")
    return f"{progress.name}: {', '.join(fact for fact in facts if fact)}"


def write_status(path: Path, status: Status) -> None:
    """Replace the file at ``path``. A full disk does not stop the daemon: the status is then an old one."""
    partial = path.with_suffix(".part")
    try:
        partial.write_text(json.dumps(asdict(status)), encoding="ascii")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()


def read_status(path: Path) -> Status | None:
    """What the daemon said last, or None when it is not running or has said nothing that can be understood."""
    try:
        facts = json.loads(path.read_text(encoding="ascii"))
        with suppress(PermissionError):  # it runs, and is another user's
            os.kill(facts["pid"], 0)
        if facts["progress"] is not None:
            stages = {stage: (done, total) for stage, (done, total) in facts["progress"]["stages"].items()}
            begun = {stage: (frame, when) for stage, (frame, when) in facts["progress"]["begun"].items()}
            facts["progress"] = Progress(**facts["progress"] | {"stages": stages, "begun": begun})
        return Status(**facts | {"problems": tuple(facts["problems"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
