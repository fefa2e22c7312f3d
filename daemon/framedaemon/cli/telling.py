"""A dossier as lines of text: what `show` prints."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Any

from framedaemon.dossier import Dossier
from framedaemon.durations import show_roughly, show_seconds
from framedaemon.naming import show
from framedaemon.rows import AttemptRow

_STAGES = ("generate", "interpolate", "encode")


def tell(dossier: Dossier) -> Iterator[str]:
    """The lines; those that say nothing of this job are left out."""
    for label, lines in _facts(dossier):
        for line in lines:
            yield f"{label:<11}{line}".rstrip()
            label = ""


def _facts(dossier: Dossier) -> Iterator[tuple[str, list[str]]]:
    job = dossier.job
    yield "job", [job.id]
    yield "picture", [f"{job.name}: {dossier.picture or 'nowhere to be found'}", *_beside(dossier)]
    yield "state", [_state(dossier)]
    yield "reason", dossier.reason.split("\n") if dossier.reason else []
    yield "video", [dossier.video] if dossier.video else [f"output/{job.output} is gone"] if job.output else []
    yield "receipt", [dossier.receipt] if dossier.receipt else []
    yield "recipe", list(_recipe(dossier.recipe))
    yield "plan", list(_plan(dossier.plan)) if dossier.plan is not None else []
    yield "attempts", [_attempt(attempt) for attempt in dossier.attempts]
    yield "log", [dossier.log] if dossier.log else []
    yield "to do", _advice(dossier)


def _beside(dossier: Dossier) -> list[str]:
    return [f"with {' and '.join(dossier.beside)}"] if dossier.beside else []


def _state(dossier: Dossier) -> str:
    job = dossier.job
    said = [job.state, f"taken {_when(job.created)}"]
    if job.ended is not None:
        said.append(f"ended {_when(job.ended)}")
    if job.ended is None and dossier.not_before:
        said.append(f"tried again {_when(dossier.not_before)}")
    if dossier.expected_seconds is not None:
        said.append(f"takes about {show_roughly(dossier.expected_seconds)}")
    if dossier.priority:
        said.append(f"priority {dossier.priority}")
    return ", ".join(said)


def _recipe(recipe: dict[str, Any]) -> Iterator[str]:
    for kind in _STAGES:
        asked = {key: value for key, value in recipe[kind].items() if key not in ("options", "origins")}
        options = {
            **{key: value for key, value in asked.items() if value not in (None, False)},
            **recipe[kind]["options"],
        }
        yield show(f"{kind}: " + ", ".join(f"{key} = {value}" for key, value in options.items()))


def _plan(plan: dict[str, Any]) -> Iterator[str]:
    """What a plan says that this version knows; an older one's may say less."""
    steps = ", ".join(step.get("stage", "?") for step in plan.get("steps", ()))
    yield show(f"{steps}: {plan.get('frames')} frames at {plan.get('fps')}, {plan.get('width')}x{plan.get('height')}")
    yield show(f"of {plan.get('source')}, seed {plan.get('seed')}, on {plan.get('device')}")
    for note in plan.get("notes", ()):
        yield show(f"note: {note}")


def _attempt(attempt: AttemptRow) -> str:
    seconds = attempt.ended - attempt.started if attempt.ended is not None else -1.0
    took = f" after {show_seconds(seconds)}" if seconds >= 0 else ""  # less where the clock was set back meanwhile
    said = f": {show(attempt.reason)}" if attempt.reason else ""
    return f"{attempt.number}. {_when(attempt.started)}: {attempt.outcome or 'at work'}{took}{said}"


def _advice(dossier: Dossier) -> list[str]:
    job = dossier.job
    if job.ended is None:
        return [f"framedaemon cancel {job.id}"]
    if job.state == "done":
        replay = f"framedaemon replay {shlex.quote(dossier.receipt)}" if dossier.receipt else ""
        return [f"{replay} makes it again"] if replay else []
    where = [f"read {dossier.explained}"] if dossier.explained else []
    return [*where, f"framedaemon retry {job.id} puts the picture back"] if dossier.picture else where


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
