"""Times are reached by halves, as few as it takes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from framedaemon_film.halving import Halved, Straight, Way, Work, find_way, gaps_in_turn, kept, work_of

HALF, THIRD, QUARTER = Fraction(1, 2), Fraction(1, 3), Fraction(1, 4)


def midpoints(*times: Fraction) -> Way:
    return find_way(times, "midpoints")


def test_the_middle_is_drawn_from_both_ends() -> None:
    assert midpoints(HALF) == Halved(None, True, None)


def test_quarters_are_drawn_from_the_middle_which_need_not_be_asked_for() -> None:
    inside = Halved(None, True, None)

    assert midpoints(QUARTER, HALF, 3 * QUARTER) == Halved(inside, True, inside)
    assert midpoints(3 * QUARTER) == Halved(None, False, inside)


def test_what_no_halving_reaches_is_drawn_straight_inside_its_half() -> None:
    assert midpoints(THIRD, 2 * THIRD) == Halved(Straight((2 * THIRD,)), False, Straight((THIRD,)))
    assert midpoints(Fraction(4, 5)) == Halved(None, False, Straight((Fraction(3, 5),)))


def test_beside_halves_such_a_time_lies_between_nearer_frames() -> None:
    assert midpoints(THIRD, Fraction(3, 8)) == Halved(
        Halved(None, False, Halved(Straight((THIRD * 2,)), True, None)), False, None
    )


def test_times_finer_than_a_thirty_second_are_drawn_straight() -> None:
    fine, finer = Fraction(1, 32), Fraction(1, 64)

    assert work_of(midpoints(fine)) == Work(features=4, flows=5, frames=5)
    assert midpoints(finer) == Halved(Straight((2 * finer,)), False, None)


def test_direct_is_one_flow_for_all() -> None:
    way = find_way((QUARTER, THIRD), "direct")

    assert way == Straight((QUARTER, THIRD))
    assert work_of(way) == Work(features=0, flows=1, frames=2)


@pytest.mark.parametrize(
    ("times", "work", "frames"),
    [
        ((HALF,), Work(0, 1, 1), 0),
        ((QUARTER, HALF, 3 * QUARTER), Work(1, 3, 3), 1),
        (tuple(Fraction(n, 8) for n in range(1, 8)), Work(3, 7, 7), 2),
        ((THIRD, 2 * THIRD), Work(1, 3, 3), 1),
    ],
)
def test_each_frame_on_the_way_is_counted(times: tuple[Fraction, ...], work: Work, frames: int) -> None:
    way = midpoints(*times)

    assert work_of(way) == work
    assert kept(way) == frames


@pytest.mark.parametrize(
    ("step", "turn"),
    [
        (HALF, [(HALF,)]),
        (QUARTER, [(QUARTER, HALF, 3 * QUARTER)]),
        (Fraction(4, 5), [(Fraction(4, 5),), (Fraction(3, 5),), (Fraction(2, 5),), (Fraction(1, 5),)]),
        (Fraction(2, 5), [(Fraction(2, 5), Fraction(4, 5)), (Fraction(1, 5), Fraction(3, 5))]),
        (Fraction(3, 2), [(), (HALF,), ()]),
        (Fraction(1), [()]),
    ],
)
def test_the_times_in_each_gap_come_round_again(step: Fraction, turn: list[tuple[Fraction, ...]]) -> None:
    assert list(gaps_in_turn(step)) == turn
