from __future__ import annotations

from fractions import Fraction

import pytest

from fakes import machine, picture, registry_of
from framedaemon.plan import make_plan
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.summary import PlanSummary


def _summary(recipe: Recipe | None = None) -> PlanSummary:
    return make_plan(picture(), recipe or Recipe(), registry_of(), machine(), seed=2**63 - 1).summary()


def test_a_summary_says_what_is_made_of_what() -> None:
    summary = _summary()

    assert summary.source == "picture 32x24"
    assert summary.drawn == "32x24, 8 frames at 16 fps, 8 bit"
    assert summary.shown == "32x24, 15 frames at 32 fps, 8 bit"
    assert (summary.frames, summary.fps, summary.width, summary.height) == (15, "32", 32, 24)
    assert summary.pixel_format == make_plan(picture(), Recipe(), registry_of(), machine(), seed=1).video.pixel_format
    assert [step.stage for step in summary.steps] == ["squares", "blend", "raw"]


def test_a_summary_survives_the_ledger_and_the_socket() -> None:
    recipe = Recipe(
        generate=StageChoice(options={"prompt": "ein Garten – 庭"}), interpolate=InterpolateChoice(fps=Fraction(24))
    )
    summary = _summary(recipe)

    assert PlanSummary.model_validate_json(summary.model_dump_json()) == summary
    assert PlanSummary.model_validate(summary.model_dump(mode="json")) == summary


def test_rates_are_kept_exactly() -> None:
    assert _summary(Recipe(interpolate=InterpolateChoice(fps=Fraction(24000, 1001)))).fps == "24000/1001"


def test_work_is_measured_in_megapixels_of_the_finished_video() -> None:
    assert _summary().megapixels == pytest.approx(15 * 32 * 24 / 1e6)


def test_kinds_of_video_differ_by_codec_encoder_and_generator() -> None:
    assert _summary().video_kind == "rawvideo by raw of squares"


def test_a_step_says_under_which_key_its_placement_is_remembered() -> None:
    step = _summary().steps[0]

    assert (step.fit_key, step.rung) == ("cpu squares 32x24x8", 0)
    assert step.placement["reason"] == "on the CPU"
    assert step.options["seed"] == 2**63 - 1


def test_a_plan_works_where_its_stages_do() -> None:
    assert _summary().place == "squares, blend, raw"
