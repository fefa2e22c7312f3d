"""What is drawn where memory is short: less, with leave, and what a plan says of phases."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import GIB, Blend, Raw, Squares, SquaresOptions, machine, registry_of
from framedaemon.clip import ClipSpec
from framedaemon.errors import OutOfMemory, StageFailed
from framedaemon.plan import Plan
from framedaemon.recipe import Recipe
from framedaemon.sources import Source
from framedaemon.stages import Estimate, Phase
from planning import plan_of, recipe_for


class PainterOptions(SquaresOptions):
    may_shrink: bool = False


class Painter(Squares):
    """Draws squares as if each frame took 1 GiB, after a network of 4 that takes 1."""

    def __init__(self) -> None:
        super().__init__(name="painter", options=PainterOptions)

    def estimate(self, takes: Source, gives: ClipSpec, options: Any) -> Estimate:
        network = Phase("network", weights=4 * GIB, streams=4 * GIB, layer=GIB // 4, work=GIB)
        draw = Phase("draw", work=gives.frames * GIB, spill=1000)
        return Estimate(ram=1000, disk=7, seconds=1, phases=(network, draw), not_on_cpu="a CPU takes weeks")

    def smaller(self, options: Any) -> PainterOptions | str:
        if not options.may_shrink:
            return "may_shrink = true lets painter draw fewer frames"
        if options.frames <= 2:
            return ""
        less: PainterOptions = options.model_copy(update={"frames": options.frames // 2})
        return less


def _plan(
    vram: int, frames: int = 16, may_shrink: bool = True, shrinks: int = 0, painter: Painter | None = None
) -> Plan:
    registry = registry_of(painter or Painter(), Blend(), Raw())
    recipe = recipe_for({"frames": frames, "may_shrink": may_shrink})
    return plan_of(recipe, registry, on=machine("cuda:0", vram=vram * GIB, ram=64 * GIB), shrinks=shrinks)


def test_what_has_room_is_drawn_as_asked_with_leave_or_without() -> None:
    assert [_plan(16, may_shrink=leave).drawn.frames for leave in (True, False)] == [16, 16]
    assert not any("smaller" in note for note in _plan(16).notes)


def test_with_leave_it_is_made_smaller_until_it_fits_and_the_plan_says_what_and_why() -> None:
    plan = _plan(4)

    assert (plan.drawn.frames, plan.generate.options.model_dump()["frames"]) == (4, 4)
    assert plan.shown.frames == 7
    assert plan.notes[-1] == (
        "made smaller, frames = 4: 32x24, 4 frames at 16 fps, 8 bit, since painter, 16 frames of 32x24, fits nowhere "
        "here: cuda:0 has 4 GiB free, main memory 64 GiB"
    )


def test_without_leave_the_refusal_says_what_would_give_it() -> None:
    with pytest.raises(OutOfMemory, match=r"nowhere here.*height\. may_shrink = true lets painter draw fewer frames$"):
        _plan(4, may_shrink=False)


def test_what_cannot_be_made_small_enough_is_refused_by_its_smallest_form() -> None:
    with pytest.raises(OutOfMemory, match=r"^painter, 2 frames of 32x24, fits nowhere here.*height$"):
        _plan(1)


def test_a_job_that_ran_out_of_memory_on_every_rung_goes_on_with_the_next_smaller_form() -> None:
    """With 16 GiB the network is resident, in float8, layer by layer, and that in float8; then 8 frames are tried."""
    rungs = [(plan.drawn.frames, plan.generate.placement.storage, plan.generate.placement.offload) for plan in (
        _plan(16, shrinks=shrinks) for shrinks in range(6)
    )]  # fmt: skip

    assert rungs == [
        (16, "same", "none"),
        (16, "float8", "none"),
        (16, "same", "group"),
        (16, "float8", "group"),
        (8, "same", "none"),
        (8, "float8", "none"),
    ]


def test_a_stage_whose_smaller_form_is_never_small_is_found_out() -> None:
    class Stubborn(Painter):
        def smaller(self, options: Any) -> PainterOptions | str:
            same: PainterOptions = options
            return same

    with pytest.raises(StageFailed, match="painter: smaller\\(\\) has no end"):
        _plan(4, painter=Stubborn())


def test_a_summary_says_what_each_phase_takes_where_it_is_placed() -> None:
    step = _plan(16, frames=3).summary().steps[0]

    assert [(phase.name, phase.working_bytes, phase.waiting_bytes) for phase in step.phases] == [
        ("network", 5 * GIB, 0),
        ("draw", 3 * GIB, 0),
    ]
    assert step.vram_bytes == 5 * GIB


def test_stages_of_one_piece_have_no_phases() -> None:
    assert [step.phases for step in plan_of(Recipe()).summary().steps] == [(), (), ()]


class Greedy(Blend):
    """Fills gaps with 2 GiB of tensors, half of which smaller tiles would save."""

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: Any) -> Estimate:
        return Estimate(vram=2 * GIB, weights=GIB)


@pytest.mark.parametrize(("frames", "batch"), [(3, 1), (2, 2), (8, 3)])
def test_an_interpolator_gets_what_the_phase_leaves_whose_frames_it_fills_between(frames: int, batch: int) -> None:
    """Of 8 GiB the last phase takes one for each frame; what came before it has given its own back.

    Gaps go through together as half of the rest holds; 8 frames leave nothing, and the ladder has to find a way.
    """
    plan = plan_of(
        recipe_for({"frames": frames}), registry_of(Painter(), Greedy(), Raw()), on=machine("cuda:0", vram=8 * GIB)
    )

    assert plan.interpolate is not None
    assert (plan.interpolate.placement.device, plan.interpolate.placement.batch) == ("cuda:0", batch)
