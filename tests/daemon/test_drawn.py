"""Blank and frozen frames are found where they come out of nothing, and honest ones are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest

from finished import FPS, fade, pan, stream
from framedaemon import Footage, Frame, Picture
from framedaemon.drawn import blank_frames, is_black, stands_still

BLACK = np.zeros((96, 128, 3), np.uint8)
WHITE = np.full((96, 128, 3), 255, np.uint8)
GREY = np.full((96, 128, 3), 128, np.uint8)
DETAIL = pan(1)[0]
STRIPES = np.repeat(np.random.default_rng(1).integers(0, 256, (96, 1, 1), dtype=np.uint8), 128, axis=1).repeat(
    3, axis=2
)


def test_a_clip_without_flat_frames_has_no_blank_ones() -> None:
    assert _blank(pan()) == []


def test_a_clip_that_is_black_all_through_is_blank() -> None:
    assert _blank([BLACK] * 6, DETAIL) == [0, 1, 2, 3, 4, 5]


def test_a_black_picture_makes_an_honest_black_clip() -> None:
    assert _blank([BLACK] * 6, BLACK) == []


@pytest.mark.parametrize("at", [0, 5, 11])
@pytest.mark.parametrize("flat", [BLACK, WHITE])
def test_a_flat_frame_out_of_nothing_is_blank_wherever_it_stands(at: int, flat: Frame) -> None:
    frames = pan()
    frames[at] = flat

    assert _blank(frames, DETAIL) == [at]


def test_a_clip_that_breaks_down_after_its_first_frame_is_blank_from_there() -> None:
    assert _blank([DETAIL, *[BLACK] * 5]) == [1, 2, 3, 4, 5]


def test_frames_filled_in_with_nan_between_good_ones_are_blank() -> None:
    frames = pan(9)
    frames[1::2] = [BLACK] * 4

    assert _blank(frames) == [1, 3, 5, 7]


@pytest.mark.parametrize("steps", [2, 4, 12])
def test_a_fade_to_black_is_honest_however_fast(steps: int) -> None:
    assert _blank(fade(pan(20, step=0.2), steps)) == []


def test_a_fade_in_from_black_is_honest() -> None:
    assert _blank(fade(pan(20, step=0.2), 4)[::-1], DETAIL) == []


def test_a_camera_that_comes_close_to_a_white_wall_is_honest() -> None:
    picture = WHITE.copy()
    picture[:, :48] = DETAIL[:, :48]
    views = [_view(picture, left=round(6 * j)) for j in range(12)]

    assert _blank(views, picture) == []


def test_a_few_frames_that_rush_into_the_dark_are_honest() -> None:
    picture = BLACK.copy()
    picture[:, :64] = DETAIL[:, :64]
    views = [_view(picture, left=left) for left in (0, 24, 48, 72)]

    assert _blank(views, picture) == []


def test_a_camera_that_sees_nothing_but_the_white_of_a_page_is_honest() -> None:
    page = WHITE.copy()
    page[40:44, 20:100] = 0

    assert _blank([WHITE] * 6, page) == []
    assert not stands_still(stream([WHITE] * 6), Picture(page))


def test_black_from_a_picture_that_is_partly_black_is_blank() -> None:
    """A quarter of black is what many photos have; a clip of nothing else is what NaN leaves."""
    picture = DETAIL.copy()
    picture[:, :32] = 0

    assert _blank([BLACK] * 3, picture) == [0, 1, 2]


def test_black_from_a_picture_that_is_mostly_black_is_honest() -> None:
    picture = BLACK.copy()
    picture[:24, :24] = DETAIL[:24, :24]

    assert _blank([BLACK] * 3, picture) == []


def test_black_footage_is_honest() -> None:
    assert _blank_footage([DETAIL, BLACK, BLACK, DETAIL], [0, 1, 2, 3]) == []


def test_a_blank_source_frame_is_found_although_what_is_filled_in_leads_to_it() -> None:
    drawn = pan(12, step=1.0)
    drawn[6] = np.full_like(drawn[6], 128)
    frames = _filled_in(drawn)

    assert _blank(frames) == []
    assert blank_frames(stream(frames), Picture(DETAIL), [(2 * j, j) for j in range(12)]) == [12]


def test_a_frame_filled_in_with_nan_is_blank_however_fast_the_picture_moves() -> None:
    frames = _filled_in(pan(6, step=12.0))
    frames[5] = np.zeros_like(frames[5])

    assert blank_frames(stream(frames), Picture(DETAIL), [(2 * j, j) for j in range(6)]) == [5]


def test_a_fade_is_honest_with_what_is_filled_in() -> None:
    frames = _filled_in(fade(pan(12, step=0.2), 3))

    assert blank_frames(stream(frames), Picture(DETAIL), [(2 * j, j) for j in range(12)]) == []


def test_a_black_frame_filled_in_between_two_of_footage_is_blank() -> None:
    first, second = pan(2)

    assert _blank_footage([first, BLACK, second], [0, 2]) == [1]


def test_a_black_frame_held_at_a_cut_to_black_is_honest() -> None:
    assert _blank_footage([DETAIL, BLACK, BLACK], [0, 2]) == []


def test_grey_between_a_frame_and_its_negative_is_their_blend() -> None:
    assert _blank_footage([DETAIL, GREY, 255 - DETAIL], [0, 2]) == []


def test_only_dark_flat_frames_are_called_black() -> None:
    streamed = stream([BLACK, WHITE, GREY])

    assert [is_black(streamed, index) for index in range(3)] == [True, False, False]


def test_a_clip_of_one_repeated_frame_stands_still() -> None:
    assert stands_still(stream([DETAIL] * 5), Picture(DETAIL))


def test_the_slightest_move_is_a_move() -> None:
    touched = DETAIL.copy()
    touched[3, 3, 0] ^= 1

    assert not stands_still(stream([DETAIL] * 5 + [touched]), Picture(DETAIL))


@pytest.mark.parametrize("picture", [WHITE, STRIPES], ids=["one colour", "stripes along the pan"])
def test_a_picture_over_which_a_move_cannot_be_seen_is_not_frozen(picture: Frame) -> None:
    assert not stands_still(stream([picture] * 5), Picture(picture))


def test_still_footage_is_honest() -> None:
    assert not stands_still(stream([DETAIL] * 5), _footage(5))


def test_one_frame_cannot_move() -> None:
    assert not stands_still(stream([DETAIL]), Picture(DETAIL))


def _blank(frames: Sequence[Frame], picture: Frame | None = None) -> list[int]:
    shown = Picture(frames[0] if picture is None else picture)
    return blank_frames(stream(frames), shown, [(0, 0)])


def _blank_footage(frames: Sequence[Frame], sources: Sequence[int]) -> list[int]:
    places = [(frame, number) for number, frame in enumerate(sources)]
    return blank_frames(stream(frames), _footage(len(sources)), places)


def _filled_in(frames: Sequence[Frame]) -> list[Frame]:
    """``frames`` with the mean of two neighbours between them."""
    means = [((a.astype(np.uint16) + b) // 2).astype(np.uint8) for a, b in pairwise(frames)]
    return [frame for pair in zip(frames, means, strict=False) for frame in pair] + [frames[-1]]


def _footage(frames: int) -> Footage:
    from pathlib import Path

    return Footage(Path("footage.mp4"), 128, 96, frames, FPS)


def _view(picture: Frame, left: int) -> Frame:
    """What a window of half the width sees, at the picture's own size."""
    return cv2.resize(picture[:, left : left + 56], (128, 96), interpolation=cv2.INTER_LINEAR)
