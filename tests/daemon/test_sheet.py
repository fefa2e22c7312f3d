"""Contact sheets: which frames they show, in which colours, and what making them holds."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finished import GIF, H264, KINDS, PNG, Kind, pan, promise, write
from framedaemon.clip import Frame
from framedaemon.readback import Unreadable
from framedaemon.sheet import make_sheet, spread


def plain(level: int, width: int = 96, height: int = 64) -> Frame:
    """A frame of one colour, which says its number: (height, width, 3)."""
    return np.broadcast_to(np.array([level, 128, 255 - level], np.uint8), (height, width, 3)).copy()


def colours_of(sheet: Path, columns: int, rows: int) -> list[tuple[int, ...]]:
    """The colour in the middle of each cell, row by row."""
    with Image.open(sheet) as image:
        width, height = image.width / columns, image.height / rows
        middles = [(round((x + 0.5) * width), round((y + 0.5) * height)) for y in range(rows) for x in range(columns)]
        return [tuple(np.asarray(image)[y, x].tolist()) for x, y in middles]


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        (1, (0,)),
        (2, (0, 1)),
        (9, tuple(range(9))),
        (10, (0, 1, 2, 3, 4, 6, 7, 8, 9)),
        (161, (0, 20, 40, 60, 80, 100, 120, 140, 160)),
    ],
)
def test_nine_frames_are_spread_evenly_over_the_clip(frames: int, shown: tuple[int, ...]) -> None:
    assert spread(frames) == shown


def test_a_sheet_shows_the_frames_in_their_order_and_colours(tmp_path: Path) -> None:
    frames = [plain(5 * number) for number in range(33)]
    video = write(tmp_path / "video.mp4", frames)

    make_sheet(video, promise(frames, H264), tmp_path / "sheet.jpg", lambda done, total: None)

    wanted = [(20 * k, 128, 255 - 20 * k) for k in range(9)]
    assert np.abs(np.subtract(colours_of(tmp_path / "sheet.jpg", 3, 3), wanted)).max() <= 4


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if kind is not GIF],
    ids=lambda kind: f"{kind.codec}-{kind.pixel_format}{kind.suffix}",
)
def test_every_kind_of_video_is_shown_in_its_colours(kind: Kind, tmp_path: Path) -> None:
    """But for GIF, which `finished` writes with 256 fixed colours."""
    frames = [plain(200), plain(60), plain(120)]
    video = write(tmp_path / f"video{kind.suffix}", frames, kind)

    make_sheet(video, promise(frames, kind), tmp_path / "sheet.jpg", lambda done, total: None)

    wanted = [frame[0, 0] for frame in frames]
    assert np.abs(np.subtract(colours_of(tmp_path / "sheet.jpg", 3, 1), wanted)).max() <= 8


def test_frames_are_made_smaller_and_never_larger(tmp_path: Path) -> None:
    small, large = [plain(9)] * 4, [plain(9, 1280, 640)] * 2

    sizes = []
    for frames in (small, large):
        video = write(tmp_path / f"{len(frames)}.mp4", frames)
        make_sheet(video, promise(frames, H264), tmp_path / "sheet.jpg", lambda done, total: None)
        with Image.open(tmp_path / "sheet.jpg") as image:
            sizes.append(image.size)

    assert sizes == [(3 * 96 + 32, 2 * 64 + 24), (2 * 480 + 24, 240 + 16)]


def test_it_is_told_how_far_it_is(tmp_path: Path) -> None:
    frames, said = pan(5), list[tuple[int, int]]()
    video = write(tmp_path / "video", frames, PNG)

    make_sheet(video, promise(frames, PNG), tmp_path / "sheet.jpg", lambda done, total: said.append((done, total)))

    assert said == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    peaks = []
    for count in (20, 200):
        frames = [plain(count)] * count
        video = write(tmp_path / f"{count}.gif", frames, GIF)
        tracemalloc.start()
        make_sheet(video, promise(frames, GIF), tmp_path / "sheet.jpg", lambda done, total: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.2 * peaks[0]


def test_a_video_that_does_not_decode_is_said(tmp_path: Path) -> None:
    frames = pan(3)
    (tmp_path / "video.mp4").write_bytes(b"no video at all")

    with pytest.raises(Unreadable):
        make_sheet(tmp_path / "video.mp4", promise(frames, H264), tmp_path / "sheet.jpg", lambda done, total: None)
