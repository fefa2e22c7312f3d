"""The cheap form of a video: what a plan makes of a recipe that asks for a preview first."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from fakes import Blend, Raw, Squares, SquaresOptions, footage, machine, picture, registry_of
from framedaemon.errors import JobRejected, StageFailed
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import load_plugins
from framedaemon.preview import shrunk
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.sources import Source
from framedaemon.stages import ClipSpec
from planning import plan_of, problems_of, recipe_for

GIB = 2**30


def preview_of(recipe: Recipe, **more: Any) -> Plan:
    return plan_of(recipe.model_copy(update={"preview": True}), **more)


class Sketching(Squares):
    """Knows by itself what is cheap."""

    def previewed(self, options: SquaresOptions) -> SquaresOptions:
        return options.model_copy(update={"frames": 3})


class Gridded(Squares):
    """Draws one width only."""

    def promise(self, takes: Source, options: SquaresOptions) -> ClipSpec:
        if options.width not in (None, takes.width):
            raise JobRejected("[generate] width: the picture's it is")
        return super().promise(takes, options)


def test_a_preview_is_half_as_wide_and_high_and_nothing_is_filled_in() -> None:
    recipe = recipe_for({"width": 200, "height": 130, "frames": 5}, fps=Fraction(50), speed=Fraction(1, 2))

    whole, preview = plan_of(recipe), preview_of(recipe)

    assert (whole.shown.width, whole.shown.height, whole.shown.fps) == (200, 130, 50)
    assert (preview.shown.width, preview.shown.height) == (100, 64)
    assert (preview.shown.frames, preview.shown.fps, preview.interpolate) == (5, 8, None)


def test_a_preview_is_drawn_by_the_same_seed() -> None:
    given, left_out = recipe_for({"seed": 7}), recipe_for()

    assert preview_of(given).seed == plan_of(given).seed == 7
    assert preview_of(left_out).seed == plan_of(left_out).seed == 42


def test_a_stage_that_knows_what_is_cheap_is_asked_for_it() -> None:
    preview = preview_of(recipe_for({"frames": 9}), registry=registry_of(Sketching(), Blend(), Raw()))

    assert (preview.drawn.frames, preview.drawn.width) == (3, 32)


def test_a_stage_that_answers_nonsense_is_named() -> None:
    class Confused(Squares):
        def previewed(self, options: SquaresOptions) -> int:
            return 3

    with pytest.raises(StageFailed, match="squares: previewed\\(\\) gave a int"):
        preview_of(Recipe(), registry=registry_of(Confused(), Blend(), Raw()))


def test_a_stage_that_cannot_draw_half_the_size_draws_the_whole_of_it() -> None:
    preview = preview_of(Recipe(), registry=registry_of(Gridded(), Blend(), Raw()), source=picture(320, 200))

    assert (preview.drawn.width, preview.drawn.height) == (320, 200)
    assert preview.interpolate is None


@pytest.mark.parametrize(("side", "half"), [(4000, 2000), (1082, 540), (1083, 540), (128, 64), (127, None), (16, None)])
def test_half_a_side_is_even_and_what_is_small_stays_as_it_is(side: int, half: int | None) -> None:
    whole = ClipSpec(side, 200, 1, Fraction(16))

    options = shrunk(Squares(), picture(), SquaresOptions(), whole)

    assert (options.width, options.height) == (half, half and 100)


def test_what_could_not_be_made_whole_is_not_previewed() -> None:
    """Else a person would wait for the preview, approve it, and only then hear of the mistake."""
    small = machine(ram=GIB)
    recipe = recipe_for({"width": 8192, "height": 8192}).model_copy(update={"preview": True})

    assert problems_of(recipe_for({"frames": 13}).model_copy(update={"preview": True})) == [
        "[generate] frames: 13 is unlucky"
    ]
    with pytest.raises(JobRejected, match="of memory"):
        plan_of(recipe, on=small)


def test_a_preview_says_what_the_whole_will_be() -> None:
    (note,) = preview_of(recipe_for({"frames": 9})).notes

    assert note == "a preview: approved, it becomes 32x24, 17 frames at 32 fps, 8 bit, about 0 s of work"


def test_running_out_of_memory_over_a_preview_says_nothing_of_the_whole() -> None:
    """The whole begins its ladder at the top: a preview that was pushed down it must not refuse it."""
    assert preview_of(Recipe(), shrinks=1).generate.rung == 1


@pytest.mark.parametrize(
    ("use", "source"), [("camera", picture(640, 480)), ("video", replace(footage(), width=640, height=480))]
)
def test_generators_that_know_nothing_of_previews_are_previewed_at_half_the_size(use: str, source: Source) -> None:
    registry = load_plugins(None)
    recipe = Recipe(generate=StageChoice(use=use, options={"frames": 4}), interpolate=InterpolateChoice(use="flow"))

    whole, preview = (
        make_plan(source, recipe.model_copy(update={"preview": early}), registry, machine(), seed=1)
        for early in (False, True)
    )

    assert (2 * preview.drawn.width, 2 * preview.drawn.height) == (whole.drawn.width, whole.drawn.height)
    assert (preview.shown.frames, whole.shown.frames) == (4, 7)


def test_a_stage_is_not_told_that_its_clip_is_a_preview() -> None:
    """So a receipt holds all it takes to draw the very preview again."""
    assert "preview" not in preview_of(Recipe()).generate.options.model_dump()
