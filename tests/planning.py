"""Plans for tests: a recipe in few words, and the plan or the problems that it leads to."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import machine, picture, registry_of
from framedaemon.errors import JobRejected
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.sources import Source
from framedaemon.stages import GeneratorOptions, Machine


class PaintOptions(GeneratorOptions):
    """Options of another generator than squares."""

    brush: int = 3


def recipe_for(
    generate: dict[str, Any] | None = None,
    interpolate: dict[str, Any] | None = None,
    encode: dict[str, Any] | None = None,
    use: tuple[str, str, str] = ("auto", "auto", "auto"),
    **timeline: Any,
) -> Recipe:
    """What is asked of each stage; ``use``: which ones; ``timeline``: what `InterpolateChoice` has beside."""
    return Recipe(
        generate=StageChoice(use=use[0], options=generate or {}),
        interpolate=InterpolateChoice(use=use[1], options=interpolate or {}, **timeline),
        encode=StageChoice(use=use[2], options=encode or {}),
    )


def plan_of(
    recipe: Recipe | None = None,
    registry: Registry | None = None,
    source: Source | None = None,
    on: Machine | None = None,
    **memory: Any,
) -> Plan:
    """The plan for a picture, an empty recipe, the stages of `fakes` and a small computer, unless told otherwise."""
    return make_plan(
        source or picture(), recipe or Recipe(), registry or registry_of(), on or machine(), seed=42, **memory
    )


def problems_of(recipe: Recipe, registry: Registry | None = None, source: Source | None = None) -> list[str]:
    """Why there is no plan."""
    with pytest.raises(JobRejected) as caught:
        plan_of(recipe, registry, source)
    return list(caught.value.problems)
