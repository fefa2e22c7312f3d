"""What frames go through between stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from framedaemon.clip import Frame
from framedaemon.errors import DiskFull, StageFailed
from framedaemon.stream import Frames, Meter, blamed, close, drawn_from, sort_error, taken, watched


class Drawing:
    """A generator of ten frames that can be told apart; keeps what it was asked for and what it closed."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.closed = 0

    def __call__(self, start: int) -> Frames:
        self.started.append(start)
        try:
            for number in range(start, 10):
                yield frame(number)
        finally:
            self.closed += 1


def frame(number: int) -> Frame:
    return np.full((4, 4, 3), number, np.uint8)


def numbers(frames: Iterator[Frame]) -> list[int]:
    return [int(each[0, 0, 0]) for each in frames]


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("seeks", [False, True])
def test_from_its_beginning_a_clip_is_drawn_as_it_is(seeks: bool, closes: bool) -> None:
    drawing = Drawing()

    assert numbers(drawn_from(drawing, Meter(), 0, seeks, closes)) == list(range(10))
    assert drawing.started == [0]


def test_a_generator_that_seeks_draws_nothing_that_is_not_wanted() -> None:
    drawing, told = Drawing(), list[int]()

    drawn = numbers(drawn_from(drawing, Meter(watch=told.append), 7, seeks=True, closes=False))

    assert drawn == [7, 8, 9]
    assert drawing.started == [7]
    assert told == [8, 9, 10]


def test_one_that_does_not_draws_all_and_tells_of_it() -> None:
    """Or it would be taken for stuck."""
    drawing, told = Drawing(), list[int]()

    drawn = numbers(drawn_from(drawing, Meter(watch=told.append), 7, seeks=False, closes=False))

    assert drawn == [7, 8, 9]
    assert drawing.started == [0]
    assert told == list(range(1, 11))


@pytest.mark.parametrize("seeks", [False, True])
def test_a_loop_gets_its_first_frame_once_more(seeks: bool) -> None:
    drawing, meter = Drawing(), Meter()

    drawn = numbers(drawn_from(drawing, meter, 8, seeks, closes=True))

    assert drawn == [8, 9, 0]
    assert meter.frames == 10
    assert drawing.closed == len(drawing.started)


@pytest.mark.parametrize(("seeks", "pulled"), [(False, 1), (True, 1), (True, 3)])
def test_a_stream_that_is_closed_early_closes_the_generator(seeks: bool, pulled: int) -> None:
    drawing = Drawing()
    drawn = drawn_from(drawing, Meter(), 8, seeks, closes=True)
    for _ in range(pulled):
        next(drawn)

    drawn.close()

    assert drawing.closed == len(drawing.started)


def test_taking_some_frames_leaves_the_rest_to_others() -> None:
    drawing = Drawing()
    frames = drawing(0)

    parts = [numbers(taken(frames, count)) for count in (3, 0, 4, 9)]

    assert parts == [[0, 1, 2], [], [3, 4, 5, 6], [7, 8, 9]]


def test_closing_what_is_taken_leaves_the_stream_open() -> None:
    drawing = Drawing()
    frames = drawing(0)
    part = taken(frames, 3)
    next(part)

    part.close()

    assert drawing.closed == 0
    assert numbers(frames)[0] == 1


@pytest.mark.parametrize(
    "through",
    [
        lambda frames: Meter().through(frames),
        lambda frames: blamed(frames, "squares"),
        lambda frames: watched(frames, lambda each: None),
    ],
    ids=["metered", "blamed", "watched"],
)
def test_whatever_a_stream_goes_through_is_closed_with_it(through: Callable[[Frames], Frames]) -> None:
    drawing = Drawing()
    frames = through(drawing(0))
    next(frames)

    frames.close()

    assert drawing.closed == 1


def test_each_frame_is_seen_before_it_goes_on() -> None:
    seen = list[int]()

    frames = watched(Drawing()(7), lambda each: seen.append(int(each[0, 0, 0])))

    assert next(frames)[0, 0, 0] == 7
    assert seen == [7]


def test_an_iterator_that_cannot_be_closed_is_let_go() -> None:
    close(iter([frame(0)]))


def _broken(error: BaseException) -> Frames:
    yield frame(0)
    raise error


def test_who_breaks_a_stream_is_named() -> None:
    with pytest.raises(StageFailed, match="squares: ValueError: no"):
        list(blamed(_broken(ValueError("no")), "squares"))


def test_who_is_named_already_is_not_named_again() -> None:
    with pytest.raises(DiskFull, match=r"^no room$"):
        list(blamed(_broken(DiskFull("no room")), "squares"))


def test_a_meter_counts_frames_and_the_time_it_takes_to_get_them() -> None:
    told = list[int]()
    meter = Meter(watch=told.append)

    through = list(meter.through(_slow_frames()))

    assert len(through) == meter.frames == 3
    assert told == [1, 2, 3]
    assert meter.seconds >= 0.03


def test_without_torch_an_unknown_error_is_a_failure() -> None:
    assert isinstance(sort_error(RuntimeError("CUDA out of memory")), StageFailed)


def _slow_frames() -> Iterator[Frame]:
    for _ in range(3):
        time.sleep(0.01)
        yield frame(0)
