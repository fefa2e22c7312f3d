"""What every interpolator must do, as tests to inherit.

Subclass `InterpolatorContract` in a test module and give it two fixtures: ``stage`` and ``options``. The frames are
made here: a smooth pattern of odd size that moves steadily, in 8 and in 16 bits. Give a fixture ``size`` of your own
where the stage works on other sizes only, ``placement`` where it needs a device, ``models`` where it has weights.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from framedaemon import (
    ClipSpec,
    Cut,
    Filled,
    Frame,
    Gap,
    Interpolator,
    InterpolatorOptions,
    JobRejected,
    Machine,
    Placement,
)
from framedaemon.testing.asking import check_answers
from framedaemon.testing.held import MOST_HELD, Alive, check_given_back, closable, held
from framedaemon.testing.measuring import Cost, check_light, check_memory, measure_stage
from framedaemon.testing.patterns import difference, draw_pattern, gaps_between, moving_frames, nearest_gap

HALF = (Fraction(1, 2),)


class InterpolatorContract:
    """Tests for an interpolator; a subclass's name starts with ``Test``."""

    @pytest.fixture
    def stage(self) -> Interpolator[Any]:
        """The interpolator. Picklable, and importable in another process."""
        raise NotImplementedError("a fixture `stage` that returns your interpolator")

    @pytest.fixture
    def options(self) -> InterpolatorOptions:
        """The stage's own options."""
        raise NotImplementedError("a fixture `options` that returns your stage's options")

    @pytest.fixture
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames that it is given."""
        return 129, 97

    @pytest.fixture
    def large(self) -> tuple[int, int]:
        """(width, height) of the frames that its memory is measured with: large enough for that to show."""
        return 961, 541

    @pytest.fixture(params=[8, 16], ids=["8 bit", "16 bit"])
    def takes(
        self,
        request: pytest.FixtureRequest,
        stage: Interpolator[Any],
        options: InterpolatorOptions,
        size: tuple[int, int],
    ) -> ClipSpec:
        """The source clip; skips a depth that the stage refuses."""
        spec = ClipSpec(width=size[0], height=size[1], frames=5, fps=Fraction(16), depth=request.param)
        try:
            stage.estimate(spec, _doubled(spec), options)
        except JobRejected as error:
            pytest.skip(f"it refuses {request.param} bits: {error}")
        return spec

    @pytest.fixture
    def models(self) -> Path:
        """The folder of its weights, for a stage that has some."""
        return Path("models")

    @pytest.fixture
    def placement(self, models: Path) -> Placement:
        """Where it works; two threads, so that those it starts are seen to end."""
        return Placement(threads=2, models=models)

    def test_it_says_what_it_is(self, stage: Interpolator[Any]) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", stage.name), "a recipe's `use` names it: lower case, one word"
        assert stage.summary
        assert "\n" not in stage.summary
        assert issubclass(stage.options, InterpolatorOptions)

    def test_it_is_ready_here(self, stage: Interpolator[Any], models: Path) -> None:
        assert stage.unready(Machine("cpu", vram=0, ram=8 << 30, cores=2, models=models)) is None

    def test_it_works_on_8_bits(
        self, stage: Interpolator[Any], options: InterpolatorOptions, size: tuple[int, int]
    ) -> None:
        spec = ClipSpec(width=size[0], height=size[1], frames=5, fps=Fraction(16))

        estimate = stage.estimate(spec, _doubled(spec), options)

        assert estimate.seconds > 0, "zero seconds: nothing can be planned with that"

    def test_the_estimate_is_pure_and_does_not_grow_with_the_clip(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec
    ) -> None:
        """Frames stream: only the seconds grow."""
        long = replace(takes, frames=1000 * takes.frames)

        first, second = (stage.estimate(takes, _doubled(takes), options) for _ in range(2))
        longer = stage.estimate(long, _doubled(long), options)

        assert first == second, "asked twice it says the same: what it says depends on its arguments alone"
        assert (longer.ram, longer.vram) == (first.ram, first.vram), "memory does not depend on `frames`: they stream"
        assert longer.seconds > first.seconds, "a longer clip takes more seconds"

    def test_every_option_is_answered_or_refused_at_its_limits(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec
    ) -> None:
        """Each option of its class at the ends of its range, and at what its type alone lets through."""
        check_answers(options, lambda asked: stage.estimate(takes, _doubled(takes), asked))

    @pytest.mark.parametrize("depth", [8, 16])
    @pytest.mark.parametrize("size", [(16, 16), (17, 4001), (8191, 8191)], ids=lambda size: "x".join(map(str, size)))
    def test_every_clip_is_estimated_or_refused(
        self, stage: Interpolator[Any], options: InterpolatorOptions, size: tuple[int, int], depth: Literal[8, 16]
    ) -> None:
        """Of one frame too: JobRejected says what cannot be filled, nothing else is raised."""
        for frames in (1, 1_000_000):
            spec = ClipSpec(*size, frames, Fraction(24000, 1001), depth)
            with suppress(JobRejected):
                stage.estimate(spec, replace(spec, fps=Fraction(60)), options)

    def test_it_takes_gaps_as_it_goes(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        """Of a long clip it holds a few frames at any time, and never waits for more than 16 gaps."""
        alive = Alive()
        frames = alive.watch(draw_pattern(takes, float(index)) for index in range(40))

        with stage.load(placement, options) as fill:
            answered = sum(1 for _ in fill(Gap(x0, x1, HALF) for x0, x1 in pairwise(frames)))

        assert answered == 39
        assert alive.most <= MOST_HELD, f"it held {alive.most} of 40 frames at once: memory must not grow with the clip"

    def test_every_gap_is_answered_in_order(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        """One answer a gap, one frame a time, in the shape and dtype of the gap; whatever times are asked."""
        asked = (HALF, tuple(Fraction(n, 4) for n in (1, 2, 3)), (Fraction(1, 3),), (Fraction(2, 5), Fraction(4, 5)))
        gaps = gaps_between(moving_frames(takes), asked)

        answers = _fill(stage, options, placement, gaps)

        counts = [_count(answer) for answer in answers]
        assert counts == [len(times) for times in asked], "a gap is answered with one frame for each of its times"
        drawn = [(index, frame) for index, answer in enumerate(answers) for frame in _frames(answer)]
        assert {frame.shape for _, frame in drawn} == {takes.shape}, "frames are as large as those of their gap"
        assert {frame.dtype for _, frame in drawn} == {takes.dtype}, "frames have the dtype of those of their gap"
        assert all(nearest_gap(frame, gaps) == index for index, frame in drawn), "gaps are answered in their order"

    def test_frames_lie_where_the_motion_is_at_their_time(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        times = (Fraction(1, 16), Fraction(1, 2), Fraction(15, 16))
        gaps = gaps_between(moving_frames(takes), [times] * (takes.frames - 1))
        gap = gaps[1]
        moved = difference(gap.x0, gap.x1)

        drawn = _frames(_fill(stage, options, placement, gaps)[1])

        assert len(drawn) == 3, "a gap is answered with one frame for each of its times"
        early, middle, late = drawn

        assert difference(early, gap.x0) < moved / 4, "at 1/16 a frame is close to x0"
        assert difference(late, gap.x1) < moved / 4, "at 15/16 a frame is close to x1"
        assert difference(middle, draw_pattern(takes, 1.5)) < moved / 4, "halfway the pattern has moved half the way"

    def test_the_same_gaps_give_the_same_frames(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        one, two = (_digest(stage, options, placement, takes) for _ in range(2))

        assert one == two, "the same gaps twice, and other frames: chance needs a seed of its own"

    def test_it_goes_on_in_the_middle_as_if_it_had_come_along(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        """Skipped where it does not say how far it ``looks_back``; behind so many gaps, all is as in a whole run."""
        looks_back = getattr(stage, "looks_back", None)
        if looks_back is None:
            pytest.skip("it does not say how far it looks back")
        gaps = gaps_between(moving_frames(replace(takes, frames=looks_back + 6)), [HALF] * (looks_back + 5))
        whole = [_frames(answer)[0] for answer in _fill(stage, options, placement, gaps)]

        later = [_frames(answer)[0] for answer in _fill(stage, options, placement, gaps[2:])]

        begin = 2 + looks_back
        assert all(map(np.array_equal, later[looks_back:], whole[begin:])), "an answer depends on gaps before those"

    def test_source_frames_stay_as_they_are(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        """They come read-only, and are shown as they are; nothing that is given back is one of them."""
        frames = moving_frames(takes)
        before = [frame.copy() for frame in frames]

        answers = _fill(stage, options, placement, gaps_between(frames, [HALF] * (takes.frames - 1)))

        assert all(np.array_equal(frame, copy) for frame, copy in zip(frames, before, strict=True))
        drawn = [frame for answer in answers for frame in _frames(answer)]
        assert not any(np.shares_memory(frame, source) for frame in drawn for source in frames)

    def test_a_frame_stays_as_it_is_while_the_next_is_drawn(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        gaps = gaps_between(moving_frames(takes), [HALF] * (takes.frames - 1))

        with stage.load(placement, options) as fill, closing(closable(fill(iter(gaps)))) as answers:
            first = _frames(next(answers))[0]
            before = first.copy()
            next(answers)

            assert np.array_equal(first, before), "a buffer that is used again would change a frame on its way"

    def test_gaps_that_are_no_neighbours_are_filled_too(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        """A held duplicate or a time with nothing to fill lies between them: they share no frame."""
        frames = moving_frames(takes)
        apart = [Gap(frames[0], frames[1], HALF), Gap(frames[3], frames[4], HALF)]
        moved = difference(frames[3], frames[4])

        answers = _fill(stage, options, placement, apart)

        assert [_count(answer) for answer in answers] == [1, 1], "one answer a gap, one frame a time"
        assert difference(_frames(answers[1])[0], draw_pattern(takes, 3.5)) < moved / 4

    def test_one_load_fills_several_streams(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        """A long still scene ends a stream and begins another; an empty one is no mistake."""
        gaps = gaps_between(moving_frames(takes), [HALF] * (takes.frames - 1))

        with stage.load(placement, options) as fill:
            counts = [len(list(fill(iter(some)))) for some in (gaps[:2], [], gaps[2:])]

        assert counts == [2, 0, 2], "each stream is answered by itself, as often as it has gaps"

    def test_it_gives_back_what_it_took(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        """Threads and open files are as before. The first run may leave what stays with the process for good."""
        _digest(stage, options, placement, takes)
        before = held()

        _digest(stage, options, placement, takes)

        check_given_back(before)

    def test_closing_it_early_cleans_up(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        _digest(stage, options, placement, takes)
        before = held()

        with stage.load(placement, options) as fill:
            answers = closable(fill(iter(gaps_between(moving_frames(takes), [HALF] * (takes.frames - 1)))))
            next(answers)
            answers.close()

        check_given_back(before)

    def test_an_error_in_the_source_comes_through(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        """The generator's own error decides what the daemon does next; an interpolator must not swallow it."""
        with pytest.raises(ZeroDivisionError), stage.load(placement, options) as fill:
            list(fill(_breaking(gaps_between(moving_frames(takes), [HALF] * (takes.frames - 1)))))

    def test_nothing_heavy_is_imported_before_load(
        self, stage: Interpolator[Any], options: InterpolatorOptions, takes: ClipSpec, placement: Placement
    ) -> None:
        check_light(measure(stage, options, placement, takes, fill=False))

    def test_it_takes_no_more_memory_than_it_said(
        self,
        stage: Interpolator[Any],
        options: InterpolatorOptions,
        takes: ClipSpec,
        placement: Placement,
        large: tuple[int, int],
    ) -> None:
        """Resident memory at its peak, in a process of its own; libraries that `load` imports count."""
        width, height = large
        check_memory(measure(stage, options, placement, replace(takes, width=width, height=height, frames=3)))


