"""The contract for interpolators: an honest one passes, and each way of breaking it is seen."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import Blend, BlendOptions, blend
from framedaemon import ClipSpec, Estimate, Fill, Filled, Frame, Gap, JobRejected, Placement
from framedaemon.testing.interpolator import HALF, InterpolatorContract, measure
from framedaemon.testing.patterns import gaps_between, moving_frames

SPEC = ClipSpec(width=65, height=49, frames=5, fps=Fraction(16))
OPTIONS = BlendOptions()

Change = Callable[[list[Filled]], Iterable[Filled]]


class TestAnHonestInterpolator(InterpolatorContract):
    @pytest.fixture
    def stage(self) -> Blend:
        return Blend()

    @pytest.fixture
    def options(self) -> BlendOptions:
        return OPTIONS


class Changed(Blend):
    """Blends, and then ``change`` does to all the answers what it does."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change

    @contextmanager
    def load(self, placement: Placement, options: BlendOptions) -> Iterator[Fill]:
        yield lambda gaps: (answer for answer in self.change([blend(gap) for gap in gaps]))


class Growing(Blend):
    """Says that a longer clip takes more memory."""

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: BlendOptions) -> Estimate:
        return Estimate(ram=takes.frames * takes.frame_bytes, seconds=float(takes.frames))


class Picky(Blend):
    """Works on 8 bits only, and says so."""

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: BlendOptions) -> Estimate:
        if takes.depth != 8:
            raise JobRejected("[interpolate] use: picky works on 8 bits")
        return super().estimate(takes, gives, options)


class TestAnInterpolatorThatRefusesADepth(InterpolatorContract):
    """Is held to the other one."""

    @pytest.fixture
    def stage(self) -> Picky:
        return Picky()

    @pytest.fixture
    def options(self) -> BlendOptions:
        return OPTIONS

    def test_nothing_heavy_is_imported_before_load(self) -> None:  # type: ignore[override]
        """Not here: this module cannot be imported in another process."""

    def test_it_takes_no_more_memory_than_it_said(self) -> None:  # type: ignore[override]
        """Not here, for the same reason."""


def check(test: Callable[..., None], stage: Blend, *more: Any) -> None:
    test(InterpolatorContract(), stage, OPTIONS, SPEC, *more)


def each(change: Callable[[Frame], Frame]) -> Change:
    """What is done to every frame."""
    return lambda answers: [[change(frame) for frame in _frames(answer)] for answer in answers]


def _frames(answer: Filled) -> list[Frame]:
    assert isinstance(answer, (list, tuple))
    return list(answer)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda answers: answers[:-1], id="forgets the last gap"),
        pytest.param(lambda answers: answers[::-1], id="answers out of order"),
        pytest.param(lambda answers: [_frames(answer)[:1] for answer in answers], id="gives one frame only"),
        pytest.param(lambda answers: [iter(_frames(answer)) for answer in answers], id="gives no list"),
        pytest.param(each(lambda frame: frame[:-1]), id="crops"),
        pytest.param(each(lambda frame: frame.astype(np.uint16)), id="changes the depth"),
    ],
)
def test_answers_of_another_kind_are_seen(change: Change) -> None:
    with pytest.raises(AssertionError):
        check(InterpolatorContract.test_every_gap_is_answered_in_order, Changed(change), Placement())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda answers: [_frames(answer)[::-1] for answer in answers], id="counts time backwards"),
        pytest.param(lambda answers: [[_frames(answer)[0]] * 3 for answer in answers], id="holds the first"),
        pytest.param(each(lambda frame: frame[..., ::-1]), id="swaps red and blue"),
    ],
)
def test_frames_of_another_time_are_seen(change: Change) -> None:
    with pytest.raises(AssertionError):
        check(
            InterpolatorContract.test_frames_lie_where_the_motion_is_at_their_time,
            Changed(change),
            Placement(),
        )


