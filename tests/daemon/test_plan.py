from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fakes import (
    GIB,
    Blend,
    BlendOptions,
    Raw,
    Squares,
    SquaresOptions,
    footage,
    machine,
    offering,
    picture,
    plugin,
    registry_of,
)
from framedaemon.clip import ClipSpec
from framedaemon.disk import Need
from framedaemon.errors import JobRejected, OutOfMemory, StageFailed
from framedaemon.plan import MAX_FRAMES
from framedaemon.plugins import load_plugins
from framedaemon.recipe import Recipe
from framedaemon.sources import Source
from framedaemon.stages import Estimate, Placement
from planning import PaintOptions, plan_of, problems_of, recipe_for

# --- what comes out


def test_an_empty_recipe_makes_a_plan_of_three_steps() -> None:
    plan = plan_of()

    assert [step.task.name for step in plan.steps] == ["squares", "blend", "raw"]
    assert [step.task.kind for step in plan.steps] == ["generate", "interpolate", "encode"]
    assert (plan.drawn.frames, plan.drawn.fps) == (8, 16)
    assert (plan.shown.frames, plan.shown.fps) == (15, 32)
    assert (plan.video.frames, plan.video.fps, plan.video.width, plan.video.height) == (15, 32, 32, 24)


def test_the_recipes_options_reach_the_stages_and_the_timeline() -> None:
    recipe = recipe_for({"frames": 161, "step": 5}, {"cut_above": 9.0}, fps=Fraction(24000, 1001), loop=True)

    plan = plan_of(recipe)

    assert plan.generate.options.model_dump()["step"] == 5
    assert plan.interpolate is not None
    assert plan.interpolate.options.model_dump() == {"cut_above": 9.0}
    assert (plan.shown.fps, plan.timeline.loop) == (Fraction(24000, 1001), True)
    assert plan.shown.frames == plan.timeline.frames == 242


def test_the_seed_is_filled_in_where_the_recipe_gives_none() -> None:
    given, left_out = plan_of(recipe_for({"seed": 7})), plan_of()

    assert (given.seed, given.generate.options.model_dump()["seed"]) == (7, 7)
    assert (left_out.seed, left_out.generate.options.model_dump()["seed"]) == (42, 42)


def test_a_seed_of_zero_is_a_seed() -> None:
    assert plan_of(recipe_for({"seed": 0})).seed == 0


@pytest.mark.parametrize(
    "recipe",
    [
        recipe_for(use=("auto", "none", "auto")),
        recipe_for(factor=Fraction(1)),
        recipe_for(fps=Fraction(16)),
        recipe_for(fps=Fraction(8)),
        recipe_for(fps=Fraction(16), loop=True),
    ],
)
def test_where_only_source_frames_are_shown_no_interpolator_runs(recipe: Recipe) -> None:
    plan = plan_of(recipe)

    assert plan.interpolate is None
    assert [step.task.name for step in plan.steps] == ["squares", "raw"]


def test_what_a_network_is_loaded_from_stands_in_the_plan(tmp_path: Path) -> None:
    class LearnedOptions(BlendOptions):
        weights: str = "auto"

    class Learned(Blend):
        def chosen_weights(self, models: Path, options: LearnedOptions) -> tuple[str, ...]:
            return (f"blend-{models.name}-{options.weights}",)

    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "blend-two-auto.json").write_text('{"sha256": "ab12"}')
    on, registry = (
        replace(machine(), models=tmp_path / "two"),
        registry_of(Squares(), Learned(options=LearnedOptions), Raw()),
    )
    with pytest.raises(JobRejected, match=r"\[interpolate\] weights: blend-two-auto is not there"):
        plan_of(registry=registry, on=on)
    (tmp_path / "two" / "blend-two-auto.safetensors").touch()

    plan = plan_of(registry=registry, on=on)

    assert [step.weights for step in plan.steps] == [(), (("blend-two-auto", "ab12"),), ()]
    assert plan.summary().steps[1].weights == {"blend-two-auto": "ab12"}
    assert plan.summary().steps[1].options["weights"] == "blend-two-auto"


def test_slow_motion_lasts_longer_at_the_same_rate() -> None:
    """8 frames at 16 a second, and twice as many shown: played at a quarter, four times those between two."""
    plan = plan_of(recipe_for(speed=Fraction(1, 4)))

    assert (plan.shown.fps, plan.shown.frames) == (32, 7 * 8 + 1)
    assert plan.interpolate is not None


def test_without_interpolation_slow_motion_shows_each_frame_longer() -> None:
    plan = plan_of(recipe_for(use=("auto", "none", "auto"), speed=Fraction(1, 2)))

    assert (plan.shown.fps, plan.shown.frames, plan.interpolate) == (8, 8, None)


