"""Ledgers with a queue and a past, written down as a daemon would, without running one."""

from __future__ import annotations

from fakes import machine, picture, registry_of
from framedaemon.ledger import JobState, Ledger
from framedaemon.plan import make_plan
from framedaemon.recipe import Recipe, StageChoice
from framedaemon.summary import PlanSummary


def queue_job(ledger: Ledger, name: str, created: float = 1.0, prompt: str = "", use: str = "auto") -> str:
    """A picture that was taken, with one job that waits for its turn; returns the job's id."""
    id = f"d{sum(ledger.count().values())}"
    ledger.claiming([(id, name, None, None)], created)
    ledger.set_drop(id, "open")
    options = {"prompt": prompt} if prompt else {}
    recipe = Recipe(generate=StageChoice(use=use, options=options, origins={"prompt": name} if prompt else {}))
    ledger.add_job(id, 1, recipe.to_json(), f"video-{id}", 0, created)
    return f"{id}-1"


def end_job(
    ledger: Ledger,
    name: str,
    state: JobState = "done",
    reason: str = "",
    started: float = 10.0,
    seconds: float = 60.0,
    use: str = "auto",
) -> str:
    """A job that was tried once and has ended, its picture put away; returns the job's id."""
    id = queue_job(ledger, name, started, use=use)
    ledger.start(id, started)
    if state == "done":
        ledger.publishing(id, f"{id}.mp4")
    ledger.finish(id, state, reason, started + seconds)
    drop = id.rpartition("-")[0]
    rests = f"{'done' if state == 'done' else 'failed'}/{name}"
    ledger.closing(drop, rests)
    ledger.close_drop(drop, rests)
    return id


def plan_of() -> PlanSummary:
    """A plan of fakes: three small frames."""
    return make_plan(picture(), Recipe(), registry_of(), machine(), seed=1).summary()
