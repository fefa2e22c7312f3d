from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import blend, draw_squares
from framedaemon.clip import Clip, ClipSpec, Frame
from framedaemon.errors import StageFailed
from framedaemon.stages import CUT, Fill, Filled, Gap
from framedaemon.timeline import Timeline
from framedaemon.weave import Tally, frames_in_gap, is_duplicate, looked_back, no_fill, sources_from, weave, woven_spec

HALF = Fraction(1, 2)


def _spec(frames: int, depth: Any = 8) -> ClipSpec:
    return ClipSpec(16, 12, frames, Fraction(16), depth)


def _weave(
    frames: list[Frame],
    fill: Fill,
    target: int | Fraction = 32,
    loop: bool = False,
    tally: Tally | None = None,
    dedupe: bool = False,
) -> Clip:
    spec = _spec(len(frames), 8 if frames[0].dtype == np.uint8 else 16)
    timeline = Timeline(spec.frames, spec.fps, Fraction(target), loop, dedupe)
    return weave(Clip(spec, iter(frames)), timeline, fill, "filler", tally or Tally())


def _blend(gaps: Iterable[Gap]) -> Iterator[Filled]:
    return (blend(gap) for gap in gaps)


def _cut(gaps: Iterable[Gap]) -> Iterator[Filled]:
    return (CUT for _ in gaps)


def _level(frames: Iterable[Frame]) -> list[int]:
    """Each frame's first sample."""
    return [int(frame[0, 0, 0]) for frame in frames]


def _plain(*levels: int, dtype: type = np.uint8) -> list[Frame]:
    """A frame of one level for each of ``levels``."""
    return [np.full((12, 16, 3), level, dtype) for level in levels]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("target", "loop"), [(32, False), (24, False), (60, False), (32, True), (10, False)])
def test_source_frames_go_through_at_their_times_without_a_copy(depth: int, target: int, loop: bool) -> None:
    frames = list(draw_squares(_spec(9, depth)))
    timeline = Timeline(9, Fraction(16), Fraction(target), loop)

    woven = list(_weave(frames, _blend, target, loop))

    assert len(woven) == timeline.frames
    assert all(np.shares_memory(woven[j], frames[i]) for j, i in timeline.shown_sources())
    assert all(woven[j].tobytes() == frames[i].tobytes() for j, i in timeline.shown_sources())


def test_frames_between_are_what_the_interpolator_drew() -> None:
    woven = _weave(_plain(0, 60, 30), _blend, 64)

    assert _level(woven) == [0, 15, 30, 45, 60, 52, 45, 38, 30]


def test_the_interpolator_hears_of_gaps_with_their_times_and_shares_frames_between_neighbours() -> None:
    heard: list[Gap] = []

    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        for gap in gaps:
            heard.append(gap)
            yield blend(gap)

    list(_weave(_plain(0, 60, 30), fill, 24))

    assert [gap.times for gap in heard] == [(Fraction(2, 3),), (Fraction(1, 3),)]
    assert heard[0].x1 is heard[1].x0