def test_where_the_speed_is_another_the_sound_is_left_out_and_it_is_said() -> None:
    registry = load_plugins(None)
    whole, slow = (
        plan_of(recipe_for(speed=speed), registry, source=footage()) for speed in (Fraction(1), Fraction(1, 2))
    )

    assert (whole.video.sound, slow.video.sound) == (True, False)
    assert "speed = 1/2: the sound is left out" in slow.notes


def test_where_repetitions_are_dropped_an_interpolator_runs_at_the_drawn_rate_too() -> None:
    assert plan_of(recipe_for(factor=Fraction(1), dedupe=True)).interpolate is not None


def test_a_rate_between_needs_the_interpolator_even_downwards() -> None:
    assert plan_of(recipe_for(fps=Fraction(12))).interpolate is not None


def test_what_is_needed_adds_up() -> None:
    plan = plan_of()

    frame = 32 * 24 * 3
    assert (plan.need.temporary, plan.need.video) == (1000, 15 * frame)
    assert plan.ram == (4 + 32 + 1) * frame
    assert plan.seconds == pytest.approx(max(8 / 100, 15 / 50, 15 / 200))


def test_all_frames_of_a_gap_stand_in_memory_together() -> None:
    """An interpolator answers a gap at once: in slow motion with hundreds of frames."""
    slow, slower = (plan_of(recipe_for(speed=speed)) for speed in (Fraction(1, 100), Fraction(1, 200)))

    assert slower.ram - slow.ram == 200 * (3 + 12) * 32 * 24


def test_a_video_of_parts_needs_room_for_them_beside_it() -> None:
    registry = load_plugins(None)
    registry.add("fakes", "tests", offering(Squares(), Blend()))
    stages = ("squares", "blend", "ffmpeg")

    long, short = (plan_of(recipe_for({"frames": count}, use=stages), registry) for count in (300, 150))

    assert (len(long.cuts), len(short.cuts)) == (4, 2)
    assert long.need == Need(1000, long.encode.estimate.disk, copies=2)
    assert short.need == Need(1000, short.encode.estimate.disk, copies=1)


def test_notes_come_from_the_source_the_choice_and_the_encoder() -> None:
    registry = registry_of(Squares(), Squares(name="paint", preference=5, options=PaintOptions), Blend(), Raw())

    film = plan_of(recipe_for({"brush": 1}), registry, source=footage())
    still = plan_of(source=picture(notes=("turned upright",)))

    assert film.notes == ("[generate] brush: not for squares, passed over", "sound is left out")
    assert still.notes == ("turned upright",)


def test_what_a_generator_remarks_is_noted() -> None:
    class Rounding(Squares):
        def remarks(self, takes: Source, options: SquaresOptions) -> tuple[str, ...]:
            return (f"{options.frames} frames, as asked",)

    plan = plan_of(recipe_for({"frames": 4}), registry_of(Rounding(), Blend(), Raw()))

    assert plan.notes == ("4 frames, as asked",)


# --- refusals


def test_what_a_stage_refuses_refuses_the_job() -> None:
    assert problems_of(recipe_for({"frames": 13})) == ["[generate] frames: 13 is unlucky"]
    assert problems_of(recipe_for(encode={"container": "mp4"})) == ["[encode] container: mp4 is not raw"]


class Speechless(Squares):
    """Forgets to return its promise."""

    def promise(self, takes: Source, options: Any) -> Any:
        return None


def test_a_stage_that_promises_nothing_is_named() -> None:
    with pytest.raises(StageFailed, match=r"squares: promise\(\) gave a NoneType, not a ClipSpec"):
        plan_of(registry=registry_of(Speechless(), Blend(), Raw()))


def test_a_slip_of_the_pen_in_the_number_of_frames_is_refused() -> None:
    (problem,) = problems_of(recipe_for({"frames": 500_001}, encode={"said_bytes": 1}))

    assert problem.startswith(f"1000001 frames at 32 fps are more than {MAX_FRAMES}")
    assert plan_of(recipe_for({"frames": 500_000}, encode={"said_bytes": 1})).shown.frames == 999_999


def test_a_rate_that_no_player_shows_is_refused() -> None:
    (problem,) = problems_of(recipe_for({"fps": 900}, factor=Fraction(2)))

    assert problem == "1800 fps are more than 1000: give a lower [interpolate] fps or factor"


def test_more_memory_than_the_machine_has_is_refused_before_anything_is_loaded() -> None:
    squares = Squares(ram=2 * GIB)
    registry = registry_of(squares, Blend(), Raw())

    with pytest.raises(JobRejected, match="this needs about 2 GiB of memory and the machine has 1 GiB free"):
        plan_of(registry=registry, on=machine(ram=GIB))

    assert squares.loaded == 0
    assert plan_of(registry=registry, on=machine(ram=3 * GIB)).ram > 2 * GIB


