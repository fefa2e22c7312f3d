"""What a frame looks like in 96 numbers, so that a finished video can be held against what went into it.

    RGB frame ───────────────────▶ means of 8x8 cells ─▶ luma of 8x8, chroma of 4x4
    a decoded file's Y', Cb, Cr ─▶ means of 8x8 cells ─▶ luma of 8x8, chroma of 4x4

Means are exact (integer sums) and the way from RGB to Y'CbCr is linear, so the two meet to within rounding, and no
decoded frame is ever converted to RGB. Levels are those of 8 bits, 0..255 for luma and -128..127 for chroma,
whatever the depth of the frames. A clip costs 194 bytes a frame: 6.2 MB for 32,199 frames.
What it does not know: texture inside a cell that leaves the cell's mean as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import sqrt
from struct import Struct
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from framedaemon.clip import Frame

GRID = 8
"""Cells along each side of a frame."""
LUMA = GRID * GRID
SIZE = LUMA + 2 * (GRID // 2) ** 2
"""Numbers in a fingerprint."""

Fingerprint: TypeAlias = npt.NDArray[np.float32]
"""(96,) levels: 64 of Y', 16 of Cb, 16 of Cr, each row by row."""
_Means: TypeAlias = npt.NDArray[np.float64]

# ITU-T H.273, MatrixCoefficients: the weights of red and blue in Y'.
_WEIGHTS = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593), "smpte240m": (0.212, 0.087)}
# Fingerprints are kept as uint16 in steps of 1/256 level, chroma moved up by 128; spreads in steps of 1/16.
_STEPS = 256
_SPREAD_STEPS = 16
_FRAME_BYTES = SIZE * 2 + 2
_LAST = Struct("<q")
# Sums over rows average texture away; below this many levels of spread the frame itself is asked.
_SURELY_SPREAD = 4.0


def fingerprint_rgb(frame: Frame) -> Fingerprint:
    """The fingerprint of a frame (H, W, 3), RGB, uint8 or uint16, by BT.709's weights."""
    height, width, _ = frame.shape
    return _from_rgb(_means(_sum_rows(frame, height), height, width, frame.shape[:2]) * _level(frame))


def fingerprint_planes(planes: Sequence[npt.NDArray[Any]], bits: int, matrix: str, full_range: bool) -> Fingerprint:
    """The fingerprint of a decoded frame from its own three planes: what BT.709 has for the same colours.

    planes: Y', Cb and Cr, (H, W) and twice (H / sy, W / sx); or G, B and R where ``matrix`` is ``gbr``.
    uint8 or uint16, of which ``bits`` are used.
    matrix: ``gbr``, ``bt709``, ``bt601``, ``bt2020`` or ``smpte240m``. full_range: 0..255 and not 16..235.
    """
    height, width = planes[0].shape
    means = [_means(_sum_rows(plane[..., None], height), height, width, plane.shape)[..., 0] for plane in planes]
    if matrix == "gbr":
        green, blue, red = (mean * (255 / (2**bits - 1)) for mean in means)
        return _from_rgb(np.stack([red, green, blue], axis=-1))
    y, cb, cr = (mean / 2.0 ** (bits - 8) for mean in means)
    if full_range:
        cb, cr = cb - 128, cr - 128
    else:
        y, cb, cr = (y - 16) * 255 / 219, (cb - 128) * 255 / 224, (cr - 128) * 255 / 224
    y, cb, cr = np.moveaxis(np.stack([y, cb, cr], axis=-1) @ matrix_between(matrix, "bt709").T, -1, 0)
    return _pack(y, cb, cr)


@cache
def matrix_between(written: str, read: str, swapped: bool = False) -> npt.NDArray[np.float64]:
    """(3, 3), from (Y', Cb, Cr) by one matrix to those of the same colours by another, red and blue swapped or not."""
    rgb = np.linalg.inv(_from_rgb_matrix(written))
    return np.asarray(_from_rgb_matrix(read) @ (rgb[::-1] if swapped else rgb))