def test_a_gap_across_a_cut_is_held_by_the_nearer_source() -> None:
    tally = Tally()

    woven = list(_weave(_plain(0, 200), _cut, 64, tally=tally))

    assert _level(woven) == [0, 0, 0, 200, 200]
    assert (tally.cuts, tally.filled) == (1, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_duplicates_are_held_without_asking(dtype: type) -> None:
    tally = Tally()

    woven = list(_weave(_plain(9, 9, 9, dtype=dtype), no_fill, 64, tally=tally))

    assert _level(woven) == [9] * 9
    assert (tally.duplicates, tally.filled) == (2, 0)


def test_gaps_beside_duplicates_are_still_filled() -> None:
    tally = Tally()

    woven = list(_weave(_plain(0, 0, 60, 60), _blend, tally=tally))

    assert _level(woven) == [0, 0, 0, 30, 60, 60, 60]
    assert (tally.filled, tally.cuts, tally.duplicates) == (1, 0, 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_codecs_noise_makes_no_motion(dtype: type) -> None:
    levels = np.iinfo(dtype).max // 255
    still = np.full((96, 128, 3), 100 * levels, dtype)
    noisy = still.copy()
    noisy[5::16, 5::16] += 3 * levels

    assert is_duplicate(still, noisy)
    assert is_duplicate(noisy, still)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_small_ball_in_a_still_scene_is_motion(dtype: type) -> None:
    """On average over the picture it changes next to nothing."""
    levels = np.iinfo(dtype).max // 255
    before, after = np.full((2, 1080, 1920, 3), 40 * levels, dtype)
    before[101:121, 101:121] = 240 * levels
    after[101:121, 109:129] = 240 * levels

    assert not is_duplicate(before, after)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("before", "after"), [(0, 255), (255, 0), (100, 101)])
def test_a_change_of_the_whole_picture_is_motion(dtype: type, before: int, after: int) -> None:
    levels = np.iinfo(dtype).max // 255

    assert not is_duplicate(*_plain(before * levels, after * levels, dtype=dtype))


def _one_too_few(gaps: Iterable[Gap]) -> Iterator[Filled]:
    return (list(blend(gap))[:-1] for gap in gaps)  # type: ignore[arg-type]


def _one_too_many(gaps: Iterable[Gap]) -> Iterator[Filled]:
    return ([gap.x0, gap.x0, gap.x0] for gap in gaps)


def _no_answer(gaps: Iterable[Gap]) -> Iterator[Filled]:
    yield from ([gap.x0, gap.x0] for gap in list(gaps)[:-1])


def _answers_twice(gaps: Iterable[Gap]) -> Iterator[Filled]:
    for gap in gaps:
        yield [gap.x0, gap.x0]
        yield [gap.x0, gap.x0]


def _answers_first(gaps: Iterable[Gap]) -> Iterator[Filled]:
    yield CUT


def _looks_at_nothing(gaps: Iterable[Gap]) -> Iterator[Filled]:
    return iter(())


def _none(gaps: Iterable[Gap]) -> Iterator[Any]:
    return (None for _ in gaps)


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (_one_too_few, "filler: gave 1 frames for a gap that wants 2"),
        (_one_too_many, "filler: gave 3 frames for a gap that wants 2"),
        (_no_answer, "filler: left 1 gaps unanswered"),
        (_answers_twice, "filler: answered more gaps than it was given"),
        (_answers_first, "filler: answered more gaps than it was given"),
        (_looks_at_nothing, "filler: ended without a look at its gaps"),
        (_none, "filler: gave a NoneType for a gap"),
    ],
)
def test_an_interpolator_that_miscounts_is_named(fill: Fill, said: str) -> None:
    with pytest.raises(StageFailed, match=said):
        list(_weave(_plain(0, 60, 30), fill, 48))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda frame: frame[:, ::2], r"filler: frame 1 is \(12, 8, 3\) uint8, promised was \(12, 16, 3\) uint8"),
        (lambda frame: frame.astype(np.float32), "filler: frame 1 is .* float32"),
        (lambda frame: frame.astype(np.uint16), "filler: frame 1 is .* uint16"),
    ],
)
def test_an_interpolator_that_draws_the_wrong_kind_of_frame_is_named(
    wrong: Callable[[Frame], Frame], said: str
) -> None:
    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        return ([wrong(gap.x0)] for gap in gaps)

    with pytest.raises(StageFailed, match=said):
        list(_weave(_plain(0, 60, 30), fill))


def test_an_interpolator_cannot_write_into_source_frames() -> None:
    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        for gap in gaps:
            gap.x0[0] = 0
            yield [gap.x0]

    with pytest.raises(ValueError, match="read-only"):
        list(_weave(_plain(0, 60), fill))


@pytest.mark.parametrize("ahead", [2, 5, 40])
def test_an_interpolator_may_look_several_gaps_ahead(ahead: int) -> None:
    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        gaps = iter(gaps)
        while batch := list(islice(gaps, ahead)):
            yield from [blend(gap) for gap in batch]

    frames = list(draw_squares(_spec(50)))

    woven = list(_weave(frames, fill, 48))

    assert [frame.tobytes() for frame in woven] == [frame.tobytes() for frame in _weave(frames, _blend, 48)]


def test_an_interpolator_may_end_after_every_gap_and_be_begun_anew() -> None:
    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        return (blend(gap) for gap in islice(gaps, 1))

    assert _level(_weave(_plain(0, 60, 30), fill)) == [0, 30, 60, 45, 30]


def test_the_seam_of_a_loop_is_filled_from_the_last_frame_to_the_first() -> None:
    heard: list[Gap] = []

    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        for gap in gaps:
            heard.append(gap)
            yield blend(gap)

    woven = list(_weave(_plain(0, 60, 30), fill, loop=True))

    assert _level(woven) == [0, 30, 60, 45, 30, 15]
    assert heard[2].x1 is heard[0].x0


