"""Which stage a recipe gets, and why another one is passed over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import GIB, Blend, Raw, Squares, footage, machine, registry_of
from framedaemon.choosing import check_recipe, unready_stages
from framedaemon.errors import StageFailed
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.stages import Machine
from planning import PaintOptions, plan_of, problems_of, recipe_for

# --- auto


def test_auto_takes_the_most_preferred_stage() -> None:
    registry = registry_of(Squares(), Squares(name="better", preference=50), Blend(), Raw())

    assert plan_of(registry=registry).generate.task.name == "better"


def test_auto_passes_over_what_is_not_ready() -> None:
    registry = registry_of(Squares(), Squares(name="better", preference=50, lacks="no weights"), Blend(), Raw())

    assert plan_of(registry=registry).generate.task.name == "squares"


def test_what_auto_would_rather_have_taken_is_said_beside_the_plan_and_not_in_receipts() -> None:
    lacking = Blend(name="rife", preference=20, lacks="weights missing: framedaemon models pull rife-4.25")

    plan = plan_of(registry=registry_of(Squares(), Blend(), lacking, Raw()))

    assert plan.passed_over == ("rife cannot work here: weights missing: framedaemon models pull rife-4.25",)
    assert "rife" not in plan.summary().model_dump_json()


def test_what_is_less_preferred_than_what_auto_takes_is_not_spoken_of() -> None:
    lacking = Blend(name="rife", preference=-20, lacks="weights missing")

    assert plan_of(registry=registry_of(Squares(), Blend(), lacking, Raw())).passed_over == ()


def test_every_stage_that_lacks_something_is_listed_with_its_kind() -> None:
    class Interrupted(Squares):
        def unready(self, machine: Machine) -> str | None:
            raise StageFailed("its probe was killed")

    lacking = Blend(name="film", preference=-1, lacks="no weights")
    registry = registry_of(Squares(), Interrupted(name="interrupted"), Blend(), lacking, Raw())

    assert unready_stages(registry, machine()) == {
        "generate interrupted": "its probe was killed",
        "interpolate film": "no weights",
    }


def test_auto_takes_what_wants_a_gpu_only_where_there_is_one_or_by_name() -> None:
    class Slow(Squares):
        wants_accelerator = True

    registry = registry_of(Squares(), Slow(name="slow", preference=50), Blend(), Raw())
    gpu = replace(machine(), device="cuda:0", vram=8 * GIB)

    on_cpu, on_gpu = plan_of(registry=registry), plan_of(registry=registry, on=gpu)
    named = plan_of(recipe_for(use=("slow", "auto", "auto")), registry)

    assert [plan.generate.task.name for plan in (on_cpu, on_gpu, named)] == ["squares", "slow", "slow"]
    assert on_cpu.passed_over == (
        'slow cannot work here: hours of work without a GPU: use = "slow" has it all the same',
    )


def test_auto_passes_over_what_does_not_take_such_a_file() -> None:
    stills_only = Squares(name="better", preference=50, accepts=frozenset({"picture"}))
    registry = registry_of(Squares(), stills_only, Blend(), Raw())

    assert plan_of(registry=registry).generate.task.name == "better"
    assert plan_of(registry=registry, source=footage()).generate.task.name == "squares"


def test_auto_never_takes_a_stage_of_negative_preference() -> None:
    registry = registry_of(Squares(), Blend(preference=-1), Raw())

    (problem,) = problems_of(Recipe(), registry)

    assert problem == "[interpolate] use: nothing here can interpolate this: no plugin offers one"
    assert plan_of(recipe_for(use=("auto", "blend", "auto")), registry).interpolate is not None


def test_auto_passes_over_a_stage_that_cannot_even_say_whether_it_is_ready() -> None:
    class Shaky(Squares):
        def unready(self, machine: Machine) -> str | None:
            raise RuntimeError("driver not loaded")

    registry = registry_of(Squares(), Shaky(name="shaky", preference=50), Blend(), Raw())

    assert plan_of(registry=registry).generate.task.name == "squares"
    assert problems_of(recipe_for(use=("shaky", "auto", "auto")), registry) == [
        "[generate] use: shaky cannot work here: its unready() raised RuntimeError: driver not loaded"
    ]


def test_a_stage_that_does_not_know_yet_whether_it_is_ready_is_asked_again_and_not_refused() -> None:
    class Interrupted(Squares):
        def unready(self, machine: Machine) -> str | None:
            raise StageFailed("its probe was killed")

    registry = registry_of(Squares(), Interrupted(name="interrupted", preference=50), Blend(), Raw())

    with pytest.raises(StageFailed, match="its probe was killed"):
        plan_of(registry=registry)


def test_where_nothing_is_ready_each_reason_is_said() -> None:
    registry = registry_of(Squares(lacks="no brush"), Squares(name="wan", lacks="no weights"), Blend(), Raw())

    (problem,) = problems_of(Recipe(), registry)

    assert problem == (
        "[generate] use: nothing here can generate this: "
        "squares cannot work here: no brush; wan cannot work here: no weights"
    )


def test_an_option_for_another_stage_than_auto_took_is_passed_over_with_a_note() -> None:
    registry = registry_of(Squares(), Squares(name="paint", preference=5, options=PaintOptions), Blend(), Raw())

    plan = plan_of(recipe_for({"brush": 1, "step": 5}), registry)

    assert plan.generate.options.model_dump()["step"] == 5
    assert plan.notes == ("[generate] brush: not for squares, passed over",)


def test_an_option_that_no_stage_knows_is_refused_even_with_auto() -> None:
    (problem,) = problems_of(recipe_for({"brsh": 1}))

    assert "brsh" in problem


def test_an_option_for_another_stage_is_refused_where_the_stage_was_named() -> None:
    registry = registry_of(Squares(), Squares(name="paint", options=PaintOptions), Blend(), Raw())

    (problem,) = problems_of(recipe_for({"brush": 1}, use=("squares", "auto", "auto")), registry)

    assert "brush" in problem


# --- a stage that is named


def test_every_problem_is_said_at_once() -> None:
    problems = problems_of(recipe_for({"step": "far"}, {"cut_above": "high"}, use=("auto", "auto", "nvenc")))

    assert len(problems) == 3
    assert all(word in problem for word, problem in zip(("step", "cut_above", "nvenc"), problems, strict=True))


def test_a_named_stage_that_is_not_ready_says_what_it_lacks() -> None:
    registry = registry_of(Squares(), Squares(name="wan", lacks="run framedaemon pull wan"), Blend(), Raw())

    (problem,) = problems_of(recipe_for(use=("wan", "auto", "auto")), registry)

    assert problem == "[generate] use: wan cannot work here: run framedaemon pull wan"


def test_a_named_stage_that_does_not_take_such_a_file_says_what_it_takes() -> None:
    registry = registry_of(Squares(accepts=frozenset({"picture"})), Blend(), Raw())

    (problem,) = problems_of(recipe_for(use=("squares", "auto", "auto")), registry, footage())

    assert problem == "[generate] use: squares makes clips of a picture; this file is a footage"


# --- checking without a file


def test_a_good_recipe_has_no_problems_whatever_it_is_for() -> None:
    registry = registry_of(Squares(), Squares(name="paint", options=PaintOptions), Blend(), Raw())

    assert check_recipe(recipe_for({"brush": 1}, {"cut_above": 3.0}), registry) == []
    assert check_recipe(recipe_for(use=("paint", "none", "raw")), registry) == []


def test_what_is_wrong_with_a_recipe_whatever_it_is_for_is_said_at_once() -> None:
    recipe = Recipe(
        generate=StageChoice(options={"brsh": 1}, origins={"brsh": "cat.toml [generate]"}),
        interpolate=InterpolateChoice(use="rife"),
        encode=StageChoice(use="raw", options={"crf": "low"}),
    )

    problems = check_recipe(recipe, registry_of())

    assert len(problems) == 3
    assert problems[0] == "cat.toml [generate] brsh: no stage here knows it"
    assert "there is no 'rife' here" in problems[1]
    assert "crf" in problems[2]
