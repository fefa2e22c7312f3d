"""Frames are held against those that were streamed: by place, by content, by colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finished import pan, stream
from framedaemon import Frame
from framedaemon.fingerprint import SIZE, fingerprint_rgb
from framedaemon.likeness import Likeness, name_frames, tolerance


def test_frames_as_they_were_streamed_are_alike() -> None:
    likeness = _compare(pan(), pan())

    assert likeness.wrong_content() == likeness.wrong_colours() == likeness.frozen() == []


@given(st.integers(0, 10))
def test_any_two_swapped_neighbours_are_found_under_a_codecs_error(at: int) -> None:
    frames = pan()
    shown = [*frames[:at], frames[at + 1], frames[at], *frames[at + 2 :]]

    likeness = _compare(frames, shown, error=0.4)

    assert likeness.wrong_content() != []


def test_neighbours_nearer_to_each_other_than_their_error_are_found_by_the_way_they_move() -> None:
    """The bias of a codec stays from frame to frame; what moves between two frames is free of it."""
    frames = pan(24, step=0.4)
    shown = [*frames[:9], frames[10], frames[9], *frames[11:]]

    likeness = _compare(frames, shown, bias=1.0)

    assert likeness.wrong_content() == ["frames 9 and 10 are swapped (1 such pair)"]


def test_a_slow_clip_under_a_codecs_error_is_not_suspected() -> None:
    frames = pan(24, step=0.05)

    likeness = _compare(frames, frames, error=0.4, bias=0.5)

    assert likeness.wrong_content() == []


def test_a_codec_that_lags_half_a_step_behind_a_fade_is_not_suspected() -> None:
    frames = [np.full((96, 128, 3), 200 - 4 * j, np.uint8) for j in range(24)]
    shown = [np.full((96, 128, 3), 200 - 4 * j + 2, np.uint8) for j in range(24)]

    assert _compare(frames, shown, error=0.3).wrong_content() == []


def test_a_file_that_shows_every_other_frame_twice_is_found() -> None:
    """Half the rate in the clothes of the whole: what an encoder's own dropping and doubling of frames leaves."""
    frames = pan(24)
    shown = [frames[j - j % 2] for j in range(24)]

    problems = _compare(frames, shown, error=0.2).wrong_content()

    assert "frame 1 shows what belongs to frame 0" in problems[0]


def test_frames_that_stand_two_places_off_are_found() -> None:
    frames = pan()
    shown = [*frames[:4], *frames[6:], frames[-1], frames[-1]]

    problems = _compare(frames, shown).wrong_content()

    assert "frame 4 shows what belongs to frame 6" in problems[0]


def test_frames_beyond_the_streamed_ones_are_counted_and_not_compared() -> None:
    likeness = _compare(pan(4), pan(6))

    assert likeness.seen == 6
    assert likeness.wrong_content() == []


def test_a_stream_that_moves_while_the_file_does_not_is_frozen() -> None:
    frames = pan(step=4)

    likeness = _compare(frames, [frames[0]] * 12)

    assert "frozen while the frames that were encoded move" in likeness.frozen()[0]


def test_nothing_seen_is_nothing_wrong() -> None:
    likeness = Likeness(stream(pan()))

    assert likeness.wrong_content() == likeness.wrong_colours() == likeness.frozen() == []
    assert likeness.errors() == {}


def test_full_range_in_the_place_of_limited_is_named() -> None:
    frames = pan()
    shown = [(frame * (219 / 255) + 16).astype(np.uint8) for frame in frames]

    assert "limited range is written" in _compare(frames, shown).wrong_colours()[0]


def test_limited_range_in_the_place_of_full_is_named() -> None:
    frames = [frame // 2 + 64 for frame in pan()]
    shown = [((frame - 16.0) * (255 / 219)).astype(np.uint8) for frame in frames]

    assert "full range is written" in _compare(frames, shown).wrong_colours()[0]


def test_a_brightness_that_no_known_mistake_explains_is_not_called_one() -> None:
    frames = pan()

    assert _compare(frames, [frame // 2 + 60 for frame in frames], error=2).wrong_colours() == []


def test_small_frames_are_allowed_more_error_than_large_ones() -> None:
    assert tolerance(16, 16) > tolerance(128, 96) > tolerance(832, 1216) > 4


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ([7], "frame 7 is"),
        ([7, 9], "frames 7 and 9 are"),
        ([7, 9, 12], "frames 7, 9 and 12 are"),
        ([3, 4, 5, 9], "frames 3..9 (4 of them) are"),
    ],
)
def test_frames_are_named_for_people(numbers: list[int], name: str) -> None:
    assert name_frames(numbers) == name


def _compare(streamed: Sequence[Frame], shown: Sequence[Frame], error: float = 0.0, bias: float = 0.0) -> Likeness:
    """Levels of noise, from frame to frame and all along, are laid over what is shown, as a codec would."""
    noise = np.random.default_rng(5)
    likeness, steady = Likeness(stream(streamed)), noise.normal(0, bias, SIZE)
    for frame in shown:
        likeness.see((fingerprint_rgb(frame) + steady + noise.normal(0, error, SIZE)).astype(np.float32))
    return likeness
