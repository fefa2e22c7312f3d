from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framedaemon.timeline import START, Beginning, Instant, Timeline

NTSC = Fraction(30000, 1001)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """Any timeline: up and down, round and odd rates, open and looped; some hundred output frames at most."""
    frames = draw(st.integers(1, 40))
    source = draw(st.sampled_from([Fraction(16), Fraction(24), Fraction(25), NTSC, Fraction(7, 3), Fraction(1000)]))
    factor = draw(st.fractions(Fraction(1, 8), 8, max_denominator=1001))
    return Timeline(frames, source, source * factor, draw(st.booleans()))


def _instants(timeline: Timeline) -> list[tuple[int, Fraction]]:
    return [(index, t) for index, times in timeline.times() for t in times]


@pytest.mark.parametrize(
    ("frames", "source", "target", "loop", "expected"),
    [
        (161, 16, 32, False, 321),
        (161, 16, 24, False, 241),
        (161, 16, 30, False, 301),
        (161, 16, 60, False, 601),
        (161, 16, Fraction(24000, 1001), False, 240),
        (81, 16, 32, True, 162),
        (300, NTSC, 60, False, 599),
        (31, 30, 24, False, 25),
        (30, 30, 24, True, 24),
        (2, 16, 16, False, 2),
        (1, 16, 60, False, 1),
        (1, 16, 32, True, 2),
        (5, 16, 1, False, 1),
    ],
)
def test_the_frames_of_a_timeline_are_counted_exactly(
    frames: int, source: int, target: int, loop: bool, expected: int
) -> None:
    assert Timeline(frames, Fraction(source), Fraction(target), loop).frames == expected


def test_doubling_shows_every_source_frame_and_one_between_two() -> None:
    timeline = Timeline(161, Fraction(16), Fraction(32))

    times = list(timeline.times())

    assert times[:160] == [(i, (Fraction(0), Fraction(1, 2))) for i in range(160)]
    assert times[160] == (160, (Fraction(0),))
    assert list(timeline.shown_sources()) == [(2 * i, i) for i in range(161)]


def test_film_of_sixteen_at_twenty_four_shows_every_second_source_frame() -> None:
    timeline = Timeline(161, Fraction(16), Fraction(24))

    first = [timeline.instant(j) for j in range(4)]

    assert first == [
        Instant(0, Fraction(0)),
        Instant(0, Fraction(2, 3)),
        Instant(1, Fraction(1, 3)),
        Instant(2, Fraction(0)),
    ]
    assert list(timeline.shown_sources())[-1] == (240, 160)


def test_ntsc_rates_do_not_drift() -> None:
    """29.97 doubled is 59.94 to the last frame; a float step would lose the source frames after a while."""
    timeline = Timeline(100_000, NTSC, Fraction(60000, 1001))

    assert timeline.instant(199_998) == Instant(99_999, Fraction(0))


def test_a_rate_of_ntsc_shown_at_sixty_meets_the_source_every_1001_frames() -> None:
    timeline = Timeline(2000, NTSC, Fraction(60))

    assert list(timeline.shown_sources()) == [(0, 0), (1001, 500), (2002, 1000), (3003, 1500)]


def test_a_source_frame_that_is_passed_over_has_no_times() -> None:
    timeline = Timeline(5, Fraction(32), Fraction(16))

    assert [len(times) for _, times in timeline.times()] == [1, 0, 1, 0, 1]


def test_a_loop_also_fills_the_seam_and_an_open_end_does_not() -> None:
    looped = list(Timeline(3, Fraction(16), Fraction(48), loop=True).times())
    open_ended = list(Timeline(3, Fraction(16), Fraction(48)).times())

    assert looped[2] == (2, (Fraction(0), Fraction(1, 3), Fraction(2, 3)))
    assert open_ended[2] == (2, (Fraction(0),))


@pytest.mark.parametrize(("frames", "source", "target"), [(0, 16, 32), (5, 0, 32), (5, 16, 0), (5, -16, 32)])
def test_a_timeline_of_nothing_is_refused(frames: int, source: int, target: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Timeline(frames, Fraction(source), Fraction(target))


@given(timelines())
def test_every_source_frame_has_its_turn_once_and_in_order(timeline: Timeline) -> None:
    assert [index for index, _ in timeline.times()] == list(range(timeline.source_frames))


@given(timelines())
def test_as_many_times_are_given_as_there_are_output_frames(timeline: Timeline) -> None:
    assert len(_instants(timeline)) == timeline.frames


@given(timelines())
def test_every_output_frame_stands_exactly_at_its_time(timeline: Timeline) -> None:
    shown_at = [(index + t) / timeline.source_fps for index, t in _instants(timeline)]

    assert shown_at == [j / timeline.target_fps for j in range(timeline.frames)]


@given(timelines())
def test_times_between_lie_strictly_inside_their_gap(timeline: Timeline) -> None:
    assert all(0 <= t < 1 for _, t in _instants(timeline))
    assert all(0 < t < 1 for _, times in timeline.times() for t in times[1:])


@given(timelines())
def test_source_frames_are_shown_exactly_where_the_times_coincide(timeline: Timeline) -> None:
    coinciding = [(j, index) for j, (index, t) in enumerate(_instants(timeline)) if t == 0]

    assert list(timeline.shown_sources()) == coinciding


@given(timelines())
def test_instant_and_times_agree(timeline: Timeline) -> None:
    each = [timeline.instant(j) for j in range(timeline.frames)]

    assert [(instant.index, instant.t) for instant in each] == _instants(timeline)


@given(timelines())
def test_the_video_ends_at_its_last_source_frame_or_less_than_a_step_before(timeline: Timeline) -> None:
    end = timeline.source_frames if timeline.loop else timeline.source_frames - 1
    last = (timeline.frames - 1) * timeline.step

    assert last < end if timeline.loop else last <= end
    assert last + timeline.step >= end if timeline.loop else last + timeline.step > end


@given(timelines(), st.data())
def test_times_from_a_beginning_on_are_the_rest_of_all_times(timeline: Timeline, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(0, timeline.frames - 1))
    begin = timeline.beginning(wanted, data.draw(st.integers(0, 3)))

    rest = list(timeline.times(begin))

    assert rest == list(timeline.times())[begin.source :]
    assert begin.woven <= begin.shown == wanted
    assert begin.woven + sum(len(times) for _, times in rest) == timeline.frames


def test_a_beginning_lies_at_the_start_of_a_gap_and_as_many_gaps_before_it_as_are_looked_at() -> None:
    timeline = Timeline(10, Fraction(16), Fraction(64))

    begins = [timeline.beginning(22), timeline.beginning(22, 1), timeline.beginning(22, 9), timeline.beginning(0, 1)]

    assert begins == [Beginning(5, 20, 22), Beginning(4, 16, 22), Beginning(0, 0, 22), START]
