"""Makes levels from pixels, and frames from levels.

Imported when the camera is loaded, not before: OpenCV and Pillow come with it.

OpenCV's linear `warpAffine` takes exact coordinates since 4.11; its cubic and Lanczos ones round them to 1/32 of a
pixel, which shows as jitter in a slow move. Pillow's `resize` is exact too, and filters for the actual scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from framedaemon import Frame
from framedaemon_camera.levels import Ladder, Level
from framedaemon_camera.moves import Path

Pixels = npt.NDArray[np.uint8]
Run = Callable[[Callable[[int], None], Iterable[int]], None]

_BAND = 64  # rows: a band's pixels stay in the processor's cache between its steps
_RESTORING = (-0.1, 1.2, -0.1)  # 1 + 0.2 * (1 - cos(2 pi f)), within 1 % of the inverse up to 0.2 cycles a sample
_AVERAGED = 1 << 22  # bytes of source pixels that are averaged at once


class Lens:
    """Draws the frames of one move over one picture."""

    def __init__(self, pixels: Pixels, path: Path, ladder: Ladder) -> None:
        self._pixels = pixels
        self._path = path
        self._ladder = ladder
        self._made: dict[int, Pixels] = {}

    def draw(self, index: int, run: Run) -> Frame:
        """Frame ``index``: (H, W, 3) uint8.  ``run`` calls a function for each of some rows, in any order.

        The bands are the same whoever runs them, so the frame is too, to the bit.
        """
        views = self._path.views(index)
        width, height = self._path.clip
        rung, mixed = self._ladder.place(float(views.width[0]) / width)
        layers = [self._layer(rung, index)] + ([self._layer(rung + 1, index)] if mixed else [])
        frame = np.empty((height, width, 3), np.uint8)
        run(partial(_draw_band, frame, layers, mixed), range(0, height, _BAND))
        return frame

    def _layer(self, rung: int, index: int) -> tuple[Pixels, npt.NDArray[np.float64]]:
        """A level, and the matrix (2, 3) from a frame's pixel indices to the level's."""
        level = self._ladder.levels[rung]
        if rung not in self._made:
            self._made[rung] = make_level(self._pixels, level)
        views = self._path.views(index)
        x, y, roll = float(views.x[0]), float(views.y[0]), float(views.roll[0])
        width, height = self._path.clip
        scale = float(views.width[0]) / width
        # Pixel i has its centre at i + 0.5, in the frame, in the picture and in the level alike.
        turn = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        origin = np.array([x, y]) - turn @ (np.array([width, height]) / 2 - 0.5)
        pitch = np.array(level.pitch)
        offset = (origin - np.array(level.region[:2])) / pitch - 0.5
        return self._made[rung], np.column_stack([turn / pitch[:, None], offset])


def _draw_band(frame: Pixels, layers: list[tuple[Pixels, npt.NDArray[np.float64]]], mixed: float, top: int) -> None:
    """Fill the band of ``frame`` that starts at row ``top``."""
    band = frame[top : top + _BAND]
    drawn = [_look_up(level, matrix, top, band.shape[0], band.shape[1]) for level, matrix in layers]
    if mixed:
        cv2.addWeighted(drawn[0], 1 - mixed, drawn[1], mixed, 0, dst=drawn[0])
    cv2.cvtColor(drawn[0], cv2.COLOR_RGBA2RGB, dst=band)


def _look_up(
    level: Pixels, matrix: npt.NDArray[np.float64], top: int, rows: int, columns: int
) -> npt.NDArray[np.uint8]:
    """(rows, columns, 4): what the frame's rows from ``top`` on see of ``level``."""
    corners = np.array([(x, y, 1) for x in (0, columns - 1) for y in (top, top + rows - 1)], np.float64)
    seen = corners @ matrix.T
    # Only the part that is seen: OpenCV takes no more than 32,767 a side, and floats are finer near 0.
    left, above = np.maximum(np.floor(seen.min(axis=0)).astype(int) - 1, 0).tolist()
    right, below = (np.ceil(seen.max(axis=0)).astype(int) + 2).tolist()
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, 1] * top - (left, above)
    warped = cv2.warpAffine(
        level[above:below, left:right],
        shifted,
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


def make_level(pixels: Pixels, level: Level) -> Pixels:
    """The level's samples, (H, W, 4) uint8 RGBX, from the whole picture's ``pixels`` (H, W, 3)."""
    left, top, right, bottom = level.crop(pixels.shape[1], pixels.shape[0])
    image = _averaged(pixels[top:bottom, left:right], level.factor)
    edges = np.array(level.region) - (left, top, left, top)
    x0, y0, x1, y1 = (edges / level.factor).tolist()
    box = (x0, y0, min(x1, image.width), min(y1, image.height))
    image = image.resize(level.size, Image.Resampling.LANCZOS, box=box)
    # Four channels: OpenCV looks them up twice as fast as three.
    samples = np.empty((image.height, image.width, 4), np.uint8)
    for row in range(0, image.height, _BAND):
        band = image.crop((0, row, image.width, min(row + _BAND, image.height)))
        cv2.cvtColor(np.asarray(band), cv2.COLOR_RGB2RGBA, dst=samples[row : row + _BAND])
    del image, band
    across, down = (_weights(level.scale / pitch if level.scale > 1 else 0) for pitch in level.pitch)
    cv2.sepFilter2D(samples, -1, across, down, dst=samples, borderType=cv2.BORDER_REFLECT_101)
    return samples


def _weights(width: float) -> npt.NDArray[np.float32]:
    """Of a filter that removes waves shorter than two times ``width`` samples, 0 for none; they sum to 1.

    It gives back beforehand what looking up between samples takes off: on average a factor of
    sqrt((2 + cos(2 pi f)) / 3) at f cycles a sample, 11 % at the finest that a frame shows.
    """
    reach = int(3 * width)
    x = np.arange(-reach, reach + 1) / max(width, 1)
    lanczos = np.sinc(x) * np.sinc(x / 3)
    return np.asarray(np.convolve(lanczos / lanczos.sum(), _RESTORING), np.float32)


def _averaged(pixels: Pixels, factor: int) -> Image.Image:
    """``pixels`` with each ``factor`` x ``factor`` averaged, a few rows at a time: no second copy of them all."""
    height, width = pixels.shape[:2]
    image = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = max(1, _AVERAGED // (width * 3 * factor)) * factor
    for top in range(0, height, rows):
        band = Image.fromarray(np.ascontiguousarray(pixels[top : top + rows]))
        image.paste(band if factor == 1 else band.reduce(factor), (0, top // factor))
    return image