def test_chance_is_seen() -> None:
    chance = np.random.default_rng()
    noisy = Changed(each(lambda frame: frame ^ chance.integers(0, 2, frame.shape, np.uint8)))

    with pytest.raises(AssertionError):
        check(InterpolatorContract.test_the_same_gaps_give_the_same_frames, noisy, Placement())


def test_a_source_frame_given_back_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakes.blend", lambda gap, cut_above: [gap.x0])

    with pytest.raises(AssertionError):
        check(InterpolatorContract.test_source_frames_stay_as_they_are, Blend(), Placement())


def test_a_buffer_that_is_used_again_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = np.empty(SPEC.shape, np.uint8)

    def refill(gap: Gap, cut_above: float) -> Filled:
        np.copyto(buffer, _frames(blend(gap))[0])
        return [buffer]

    monkeypatch.setattr("fakes.blend", refill)

    with pytest.raises(AssertionError):
        check(InterpolatorContract.test_a_frame_stays_as_it_is_while_the_next_is_drawn, Blend(), Placement())


@pytest.mark.parametrize(
    "test", [InterpolatorContract.test_it_gives_back_what_it_took, InterpolatorContract.test_closing_it_early_cleans_up]
)
def test_a_thread_left_behind_is_seen(test: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    left: list[threading.Thread] = []

    def leave(gap: Gap, cut_above: float) -> Filled:
        left.append(threading.Thread(target=done.wait))
        left[-1].start()
        return blend(gap)

    monkeypatch.setattr("fakes.blend", leave)

    with pytest.raises(AssertionError):
        check(test, Blend(), Placement())

    done.set()
    assert [thread.join() for thread in left]


def test_an_error_kept_from_the_daemon_is_seen() -> None:
    class Deaf(Blend):
        @contextmanager
        def load(self, placement: Placement, options: BlendOptions) -> Iterator[Fill]:
            with super().load(placement, options) as fill:
                yield lambda gaps: fill(_silenced(gaps))

    with pytest.raises(pytest.fail.Exception):
        check(InterpolatorContract.test_an_error_in_the_source_comes_through, Deaf(), Placement())


def _silenced(gaps: Iterable[Gap]) -> Iterator[Gap]:
    try:
        yield from gaps
    except ZeroDivisionError:
        return


def test_memory_that_grows_with_the_clip_is_seen() -> None:
    with pytest.raises(AssertionError):
        check(
            InterpolatorContract.test_the_estimate_is_pure_and_does_not_grow_with_the_clip,
            Growing(),
        )


def test_what_a_stage_takes_is_measured() -> None:
    """A frame is drawn and held, so it shows; twice the size, about four times the bytes."""
    large = replace(SPEC, width=1024, height=1024)

    small_cost, large_cost = (measure(Blend(), OPTIONS, Placement(), spec) for spec in (SPEC, large))

    assert small_cost.heavy == ()
    assert small_cost.ram is not None
    assert large_cost.ram is not None
    assert large_cost.ram > small_cost.ram + large.frame_bytes // 2


def test_gaps_share_their_frames() -> None:
    frames = moving_frames(SPEC)

    gaps = gaps_between(frames, [HALF] * 4)

    assert all(one.x1 is two.x0 for one, two in pairwise(gaps))
    assert not any(frame.flags.writeable for frame in frames)


STINGY = """
from framedaemon import Estimate
from framedaemon.yours.interpolator import Yours


class Stingy(Yours):
    def estimate(self, takes, gives, options):
        return Estimate(ram=1_000_000, seconds=1)
"""


def test_an_estimate_that_is_too_low_for_a_picture_of_usual_size_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stingy.py").write_text(STINGY)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("stingy")
    contract = InterpolatorContract()
    stage = module.Stingy()

    with pytest.raises(AssertionError, match=r"it took \d+\.\d MiB and Estimate.ram said 1.0"):
        contract.test_it_takes_no_more_memory_than_it_said(stage, stage.options(), SPEC, Placement(), (961, 541))
