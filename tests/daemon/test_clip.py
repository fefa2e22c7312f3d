from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fakes import draw_squares
from framedaemon.clip import Clip, ClipSpec, Frame, Rate, parse_rate, show_rate
from framedaemon.errors import StageFailed

SPEC = ClipSpec(8, 6, 4, Fraction(16))
DEEP = ClipSpec(8, 6, 4, Fraction(16), 16)


class Tap:
    """A source of frames that knows whether it was closed."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self.frames = frames
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        return self.frames

    def __next__(self) -> Frame:
        return next(self.frames)

    def close(self) -> None:
        self.closed = True


def _read(frames: list[object], spec: ClipSpec = SPEC) -> list[Frame]:
    return list(Clip(spec, iter(frames), made_by="painter"))  # type: ignore[arg-type]


# --- rates


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        (24, Fraction(24)),
        (12.5, Fraction(25, 2)),
        ("24000/1001", Fraction(24000, 1001)),
        (" 30 ", Fraction(30)),
        (23.976, Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("23.97602", Fraction(24000, 1001)),
        ("23.97", Fraction(2397, 100)),
        ("3.998", Fraction(1999, 500)),
        (29.97, Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        ("0.0005", Fraction(1, 2000)),
        (Fraction(1000), Fraction(1000)),
    ],
)
def test_a_rate_means_exactly_what_was_meant(written: object, rate: Fraction) -> None:
    assert parse_rate(written) == rate


@pytest.mark.parametrize(
    "written",
    [0, -24, 1001, "1000.5", True, None, [24], "fast", "", "1/0", "nan", float("nan"), float("inf"), "0.0000001", 1e-9],
)
def test_what_is_no_rate_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is not a frame rate"):
        parse_rate(written)


@pytest.mark.parametrize("written", ["1e999999999", "1e-999999999", "9" * 60_000])
def test_a_rate_that_would_take_ages_to_work_out_is_refused_at_once(written: str) -> None:
    with pytest.raises(ValueError, match="is not a frame rate"):
        parse_rate(written)


@given(st.one_of(st.floats(0.001, 1000), st.fractions(Fraction(1, 1000), 1000), st.integers(1, 1000)))
def test_a_rate_survives_being_written_down(written: float | Fraction) -> None:
    rate = parse_rate(written)

    assert rate > 0
    assert parse_rate(str(rate)) == rate


def test_a_rate_as_a_field_is_read_and_written_exactly() -> None:
    field: TypeAdapter[Fraction] = TypeAdapter(Rate)

    assert field.validate_python(29.97) == Fraction(30000, 1001)
    assert field.dump_json(Fraction(30000, 1001)) == b'"30000/1001"'


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(Fraction(24), "24"), (Fraction(25, 2), "12.5"), (Fraction(24000, 1001), "23.976"), (Fraction(100), "100")],
)
def test_a_rate_is_shown_without_needless_digits(rate: Fraction, shown: str) -> None:
    assert show_rate(rate) == shown


# --- specs


def test_a_spec_says_what_its_frames_are() -> None:
    assert (SPEC.shape, SPEC.dtype, SPEC.frame_bytes) == ((6, 8, 3), np.dtype("uint8"), 144)
    assert (DEEP.shape, DEEP.dtype, DEEP.frame_bytes) == ((6, 8, 3), np.dtype("uint16"), 288)


def test_the_last_frame_is_shown_as_long_as_the_others() -> None:
    assert ClipSpec(8, 6, 321, Fraction(32)).duration == Fraction(321, 32)


def test_a_spec_describes_itself_in_a_line() -> None:
    assert ClipSpec(832, 1216, 161, Fraction(16)).describe() == "832x1216, 161 frames at 16 fps, 8 bit"


@pytest.mark.parametrize(
    ("width", "height", "frames", "fps"), [(0, 6, 4, 16), (8, -1, 4, 16), (8, 6, 0, 16), (8, 6, 4, 0)]
)
def test_a_clip_of_nothing_is_refused(width: int, height: int, frames: int, fps: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        ClipSpec(width, height, frames, Fraction(fps))


# --- clips


@pytest.mark.parametrize("spec", [SPEC, DEEP])
def test_frames_that_keep_the_promise_flow_through_untouched(spec: ClipSpec) -> None:
    frames = list(draw_squares(spec))

    read = list(Clip(spec, iter(frames)))

    assert [id(frame) for frame in read] == [id(frame) for frame in frames]


def test_a_frame_that_is_not_contiguous_is_made_so() -> None:
    wide = ClipSpec(16, 6, 4, Fraction(16))

    read = list(Clip(SPEC, (frame[:, ::2] for frame in draw_squares(wide))))

    assert all(frame.flags.c_contiguous for frame in read)
    np.testing.assert_array_equal(read[3], list(draw_squares(wide))[3][:, ::2])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((6, 8), np.uint8), r"painter: frame 1 is \(6, 8\) uint8, promised was \(6, 8, 3\) uint8"),
        (np.zeros((8, 6, 3), np.uint8), r"frame 1 is \(8, 6, 3\)"),
        (np.zeros((6, 8, 3), np.uint16), "frame 1 is .* uint16"),
        (np.zeros((6, 8, 3), np.float32), "frame 1 is .* float32"),
        (None, "frame 1 is a NoneType"),
        ([[0]], "frame 1 is a list"),
    ],
)
def test_the_first_wrong_frame_is_named_with_its_maker(wrong: object, said: str) -> None:
    frames: list[object] = list(draw_squares(SPEC))

    with pytest.raises(StageFailed, match=said):
        _read([frames[0], wrong, *frames[2:]])


def test_bytes_in_the_wrong_order_are_the_wrong_dtype() -> None:
    with pytest.raises(StageFailed, match="painter: frame 0"):
        _read([frame.astype(">u2") for frame in draw_squares(DEEP)], DEEP)


def test_missing_frames_are_counted_at_the_end() -> None:
    with pytest.raises(StageFailed, match="painter: made 3 frames, promised were 4"):
        _read(list(draw_squares(SPEC))[:3])


def test_one_frame_too_many_ends_the_clip_before_it_is_given_on() -> None:
    endless = (np.zeros(SPEC.shape, np.uint8) for _ in iter(int, 1))
    frames = iter(Clip(SPEC, endless, "painter"))

    given = list(islice(frames, 4))

    assert len(given) == 4
    with pytest.raises(StageFailed, match="painter: made more than its 4 frames"):
        next(frames)


def test_a_clip_is_read_once() -> None:
    clip = Clip(SPEC, draw_squares(SPEC), "painter")
    list(clip)

    with pytest.raises(RuntimeError, match="painter was already read"):
        iter(clip)


def test_a_clip_read_to_its_end_closes_its_source() -> None:
    tap = Tap(draw_squares(SPEC))

    list(Clip(SPEC, tap))

    assert tap.closed


def test_a_clip_that_breaks_its_promise_closes_its_source() -> None:
    tap = Tap(chain(draw_squares(SPEC), draw_squares(SPEC)))

    with pytest.raises(StageFailed):
        list(Clip(SPEC, tap))

    assert tap.closed


def test_closing_a_clip_early_closes_its_source() -> None:
    tap = Tap(draw_squares(SPEC))
    clip = Clip(SPEC, tap)
    next(iter(clip))

    clip.close()

    assert tap.closed


def test_a_source_without_close_can_be_closed() -> None:
    Clip(SPEC, iter(list(draw_squares(SPEC)))).close()