@pytest.mark.parametrize(
    ("levels", "target", "loop", "expected"),
    [
        ((0, 0, 40, 40, 80), 16, False, [0, 20, 40, 60, 80]),
        ((0, 0, 0, 60, 90), 16, False, [0, 20, 40, 60, 90]),
        ((0, 0, 40, 80), 32, False, [0, 10, 20, 30, 40, 60, 80]),
        ((0, 0, 40, 80), 8, False, [0, 40]),
        ((0, 40, 40, 40), 16, False, [0, 40, 40, 40]),
        ((0, 40, 40), 16, True, [0, 40, 20]),
        ((0, 40, 0, 0), 16, True, [0, 40, 0, 0]),
        ((0, 80, 160), 16, False, [0, 80, 160]),
        ((5, *[0] * 9, 70), 16, False, [5, *[0] * 9, 70]),
        ((*[0] * 8, 80), 16, False, [0, 10, 20, 30, 40, 50, 60, 70, 80]),
    ],
    ids=["twos", "threes", "doubled", "halved", "end", "loop", "seam", "none", "still", "longest"],
)
def test_where_frames_only_repeat_the_motion_is_filled_in_across_them(
    levels: tuple[int, ...], target: int, loop: bool, expected: list[int]
) -> None:
    assert _level(_weave(_plain(*levels), _blend, target, loop, dedupe=True)) == expected


@pytest.mark.parametrize(
    ("target", "dedupe", "frames"), [(16, False, 1), (24, False, 2), (64, False, 4), (8, False, 1), (32, True, 16)]
)
def test_what_a_gap_wants_at_most_is_known_beforehand(target: int, dedupe: bool, frames: int) -> None:
    assert frames_in_gap(Timeline(9, Fraction(16), Fraction(target), dedupe=dedupe)) == frames


def test_frames_that_are_filled_in_across_repetitions_are_counted_as_such() -> None:
    tally = Tally()

    list(_weave(_plain(0, 0, 40, 40, 80), _blend, 16, tally=tally, dedupe=True))

    assert (tally.filled, tally.duplicates) == (2, 0)


def test_a_loop_of_one_frame_holds_it() -> None:
    assert _level(_weave(_plain(7), no_fill, loop=True)) == [7, 7]


def test_a_timeline_of_source_frames_only_needs_no_interpolator() -> None:
    assert _level(_weave(_plain(0, 60, 30, 90, 10), no_fill, 8)) == [0, 30, 10]


def test_without_an_interpolator_a_gap_is_an_error() -> None:
    with pytest.raises(StageFailed, match="no interpolator, and 1 frames to fill in"):
        list(_weave(_plain(0, 60), no_fill))


@pytest.mark.parametrize(("made", "said"), [(3, "made 3 frames, promised were 5"), (6, "made more than its 5")])
def test_a_generator_that_miscounts_is_named_and_not_the_interpolator(made: int, said: str) -> None:
    clip = Clip(_spec(5), draw_squares(_spec(made)), "painter")

    with pytest.raises(StageFailed, match=f"painter: {said}"):
        list(weave(clip, Timeline(5, Fraction(16), Fraction(32)), _blend, "filler", Tally()))


class Census:
    """Draws frames one by one and counts those that somebody still holds."""

    def __init__(self, levels: Iterable[int]) -> None:
        self._levels = levels
        self.alive = 0
        self.most = 0
        self.closed = False

    def frames(self) -> Iterator[Frame]:
        try:
            for level in self._levels:
                frame = np.full((12, 16, 3), level, np.uint8)
                weakref.finalize(frame, self._gone)
                self.alive += 1
                self.most = max(self.most, self.alive)
                yield frame
                del frame
        finally:
            self.closed = True

    def _gone(self) -> None:
        self.alive -= 1


@pytest.mark.parametrize(
    ("levels", "fill"),
    [
        pytest.param([9] * 2000, no_fill, id="still from beginning to end"),
        pytest.param([0, *[60] * 2000, 0], _blend, id="a long still scene between two motions"),
        pytest.param([level % 2 * 60 for level in range(2000)], _blend, id="motion all the time"),
        pytest.param([0, 255] * 1000, _cut, id="nothing but cuts"),
    ],
)
def test_a_clip_of_any_length_is_woven_with_a_few_frames_in_memory(levels: list[int], fill: Fill) -> None:
    census = Census(levels)
    spec = _spec(len(levels))
    timeline = Timeline(spec.frames, spec.fps, Fraction(32))

    shown = sum(1 for _ in weave(Clip(spec, census.frames()), timeline, fill, "filler", Tally()))

    assert shown == 2 * spec.frames - 1
    assert census.most <= 22
    assert census.alive == 0


def test_an_interpolator_that_hoards_gaps_is_stopped_before_memory_fills() -> None:
    census = Census([level % 2 * 60 for level in range(500)])
    spec = _spec(500)

    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        yield from [blend(gap) for gap in list(gaps)]

    shown = sum(
        1 for _ in weave(Clip(spec, census.frames()), Timeline(500, spec.fps, Fraction(32)), fill, "filler", Tally())
    )

    assert shown == 999
    assert census.most <= 22


def test_closing_the_clip_early_closes_interpolator_and_source() -> None:
    census = Census(range(100))
    ended: list[str] = []

    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        try:
            yield from (blend(gap) for gap in gaps)
        finally:
            ended.append("interpolator")

    spec = _spec(100)
    woven = weave(Clip(spec, census.frames()), Timeline(100, spec.fps, Fraction(32)), fill, "filler", Tally())
    next(islice(iter(woven), 5, None))

    woven.close()

    assert census.closed
    assert ended == ["interpolator"]


