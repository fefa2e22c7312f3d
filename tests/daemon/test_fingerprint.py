"""Fingerprints are exact means, cost next to nothing, and meet a decoder's planes to within rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finished import pan, stream
from framedaemon import Frame
from framedaemon.fingerprint import (
    LUMA,
    SIZE,
    Fingerprints,
    colour_of,
    distance,
    fingerprint_planes,
    fingerprint_rgb,
    matrix_between,
)

# Kept in steps of 1/256 level.
ROUNDING = 1 / 256
# H.273: red's and blue's weight in Y'.
WEIGHTS = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}


def test_a_fingerprint_holds_the_means_of_8_by_8_cells() -> None:
    frame = _noise(64, 80)

    fingerprint = fingerprint_rgb(frame)

    luma = frame.astype(float).reshape(8, 8, 8, 10, 3).mean(axis=(1, 3)) @ [0.2126, 0.7152, 0.0722]
    assert fingerprint.shape == (SIZE,)
    assert fingerprint[:LUMA] == pytest.approx(luma.ravel(), abs=1e-3)


@pytest.mark.parametrize(
    ("colour", "luma", "cb", "cr"),
    [
        ((0, 0, 0), 0, 0, 0),
        ((255, 255, 255), 255, 0, 0),
        ((0, 0, 255), 0.0722 * 255, 127.5, -0.0722 * 255 / 1.5748),
        ((255, 0, 0), 0.2126 * 255, -0.2126 * 255 / 1.8556, 127.5),
    ],
)
def test_levels_are_those_of_bt709(colour: tuple[int, int, int], luma: float, cb: float, cr: float) -> None:
    fingerprint = fingerprint_rgb(np.full((32, 32, 3), colour, np.uint8))

    assert fingerprint == pytest.approx([luma] * 64 + [cb] * 16 + [cr] * 16, abs=0.01)


def test_a_fingerprint_knows_the_mean_colour() -> None:
    frame = _noise(48, 64) // 2
    frame[..., 0] += 100

    assert colour_of(fingerprint_rgb(frame)) == pytest.approx(frame.mean(axis=(0, 1)), abs=0.01)


def test_frames_of_16_bits_have_the_levels_of_8() -> None:
    frame = _noise(48, 64)

    deep = frame.astype(np.uint16) * np.uint16(257)

    assert distance(fingerprint_rgb(frame), fingerprint_rgb(deep)) < 1e-3


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([np.uint8, np.uint16]))
def test_frames_of_any_size_have_a_fingerprint_within_their_levels(height: int, width: int, dtype: type) -> None:
    brightest = np.full((height, width, 3), np.iinfo(dtype).max, dtype)

    fingerprint = fingerprint_rgb(brightest)

    assert fingerprint[:LUMA] == pytest.approx([255] * LUMA)
    assert fingerprint[LUMA:] == pytest.approx([0] * 32, abs=1e-3)


def test_what_an_encoder_crops_is_not_looked_at() -> None:
    frame = _noise(65, 97)
    bright = frame.copy()
    bright[64:], bright[:, 96:] = 255, 255

    first, second = stream([frame]), stream([bright])

    assert (first[0] == second[0]).all()
    assert distance(first[0], fingerprint_rgb(np.ascontiguousarray(frame[:64, :96]))) < ROUNDING


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("full_range", [False, True])
def test_planes_of_a_decoded_frame_meet_the_rgb_that_they_show(matrix: str, bits: int, full_range: bool) -> None:
    frame = pan(1)[0]

    fingerprint = fingerprint_planes(_planes(frame, matrix, bits, full_range), bits, matrix, full_range)

    assert distance(fingerprint, fingerprint_rgb(frame)) < 0.05


@pytest.mark.parametrize("size", [(96, 128), (66, 98), (18, 34), (34, 18)])
@pytest.mark.parametrize("halved", [(2, 2), (1, 2)], ids=["4:2:0", "4:2:2"])
def test_chroma_of_half_size_covers_the_same_ground(size: tuple[int, int], halved: tuple[int, int]) -> None:
    """Without care for odd cells, edges of cells would lie up to a pixel apart."""
    frame = _noise(*size)
    y, *chroma = _planes(frame, "bt709", 16, False)
    down, across = halved
    small = [plane.reshape(size[0] // down, down, size[1] // across, across).mean(axis=(1, 3)) for plane in chroma]

    fingerprint = fingerprint_planes([y, *(plane.astype(np.uint16) for plane in small)], 16, "bt709", False)

    assert distance(fingerprint, fingerprint_rgb(frame)) < 0.01


def test_planes_may_be_rows_of_a_wider_memory() -> None:
    y, cb, cr = _planes(pan(1)[0], "bt709", 8, False)
    wide = np.zeros((96, 192), np.uint8)
    wide[:, :128] = y

    padded = fingerprint_planes([wide[:, :128], cb, cr], 8, "bt709", False)

    assert (padded == fingerprint_planes([y, cb, cr], 8, "bt709", False)).all()


def test_planes_of_green_blue_and_red_need_no_matrix() -> None:
    frame = pan(1)[0]
    red, green, blue = (np.ascontiguousarray(frame[..., channel]).astype(np.uint16) << 2 for channel in range(3))

    fingerprint = fingerprint_planes([green, blue, red], 10, "gbr", True)

    assert distance(fingerprint, fingerprint_rgb(frame)) < 0.4  # 255 << 2 is 1020, not 1023


def test_there_and_back_between_two_matrices_changes_nothing() -> None:
    there, back = matrix_between("bt601", "bt709"), matrix_between("bt709", "bt601")

    assert there @ back == pytest.approx(np.eye(3), abs=1e-12)


def test_fingerprints_come_back_as_they_went_in() -> None:
    frames = pan(5)

    fingerprints = stream(frames)

    assert len(fingerprints) == 5
    assert all(distance(fingerprints[j], fingerprint_rgb(frame)) < ROUNDING for j, frame in enumerate(frames))
    assert fingerprints.between(-3, 2).shape == (2, SIZE)
    assert fingerprints.between(3, 99).shape == (2, SIZE)


def test_there_is_no_fingerprint_beyond_the_last() -> None:
    fingerprints = stream(pan(2))

    with pytest.raises(IndexError, match="there are 2 fingerprints, none is number 2"):
        fingerprints[2]


def test_one_changed_pixel_is_a_move() -> None:
    frame = _noise(96, 128)
    touched = frame.copy()
    touched[40, 50, 1] ^= 1

    fingerprints = stream([frame, frame, touched, touched])

    assert [fingerprints.moved(j) for j in range(4)] == [True, False, True, False]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_spread_is_the_standard_deviation_where_it_is_small(dtype: type) -> None:
    scale = 1 if dtype == np.uint8 else 257
    flat = np.full((96, 128, 3), 77 * scale, dtype)
    faint = flat.copy()
    faint[::2] += np.array(2 * scale, dtype)

    fingerprints = stream([flat, faint, (_noise(96, 128).astype(dtype) * np.array(scale, dtype))])

    assert fingerprints.spread(0) == 0
    assert fingerprints.spread(1) == pytest.approx(1, abs=0.05)
    assert fingerprints.spread(2) > 4


def test_a_frame_costs_two_hundred_bytes() -> None:
    fingerprints = Fingerprints(16, 16)
    frame = _noise(16, 16)

    kept = sum(len(part) for part in _filled(fingerprints, frame, 100))

    assert kept / 100 == 194


@pytest.mark.parametrize("still", [True, False])
def test_fingerprints_go_on_behind_those_that_were_kept(still: bool) -> None:
    """Whether the first frame behind them moved is told by the last of them."""
    frames = pan(9)
    frames[5] = frames[4] if still else frames[5]
    whole, resumed = stream(frames), Fingerprints(128, 96)

    resumed.extend(stream(frames[:3]).since(0))
    resumed.extend(stream(frames[:5]).since(3))
    for frame in frames[5:]:
        resumed.add(frame)

    assert resumed.since(0) == whole.since(0)
    assert resumed.moved(5) is not still


@pytest.mark.parametrize("taken", [b"", b"x" * 7, b"x" * 9, b"x" * (8 + 193)])
def test_what_is_no_fingerprints_is_refused(taken: bytes) -> None:
    with pytest.raises(ValueError, match="are no fingerprints"):
        Fingerprints(128, 96).extend(taken)


def _filled(fingerprints: Fingerprints, frame: Frame, count: int) -> Sequence[bytearray]:
    for _ in range(count):
        fingerprints.add(frame)
    return [value for value in vars(fingerprints).values() if isinstance(value, bytearray)]


def _noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _planes(frame: Frame, matrix: str, bits: int, full_range: bool) -> list[npt.NDArray[np.uint16]]:
    """Y', Cb and Cr of full size, by the formulas of H.273."""
    red, blue = WEIGHTS[matrix]
    r, g, b = (frame[..., channel].astype(float) for channel in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    levels = [y, cb + 128, cr + 128] if full_range else [16 + y * 219 / 255, 128 + cb * 224 / 255, 128 + cr * 224 / 255]
    kind = np.uint8 if bits == 8 else np.uint16
    return [np.rint((plane * 2 ** (bits - 8)).clip(0, 2**bits - 1)).astype(kind) for plane in levels]