class Glacier(Blend):
    """An interpolator that nobody wants to wait for on a CPU; keeps what it was asked."""

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: Any) -> Estimate:
        self.asked = takes, gives
        return Estimate(seconds=9e4, accelerated=60.0, not_on_cpu="blend takes 25 hours on a CPU")


def test_a_stage_that_must_not_work_on_a_cpu_refuses_what_comes_to_that() -> None:
    registry = registry_of(Squares(), Glacier(), Raw())

    with pytest.raises(JobRejected, match="25 hours on a CPU"):
        plan_of(registry=registry)
    plan = plan_of(registry=registry, on=machine("cuda:0", vram=GIB))

    assert plan.interpolate is not None
    assert plan.interpolate.estimate.seconds == 60.0


def test_an_interpolator_is_asked_for_the_clip_as_it_is_played() -> None:
    """At half the speed three of four frames of the finished video lie between two others."""
    glacier = Glacier()

    plan_of(
        recipe_for(speed=Fraction(1, 2)),
        registry_of(Squares(), glacier, Raw()),
        on=machine("cuda:0", vram=GIB),
    )

    takes, gives = glacier.asked
    assert takes.fps / gives.fps == Fraction(1, 4)


# --- placements


def test_each_step_stands_on_the_first_rung() -> None:
    plan = plan_of()

    assert [step.rung for step in plan.steps] == [0, 0, 0]
    assert {step.placement.reason for step in plan.steps} == {"on the CPU"}


def test_the_rung_is_what_worked_before_and_one_more_for_each_time_memory_ran_out() -> None:
    key = plan_of().generate.task.fit_key("cpu")

    plan = plan_of(fits={key: 1, "cpu somebody 1x1x1": 9}, shrinks=1)

    assert [step.rung for step in plan.steps] == [2, 1, 1]
    assert plan.generate.placement.reason == "on the CPU, one thread, tiles of 256"


def test_what_fitted_on_another_machine_says_nothing_of_this_one() -> None:
    here, there = (replace(machine(), identity=memory) for memory in ("8 GiB of memory", "64 GiB of memory"))
    key = plan_of().generate.task.fit_key(there.known_as)

    rungs = [[step.rung for step in plan_of(on=on, fits={key: 1}).steps] for on in (here, there)]

    assert rungs == [[0, 0, 0], [1, 0, 0]]


def test_a_machine_is_known_by_what_it_has_and_not_by_what_is_free() -> None:
    idle, busy = (replace(machine("cuda:0", vram=vram), identity="H100, 80 GiB") for vram in (GIB, 70 * GIB))

    assert idle.known_as == busy.known_as == "cuda:0 [H100, 80 GiB]"


def test_below_the_last_rung_there_is_no_plan() -> None:
    with pytest.raises(OutOfMemory, match="no placement of squares is smaller"):
        plan_of(shrinks=3)


def test_what_fitted_earlier_jobs_costs_a_job_none_of_its_tries() -> None:
    """Else each job that ran out of memory once would bring all of its shape nearer to being refused."""
    key = plan_of().generate.task.fit_key("cpu")

    plan = plan_of(fits={key: 2}, shrinks=2)

    assert [step.rung for step in plan.steps] == [2, 2, 2]
    with pytest.raises(OutOfMemory):
        plan_of(fits={key: 2}, shrinks=3)


def test_every_stage_is_told_the_folder_of_weights_whatever_the_policy_answers() -> None:
    registry = registry_of()
    registry.add("mine", "tests", plugin(memory_policy=lambda: Placement(models=Path("/elsewhere"))))

    plan = plan_of(registry=registry, on=replace(machine(), models=Path("/home/ada/models")))

    assert {step.placement.models for step in plan.steps} == {Path("/home/ada/models")}


def test_the_folder_of_weights_stays_out_of_what_is_written_down() -> None:
    plan = plan_of(on=replace(machine(), models=Path("/home/ada/models")))

    assert "ada" not in plan.summary().model_dump_json()


def test_the_policy_is_asked_for_each_stage_with_what_it_will_do() -> None:
    asked: list[tuple[str, str, int, int, int]] = []

    def policy(stage: Any, estimate: Any, machine: Any, attempt: int) -> Placement:
        asked.append((stage.kind, stage.name, stage.frames, estimate.ram, attempt))
        return Placement(reason="mine")

    registry = registry_of()
    registry.add("mine", "tests", plugin(memory_policy=policy))

    plan = plan_of(registry=registry, shrinks=1)

    frame = 32 * 24 * 3
    assert asked == [
        ("generate", "squares", 8, 4 * frame, 1),
        ("interpolate", "blend", 8, 32 * frame, 1),
        ("encode", "raw", 15, frame, 1),
    ]
    assert {step.placement.reason for step in plan.steps} == {"mine"}
