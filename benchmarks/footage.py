"""Clips to measure interpolators on: those of a folder, and three that are made here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from framedaemon import Frame

Array = npt.NDArray[Any]

KEPT_FORMATS = ("yuv420p", "yuv444p")


@dataclass(frozen=True)
class Footage:
    name: str
    format: str
    planes: Array
    """(N, …) uint8, as PyAV lays out a frame of the format."""
    frames: Array
    """(N, H, W, 3) uint8 RGB, the same."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.frames.shape[2], self.frames.shape[1]


def read_clips(folder: Path, most: int) -> Iterator[Footage]:
    """Each .mp4 of the folder: ``most`` frames of it, from a third of it on."""
    for path in sorted(folder.glob("*.mp4")):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            form = stream.codec_context.pix_fmt
            form = form if form in KEPT_FORMATS else "yuv420p"
            first = max(0, min(stream.frames - most, stream.frames // 3))
            planes = [frame.to_ndarray(format=form) for frame in islice(container.decode(video=0), first, first + most)]
        yield Footage(path.stem, form, np.stack(planes), np.stack([to_rgb(plane, form) for plane in planes]))


def made_clips() -> Iterator[Footage]:
    """A pan over detail, a zoom with a turn, and discs that cross each other over a still ground."""
    ground = cv2.resize(
        np.random.default_rng(0).uniform(0, 255, (90, 160, 3)), (1280, 720), interpolation=cv2.INTER_CUBIC
    )
    fine = cv2.resize(
        np.random.default_rng(1).uniform(-60, 60, (360, 640, 3)), (1280, 720), interpolation=cv2.INTER_CUBIC
    )
    picture = (ground + fine).clip(0, 255).astype(np.uint8)
    for name, draw in (("pan", _draw_pan), ("zoom and turn", _draw_zoom), ("crossing discs", _draw_discs)):
        frames = [draw(picture, index) for index in range(21)]
        planes = [av.VideoFrame.from_ndarray(frame, format="rgb24").to_ndarray(format="yuv444p") for frame in frames]
        yield Footage(name, "yuv444p", np.stack(planes), np.stack([to_rgb(plane, "yuv444p") for plane in planes]))


def to_rgb(plane: Array, form: str) -> Frame:
    return np.asarray(av.VideoFrame.from_ndarray(plane, format=form).to_ndarray(format="rgb24"), np.uint8)


def _draw_pan(picture: Array, index: int) -> Array:
    return _look(picture, np.array([[1, 0, 100 + 4.3 * index], [0, 1, 50 + 1.7 * index]]))


def _draw_zoom(picture: Array, index: int) -> Array:
    turn = cv2.getRotationMatrix2D((320, 180), 0.6 * index, 1 - 0.01 * index)
    return _look(picture, turn + np.array([[0, 0, 320], [0, 0, 180]]))


def _draw_discs(picture: Array, index: int) -> Array:
    frame = _look(picture, np.array([[1.0, 0, 100], [0, 1.0, 50]]))
    for x, y, colour in ((100 + 7 * index, 150, (240, 60, 40)), (420 - 8 * index, 190 + index, (40, 200, 240))):
        cv2.circle(frame, (16 * x, 16 * y), 16 * 45, colour, -1, cv2.LINE_AA, 4)
    return frame


def _look(picture: Array, matrix: Array) -> Array:
    """360x640 of the picture; ``matrix`` leads from the frame to it."""
    return cv2.warpAffine(picture, matrix, (640, 360), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
