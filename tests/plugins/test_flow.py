"""flow passes the contract, and keeps what it says about cuts, threads and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from framedaemon import CUT, ClipSpec, Filled, Frame, Gap, JobRejected, OutOfMemory, Placement
from framedaemon.testing.interpolator import HALF, InterpolatorContract, measure
from framedaemon.testing.patterns import difference, draw_pattern, gaps_between, moving_frames
from framedaemon_flow import Flow, FlowOptions, filling, interpolators

SPEC = ClipSpec(width=129, height=97, frames=5, fps=Fraction(16))
GOOD = FlowOptions()


class TestFlow(InterpolatorContract):
    @pytest.fixture
    def stage(self) -> Flow:
        return Flow()

    @pytest.fixture
    def options(self) -> FlowOptions:
        return GOOD


def fill(gaps: Sequence[Gap], threads: int = 1, options: FlowOptions = GOOD) -> list[Filled]:
    with Flow().load(Placement(threads=threads), options) as run:
        return list(run(iter(gaps)))


def drawn(answer: Filled) -> Frame:
    assert not isinstance(answer, type(CUT))
    return answer[0]


def texture(seed: int, height: int = 120, width: int = 160) -> Frame:
    rough = np.random.default_rng(seed).uniform(0, 255, (height // 8, width // 8, 3)).astype(np.float32)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def test_it_is_registered_for_auto() -> None:
    (stage,) = interpolators()

    assert (stage.name, stage.preference) == ("flow", 10)


@pytest.mark.parametrize("quality", ["good", "best"])
@pytest.mark.parametrize(
    ("width", "height"), [(16, 16), (17, 31), (16, 400), (63, 64), (65, 129), (200, 200), (201, 255), (402, 230)]
)
def test_any_size_is_filled_where_the_motion_is(width: int, height: int, quality: str) -> None:
    spec = replace(SPEC, width=width, height=height)
    gaps = gaps_between(moving_frames(spec), [HALF] * 4)
    true = draw_pattern(spec, 1.5)
    faded = cv2.addWeighted(gaps[1].x0, 0.5, gaps[1].x1, 0.5, 0)

    middle = drawn(fill(gaps, options=FlowOptions.model_validate({"quality": quality}))[1])

    assert middle.shape == spec.shape
    assert difference(middle, true) < difference(faded, true) * 0.7


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("size", [(129, 97), (321, 243)])
def test_any_number_of_threads_gives_the_same_frames(depth: int, size: tuple[int, int]) -> None:
    spec = ClipSpec(width=size[0], height=size[1], frames=5, fps=Fraction(16), depth=8 if depth == 8 else 16)
    gaps = gaps_between(moving_frames(spec), [(Fraction(1, 3), Fraction(2, 3))] * 4)

    runs = [fill(gaps, threads) for threads in (1, 2, 5)]

    one, *others = [[frame for answer in run if not isinstance(answer, type(CUT)) for frame in answer] for run in runs]
    assert len(one) == 8
    assert all(np.array_equal(a, b) for other in others for a, b in zip(one, other, strict=True))


def test_opencv_keeps_the_threads_that_it_had() -> None:
    before = cv2.getNumThreads()

    with Flow().load(Placement(threads=2), GOOD):
        within = cv2.getNumThreads()

    assert within == 1
    assert cv2.getNumThreads() == before


def test_a_scene_cut_is_answered_with_cut_and_its_neighbours_are_not() -> None:
    one, two = texture(1), texture(2)
    frames = [one, np.roll(one, 2, 1), two, np.roll(two, 2, 1)]

    answers = fill(gaps_between(frames, [HALF] * 3))

    assert [answer is CUT for answer in answers] == [False, True, False]


def test_a_change_of_light_is_no_cut() -> None:
    light = texture(3)
    frames = [(light * 0.8).astype(np.uint8), light]

    middle = drawn(fill(gaps_between(frames, [HALF]))[0])

    assert difference(middle, (light * 0.9).astype(np.uint8)) < 0.01


def test_a_moving_thing_stands_out_from_a_still_ground() -> None:
    """The ground stays where it is, the thing moves half its way: no ghost of it at either end."""
    ground, thing = texture(4, 240, 320) // 2, np.full((48, 48, 3), 230, np.uint8)
    frames = [ground.copy() for _ in range(3)]
    for index, frame in enumerate(frames):
        frame[96:144, 100 + 12 * index : 148 + 12 * index] = thing
    truth = ground.copy()
    truth[96:144, 106:154] = thing

    middle = drawn(fill(gaps_between(frames, [HALF] * 2))[0])

    assert difference(middle, truth) < difference(frames[0], frames[1]) / 3
    assert np.array_equal(middle[:60], ground[:60])


def test_a_path_bends_where_the_motion_speeds_up() -> None:
    """Positions 0, 4, 16, 36: halfway between the middle two a straight path gives 10, the true one 9."""
    spec = ClipSpec(width=256, height=220, frames=4, fps=Fraction(16))
    frames = [draw_pattern(spec, place / 3) for place in (0, 2, 8, 18)]

    bent = drawn(fill(gaps_between(frames, [HALF] * 3))[1])
    straight = drawn(fill([Gap(frames[1], frames[2], HALF)])[0])

    true = draw_pattern(spec, 4.5 / 3)
    assert difference(bent, true) < difference(straight, true) / 2


def test_a_frame_too_small_for_flow_is_refused_with_the_limit() -> None:
    spec = replace(SPEC, width=15)

    with pytest.raises(JobRejected, match="16 to 32766 pixels a side, and this clip has 15x97"):
        Flow().estimate(spec, spec, GOOD)


def test_the_estimate_counts_filled_frames_only() -> None:
    twice = replace(SPEC, frames=9, fps=Fraction(32))
    same = Flow().estimate(SPEC, SPEC, GOOD)

    doubled, four_times = (Flow().estimate(SPEC, replace(twice, frames=n), GOOD) for n in (9, 17))

    assert doubled.seconds > same.seconds
    assert four_times.seconds - doubled.seconds == pytest.approx(doubled.seconds - same.seconds)


def test_a_large_frame_takes_no_more_memory_than_estimated() -> None:
    """With as many threads as ever work at once."""
    spec = ClipSpec(width=832, height=1216, frames=5, fps=Fraction(16))

    cost = measure(Flow(), GOOD, Placement(threads=8), spec)

    assert cost.ram is not None
    assert cost.ram <= Flow().estimate(spec, spec, GOOD).ram


def test_no_memory_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(filling, "find_flow", fail)

    with pytest.raises(OutOfMemory):
        fill(gaps_between(moving_frames(SPEC), [HALF] * 4))