def measure(
    stage: Interpolator[Any], options: InterpolatorOptions, placement: Placement, takes: ClipSpec, *, fill: bool = True
) -> Cost:
    """What the stage costs in a fresh process; without ``fill`` it only estimates there."""
    gaps = gaps_between(moving_frames(takes), [HALF] * (takes.frames - 1)) if fill else []
    asked = {"takes": takes, "gives": _doubled(takes), "options": options}
    return measure_stage("interpolate", stage, placement, Path(), **asked, gaps=gaps, run=fill)


def _doubled(takes: ClipSpec) -> ClipSpec:
    return replace(takes, frames=2 * takes.frames - 1, fps=2 * takes.fps)


def _fill(
    stage: Interpolator[Any], options: InterpolatorOptions, placement: Placement, gaps: Sequence[Gap]
) -> list[Filled]:
    with stage.load(placement, options) as fill:
        return list(fill(iter(gaps)))


def _digest(stage: Interpolator[Any], options: InterpolatorOptions, placement: Placement, takes: ClipSpec) -> str:
    """One number for all frames that fill a clip."""
    digest = hashlib.sha256()
    for answer in _fill(stage, options, placement, gaps_between(moving_frames(takes), [HALF] * (takes.frames - 1))):
        for frame in _frames(answer):
            digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def _frames(answer: Filled) -> Sequence[Frame]:
    assert not isinstance(answer, Cut), "a steadily moving pattern has no cut"
    return answer


def _count(answer: Filled) -> int:
    assert isinstance(answer, (list, tuple)), "an answer is a list or tuple of frames, or CUT"
    return len(answer)


def _breaking(gaps: Iterable[Gap]) -> Iterator[Gap]:
    taken = iter(gaps)
    yield next(taken)
    yield next(taken)
    raise ZeroDivisionError("this source breaks after two gaps")