class Fingerprints:
    """The fingerprints of a clip's frames, taken while they stream into an encoder."""

    def __init__(self, width: int, height: int) -> None:
        """width, height: of the video; what an encoder crops off frames, right and below, is not looked at."""
        self.width = width
        self.height = height
        self._cells = bytearray()
        self._spreads = bytearray()
        self._moves = bytearray()
        self._last = -1

    def add(self, frame: Frame) -> None:
        """Take the next frame: (H, W, 3) RGB, uint8 or uint16, H and W at least those of the video."""
        seen = frame[: self.height, : self.width]
        sums = _sum_rows(seen, self.height)
        stored = _from_rgb(_means(sums, self.height, self.width, seen.shape[:2]) * _level(frame))
        stored[LUMA:] += 128
        self._cells += np.rint(stored.clip(0, 255.99) * _STEPS).astype(np.uint16).tobytes()
        self._spreads.append(min(255, round(_spread(seen, sums) * _SPREAD_STEPS)))
        mark = zlib.crc32(sums.tobytes())
        self._moves.append(mark != self._last)
        self._last = mark

    def __len__(self) -> int:
        return len(self._moves)

    def since(self, start: int) -> bytes:
        """What was taken of frame ``start`` and those after it, for `extend`."""
        parts = self._cells[start * SIZE * 2 :], self._spreads[start:], self._moves[start:]
        return b"".join((_LAST.pack(self._last), *parts))

    def extend(self, taken: bytes) -> None:
        """Go on behind frames that others streamed: ``taken`` is what `since` gave. Raises ValueError for less."""
        count, rest = divmod(len(taken) - _LAST.size, _FRAME_BYTES)
        if count < 0 or rest:
            raise ValueError(f"{len(taken)} bytes are no fingerprints")
        cells, spreads = _LAST.size + count * SIZE * 2, _LAST.size + count * (SIZE * 2 + 1)
        (self._last,) = _LAST.unpack_from(taken)
        self._cells += taken[_LAST.size : cells]
        self._spreads += taken[cells:spreads]
        self._moves += taken[spreads:]

    def __getitem__(self, index: int) -> Fingerprint:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} fingerprints, none is number {index}")
        fingerprint: Fingerprint = self.between(index, index + 1)[0]
        return fingerprint

    def between(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """The fingerprints from ``start`` up to but not with ``stop``, one a row: (N, 96)."""
        start, stop = max(0, start), min(stop, len(self))
        stored = np.frombuffer(self._cells, np.uint16, (stop - start) * SIZE, start * SIZE * 2).reshape(-1, SIZE)
        rows = stored.astype(np.float32) / np.float32(_STEPS)
        rows[:, LUMA:] -= 128
        return rows

    def moved(self, index: int) -> bool:
        """Whether a frame differs from the one before it; True for the first.

        Frames are told apart by the sums of their columns in each row of cells: one changed pixel is enough.
        """
        return bool(self._moves[index])

    def spread(self, index: int) -> float:
        """The standard deviation of a frame's samples in levels, 15.9 at most: 0 for a frame of one colour."""
        return self._spreads[index] / _SPREAD_STEPS


def distance(a: Fingerprint, b: Fingerprint) -> float:
    """How far apart two fingerprints are, in levels: the root mean square over their numbers."""
    apart = a - b
    return sqrt(float(apart @ apart) / SIZE)


def colour_of(fingerprint: Fingerprint) -> npt.NDArray[np.float64]:
    """(3,): the mean colour of a frame, R, G and B in levels."""
    y, cb, cr = (part.mean() for part in np.split(fingerprint, [LUMA, (LUMA + SIZE) // 2]))
    return np.asarray(np.linalg.solve(_from_rgb_matrix("bt709"), np.array([y, cb, cr])), np.float64)


@cache
def _edges(length: int, plane_length: int) -> tuple[int, ...]:
    """Where the cells begin along one side of a plane, and its end: nine numbers.

    Cells begin at even pixels of the full frame, so that those of half-size chroma cover the same ground.
    A side below 16 pixels has cells of one or two pixels that overlap.
    """
    halving = 2 if plane_length < length else 1
    return (*(2 * (i * (length // 2) // GRID) // halving for i in range(GRID)), plane_length)


@cache
def _sizes(length: int, plane_length: int) -> npt.NDArray[np.float64]:
    """(8,): how many rows or columns of a plane each cell has; one at least."""
    return np.maximum(np.diff(_edges(length, plane_length)), 1).astype(np.float64)


def _sum_rows(image: npt.NDArray[Any], height: int) -> npt.NDArray[np.int32]:
    """For each row of cells, the sums over its rows of pixels: (8, W, C). Reads the image once: 0.3 ms a megapixel.

    image: (H, W, C) of uint8 or uint16, the last two axes contiguous; a plane of a frame that is ``height`` high.
    """
    rows, width, channels = image.shape
    # cv2 has a fast integer sum for bytes only: the two bytes of a uint16 are summed apart.
    flat = np.lib.stride_tricks.as_strided(image, (rows, width * channels), (image.strides[0], image.itemsize))
    octets = flat.view(np.uint8)
    edges = _edges(height, rows)
    sums = np.concatenate(
        [
            cv2.reduce(octets[top : max(top + 1, bottom)], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
            for top, bottom in pairwise(edges)
        ]
    )
    if image.itemsize == 2:
        sums = sums[:, 0::2] + 256 * sums[:, 1::2]
    return np.ascontiguousarray(sums).reshape(GRID, width, channels)


def _means(sums: npt.NDArray[np.int32], height: int, width: int, shape: Sequence[int]) -> _Means:
    """The means of the cells, (8, 8, C), from the sums of a plane of ``shape`` in a frame of height and width."""
    totals = np.add.reduceat(sums, _edges(width, shape[1])[:-1], axis=1, dtype=np.float64)
    return np.asarray(totals / (_sizes(height, shape[0])[:, None, None] * _sizes(width, shape[1])[:, None]))


def _level(frame: npt.NDArray[Any]) -> float:
    """What one step of the frame's samples is in levels."""
    return 1.0 if frame.dtype == np.uint8 else 255 / 65535


def _spread(frame: npt.NDArray[Any], sums: npt.NDArray[np.int32]) -> float:
    """The largest channel's standard deviation in levels, exact where it is small."""
    heights = _sizes(frame.shape[0], frame.shape[0])[:, None, None]
    rough = float(cv2.meanStdDev(sums / heights)[1].max()) * _level(frame)
    if rough >= _SURELY_SPREAD:
        return rough
    return float(cv2.meanStdDev(frame)[1].max()) * _level(frame)


def _from_rgb(rgb: _Means) -> Fingerprint:
    """rgb: (8, 8, 3) levels."""
    y, cb, cr = np.moveaxis(rgb @ _from_rgb_matrix("bt709").T, -1, 0)
    return _pack(y, cb, cr)


@cache
def _from_rgb_matrix(matrix: str) -> npt.NDArray[np.float64]:
    """(3, 3), from R, G, B to Y', Cb, Cr. Source: ITU-T H.273, 8.3."""
    red, blue = _WEIGHTS[matrix]
    y = np.array([red, 1 - red - blue, blue])
    return np.stack([y, (np.array([0, 0, 1]) - y) / (2 * (1 - blue)), (np.array([1, 0, 0]) - y) / (2 * (1 - red))])


def _pack(y: _Means, cb: _Means, cr: _Means) -> Fingerprint:
    """y, cb, cr: (8, 8) levels, chroma about 0."""
    half = GRID // 2
    small = [chroma.reshape(half, 2, half, 2).mean(axis=(1, 3)).ravel() for chroma in (cb, cr)]
    return np.concatenate([y.ravel(), *small]).astype(np.float32)