def test_an_interpolator_that_answers_wrongly_is_closed_at_once() -> None:
    """Its clean-up must not wait until the error's traceback is let go."""
    ended: list[str] = []

    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        try:
            for _ in gaps:
                yield []
        finally:
            ended.append("interpolator")

    with pytest.raises(StageFailed) as held:
        list(_weave(_plain(0, 60), fill))

    assert ended == ["interpolator"]
    assert held.value is not None


def test_the_woven_clip_is_as_the_timeline_says() -> None:
    spec = woven_spec(_spec(161, 16), Timeline(161, Fraction(16), Fraction(24000, 1001)))

    assert (spec.frames, spec.fps, spec.depth) == (240, Fraction(24000, 1001), 16)


@given(
    st.lists(st.sampled_from([0, 0, 60, 255]), min_size=1, max_size=60),
    st.fractions(Fraction(1, 4), 6, max_denominator=7),
    st.booleans(),
    st.integers(1, 30),
)
def test_whatever_is_woven_keeps_its_promise(levels: list[int], factor: Fraction, loop: bool, ahead: int) -> None:
    """Still runs, motion and cuts in any order, any rates, any look-ahead."""

    def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
        gaps = iter(gaps)
        while batch := list(islice(gaps, ahead)):
            yield from [blend(gap) for gap in batch]

    frames, timeline = _plain(*levels), Timeline(len(levels), Fraction(16), 16 * factor, loop)
    tally = Tally()

    woven = list(_weave(frames, fill, 16 * factor, loop, tally))

    shown = dict(timeline.shown_sources())
    assert len(woven) == timeline.frames
    assert all(np.shares_memory(woven[j], frames[i]) for j, i in shown.items())
    assert tally.filled <= timeline.frames - len(shown)


def _leaning(gaps: Iterable[Gap], ahead: int) -> Iterator[Filled]:
    """Brighter the more the gap before differed, where that is a neighbour; looks at so many gaps before it answers."""
    gaps, last, seen = iter(gaps), None, list[Gap]()
    while seen := [*seen, *islice(gaps, ahead - len(seen))]:
        gap = seen.pop(0)
        motion = int(last.x1.mean() - last.x0.mean()) if last is not None and last.x1 is gap.x0 else 0
        last = gap
        yield [np.full_like(gap.x0, (int(gap.x0.mean()) + motion + round(8 * t)) % 256) for t in gap.times]


@given(
    st.lists(st.sampled_from([0, 0, 60, 61, 200]), min_size=2, max_size=60),
    st.fractions(Fraction(1, 4), 20, max_denominator=7),
    st.booleans(),
    st.booleans(),
    st.integers(1, 16),
    st.data(),
)
def test_beginning_in_the_middle_gives_what_a_whole_run_gives_from_there(
    levels: list[int], factor: Fraction, loop: bool, dedupe: bool, ahead: int, data: st.DataObject
) -> None:
    """To the frame and to the tally: still runs and motion in any order, any rates, any look-ahead."""
    frames, timeline = _plain(*levels), Timeline(len(levels), Fraction(16), 16 * factor, loop, dedupe)
    whole, parts = Tally(), Tally()
    shown = _level(list(_weave(frames, lambda gaps: _leaning(gaps, ahead), 16 * factor, loop, whole, dedupe)))
    start = data.draw(st.integers(0, timeline.frames - 1))
    begin = timeline.beginning(start, looked_back(timeline, 1))
    parts.marks += whole.marks[:start]

    later = [*frames[begin.source :], *(frames[:1] if loop and begin.source else ())]
    clip = Clip(_spec(sources_from(begin, timeline)), iter(later))
    rest = list(weave(clip, timeline, lambda gaps: _leaning(gaps, ahead), "filler", parts, begin))

    assert _level(rest) == shown[start:]
    assert parts == whole


def test_a_still_scene_before_it_makes_no_difference_to_what_is_given_for_a_gap() -> None:
    """Long runs of held frames end the interpolator's stream: never between two gaps that are neighbours."""
    frames, timeline = _plain(0, 10, 10, 20, 30, 40, 50, 60), Timeline(8, Fraction(16), Fraction(240))
    whole = _level(list(_weave(frames, lambda gaps: _leaning(gaps, 3), 240)))
    begin = timeline.beginning(46, looks_back=1)
    clip = Clip(_spec(6), iter(frames[2:]))

    rest = list(weave(clip, timeline, lambda gaps: _leaning(gaps, 3), "filler", Tally(), begin))

    assert begin.source == 2
    assert _level(rest) == whole[46:]
