from __future__ import annotations

from fractions import Fraction

import pytest

from framedaemon.cadence import find_cadence, next_slot

MILLISECOND = Fraction(1, 1000)


@pytest.mark.parametrize(
    "rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 2), Fraction(60)]
)
def test_times_rounded_to_milliseconds_give_the_exact_rate(rate: Fraction) -> None:
    times = [round(number * 1000 / rate) for number in range(300)]

    cadence = find_cadence(times, MILLISECOND, [])

    assert (cadence.fps, cadence.frames, cadence.note) == (rate, 300, "")


def test_the_rate_that_the_file_names_counts_where_the_times_keep_to_it() -> None:
    odd = Fraction(10505, 1000)
    times = [round(number * 90000 / odd) for number in range(25)]

    cadence = find_cadence(times, Fraction(1, 90000), [odd])

    assert (cadence.fps, cadence.frames) == (odd, 25)


def test_a_rate_that_the_file_names_in_error_is_not_believed() -> None:
    cadence = find_cadence([number * 40 for number in range(50)], MILLISECOND, [Fraction(50), Fraction(90000)])

    assert (cadence.fps, cadence.frames) == (25, 50)


def test_frames_left_out_of_an_even_clip_are_gaps_that_are_held() -> None:
    times = [number * 40 for number in range(30) if number % 7 != 3]

    cadence = find_cadence(times, MILLISECOND, [Fraction(21)])

    assert (cadence.fps, cadence.frames) == (25, 30)
    assert "4 gaps held" in cadence.note


def test_trembling_times_keep_every_frame_once() -> None:
    """A phone's clip: the beat wanders by half a frame and comes back."""
    gaps = [9000] * 5 + [8098] * 3 + [7199] * 3 + [8099] * 3 + [8997] * 3 + [9000] * 7
    times = [sum(gaps[:number]) for number in range(25)]

    cadence = find_cadence(times, Fraction(1, 90000), [Fraction(750000, 71393)])

    assert (cadence.fps, cadence.frames) == (Fraction(750000, 71393), 25)
    assert "steady" in cadence.note


def test_times_on_no_beat_are_shown_at_a_usual_rate_and_it_is_said() -> None:
    times = [0, 17, 90, 120, 300, 333, 400, 440, 500, 520, 700, 1500]

    cadence = find_cadence(times, MILLISECOND, [Fraction(8)])

    assert cadence.fps == 25
    assert cadence.frames == 39
    assert "held" in cadence.note


def test_a_single_picture_is_a_clip_of_one_frame() -> None:
    assert find_cadence([7], MILLISECOND, [Fraction(24)]).frames == 1
    assert find_cadence([7], MILLISECOND, []).fps == 25


def test_an_hour_of_frames_is_understood_in_no_time() -> None:
    rate = Fraction(60000, 1001)
    times = [number * 1001 for number in range(216_000)]

    cadence = find_cadence(times, Fraction(1, 60000), [rate])

    assert (cadence.fps, cadence.frames) == (rate, 216_000)


def test_a_frame_takes_the_next_slot_unless_it_is_far_off_it() -> None:
    assert next_slot(Fraction(0), -1) == 0
    assert next_slot(Fraction(17, 10), 0) == 1
    assert next_slot(Fraction(18, 10), 0) == 2
    assert next_slot(Fraction(1, 10), 0) == 0
