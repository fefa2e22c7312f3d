"""How long jobs that wait will take: what a plan promises, corrected by what its stages took so far, or what jobs of
the same recipe took. Where neither is known nothing is said: a guess would be off by the difference between a camera
move and a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from statistics import mean

from framedaemon.history import History
from framedaemon.rows import JobRow
from framedaemon.summary import PlanSummary

# What tells pictures apart, and not how long they take.
_OWN = frozenset({"prompt", "negative_prompt", "seed"})


class Forecast:
    """What earlier jobs teach about later ones."""

    def __init__(self, history: History, took: Iterable[tuple[str, float]]) -> None:
        """``took``: recipes of jobs that were made, and the seconds."""
        self._history = history
        self._paces: dict[str, float | None] = {}
        alike: dict[str, list[float]] = {}
        for recipe, seconds in took:
            alike.setdefault(_kind(recipe), []).append(seconds)
        self._took = {kind: mean(seconds) for kind, seconds in alike.items()}

    def seconds(self, job: JobRow) -> float | None:
        """How long the job will take once it is begun, or None."""
        plan = _read_plan(job.plan) if job.plan is not None else None
        return self._planned(plan) if plan is not None else self._took.get(_kind(job.recipe))

    def _planned(self, plan: PlanSummary) -> float:
        """Stages overlap, so the slowest counts."""
        paces = {step.stage: self._pace(step.stage) for step in plan.steps}
        return max(
            step.seconds if (pace := paces[step.stage]) is None else pace * plan.megapixels for step in plan.steps
        )

    def _pace(self, stage: str) -> float | None:
        if stage not in self._paces:
            self._paces[stage] = self._history.seconds(stage, 1.0)
        return self._paces[stage]


@lru_cache(maxsize=4096)
def _kind(recipe: str) -> str:
    """A recipe without what differs from picture to picture: those that are equal take about as long."""
    choices = json.loads(recipe)
    for choice in choices.values():
        if isinstance(choice, dict):
            options = choice.get("options", {})
            choice |= {"options": {key: options[key] for key in options if key not in _OWN}, "origins": {}}
    return json.dumps(choices | {"finishes": bool(choices.get("finishes"))}, sort_keys=True)


@lru_cache(maxsize=4096)
def _read_plan(text: str) -> PlanSummary | None:
    """A plan in the ledger; that of another version of framedaemon may not be readable."""
    try:
        return PlanSummary.model_validate_json(text)
    except ValueError:
        return None
