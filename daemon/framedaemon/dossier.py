"""One job whole, for people and scripts: what was asked for, what was planned, what was tried, and where everything is.

``asdict`` of a Dossier is the JSON of `framedaemon show --json`; docs/watching.md explains it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from framedaemon.forecast import Forecast
from framedaemon.instance import Instance
from framedaemon.ledger import JobRow, Ledger
from framedaemon.lookout import explanation_of, job_facts, place_of, there
from framedaemon.naming import show
from framedaemon.overview import VERSION, Job
from framedaemon.rows import AttemptRow


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that is known of a job. Paths are relative to the instance; None where there is nothing, or not any more."""

    version: int
    job: Job
    reason: str
    """All its lines."""
    priority: int
    expected_seconds: float | None
    """How long it takes once it is begun, where it has not ended."""
    not_before: float | None
    """What it waits for has no sooner end; wall clock."""
    recipe: dict[str, Any]
    """What was asked for; the options' origins tell which file did."""
    plan: dict[str, Any] | None
    """Of the last attempt, as `framedaemon explain --json` has it."""
    attempts: tuple[AttemptRow, ...]
    picture: str | None
    beside: tuple[str, ...]
    """Names of its sidecar and last picture, where it has them."""
    explained: str | None
    """The .error.txt."""
    video: str | None
    receipt: str | None
    log: str | None


def find_jobs(instance: Instance, ledger: Ledger, word: str) -> list[JobRow]:
    """The jobs that ``word`` means: an id, a picture's name, or a path to its file or video; none if there is none."""
    job = ledger.job(word)
    if job is not None:
        return [job]
    path = Path(word).absolute()
    if path.is_relative_to(instance.output):
        return ledger.lookup.published(show(path.relative_to(instance.output)))
    below = str(path.relative_to(instance.input)) if path.is_relative_to(instance.input) else word
    return ledger.lookup.named(below) or _shown_as(below, ledger)


def _shown_as(word: str, ledger: Ledger) -> list[JobRow]:
    """The jobs of the last picture whose name is shown so, with what does not print escaped: copied from a list."""
    last = next((row for row in ledger.jobs() if show(row.name) == word), None) if "\\" in word else None
    return ledger.jobs_of(last.drop_id) if last is not None else []


def compile_dossier(instance: Instance, ledger: Ledger, row: JobRow) -> Dossier:
    """Gather it from the ledger and the instance's folders."""
    drop, attempts = ledger.drop(row.drop_id), tuple(ledger.attempts(row.id))
    open_, video = row.ended is None, PurePosixPath("output", row.output) if row.output else None
    return Dossier(
        version=VERSION,
        job=job_facts(row),
        reason="\n".join(show(line) for line in row.reason.split("\n")),
        priority=row.priority,
        expected_seconds=Forecast(ledger.history, ledger.lookup.took()).seconds(row) if open_ else None,
        not_before=row.not_before if open_ and row.state == "waiting" else None,
        recipe=json.loads(row.recipe),
        plan=json.loads(row.plan) if row.plan is not None else None,
        attempts=attempts,
        picture=there(instance, place_of(drop)),
        beside=tuple(show(name) for name in drop.beside),
        explained=there(instance, explanation_of(drop)),
        video=there(instance, video) if video is not None else None,
        receipt=there(instance, video.with_suffix(".json")) if video is not None else None,
        log=there(instance, PurePosixPath("output", "logs", "jobs", f"{row.id}.jsonl")),
    )
