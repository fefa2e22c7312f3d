from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framedaemon import Footage, JobRejected, Picture
from framedaemon.opening import Limits, open_ending, open_safely, open_source
from made_clips import make_video


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    picture, video = tmp_path / "holiday.mp4", tmp_path / "holiday.jpg"
    Image.new("RGB", (32, 24), "red").save(picture, "PNG")
    make_video(video, 3, form="mp4")

    sources = open_source(picture, picture.name, Limits()), open_source(video, video.name, Limits())

    assert [type(source) for source in sources] == [Picture, Footage]


def test_a_text_file_named_like_a_picture_is_refused_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "claimed"
    path.write_text("dear diary")

    with pytest.raises(JobRejected, match=r"cat\.png is a text file.*Drop a picture or a video"):
        open_source(path, "cat.png", Limits())


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    os.mkfifo(path)

    with pytest.raises(JobRejected, match="not a regular file"):
        open_source(path, path.name, Limits())


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    Image.new("RGB", (32, 24)).save(tmp_path / "real.png")
    path = tmp_path / "x.png"
    path.symlink_to(tmp_path / "real.png")

    with pytest.raises(JobRejected, match="is a link"):
        open_source(path, path.name, Limits())


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobRejected, match="not a regular file"):
        open_source(tmp_path, "folder.png", Limits())


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.touch()

    with pytest.raises(JobRejected, match="empty"):
        open_source(path, path.name, Limits())


def test_a_file_that_went_away_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobRejected, match="No such file"):
        open_source(tmp_path / "x.png", "x.png", Limits())


def test_an_opened_file_is_closed_to_child_processes(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"x")

    with open_safely(path, path.name) as file:
        inheritable = os.get_inheritable(file.fileno())

    assert not inheritable


def test_limits_name_what_was_found_and_what_is_allowed() -> None:
    limits = Limits(max_pixels=1_000_000, min_side=16)

    limits.check(1000, 1000, "x.png")
    with pytest.raises(JobRejected, match=r"x\.png is 1001x1000 pixels, 1\.0 million: the limit is 1\.0 million"):
        limits.check(1001, 1000, "x.png")
    with pytest.raises(JobRejected, match=r"x\.png is 500x15 pixels: too small.*16"):
        limits.check(500, 15, "x.png")


def test_no_file_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    before = len(list(Path("/proc/self/fd").iterdir()))

    open_source(path, path.name, Limits())

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_name_that_would_steer_a_terminal_is_told_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "claimed"
    path.write_text("dear diary")

    with pytest.raises(JobRejected) as refused:
        open_source(path, "\x1b[2Jcat\n\u202egnp.png", Limits())

    assert str(refused.value).startswith("\\x1b[2Jcat\\n\\u202egnp.png is a text file")


def test_a_last_picture_is_opened_like_any_other(tmp_path: Path) -> None:
    first, last, exif = tmp_path / "sea.png", tmp_path / "sea.last.jpg", Image.Exif()
    Image.new("RGB", (32, 24), "red").save(first)
    exif[0x0112] = 6
    Image.new("L", (40, 20), 80).save(last, exif=exif)
    plain = open_source(first, first.name, Limits())

    ending = open_ending(plain, last, last.name, Limits())

    assert isinstance(ending, Picture)
    assert isinstance(plain, Picture)
    assert ending.last is not None
    assert (ending.last.shape, ending.last.dtype, ending.last.flags.writeable) == ((40, 20, 3), np.uint8, False)
    assert np.array_equal(ending.pixels, plain.pixels)
    assert ending.notes == tuple(f"sea.last.jpg: {note}" for note in open_source(last, "x", Limits()).notes)
    assert ending.notes[0].startswith("sea.last.jpg: turned upright")
    with pytest.raises(JobRejected, match=r"sea\.last\.jpg is 40x20 pixels, 0\.0 million: the limit"):
        open_ending(plain, last, last.name, Limits(max_pixels=799))


def test_a_clip_ends_with_no_video(tmp_path: Path) -> None:
    first, video = tmp_path / "sea.png", tmp_path / "sea.last.jpg"
    Image.new("RGB", (32, 24), "red").save(first)
    make_video(video, 3, form="mp4")

    with pytest.raises(JobRejected, match=r"sea\.last\.jpg is a video: what a clip is to end with is a picture"):
        open_ending(open_source(first, first.name, Limits()), video, video.name, Limits())


def test_a_video_has_no_use_for_a_last_picture_and_says_so(tmp_path: Path) -> None:
    video, last = tmp_path / "sea.mp4", tmp_path / "sea.last.png"
    make_video(video, 3, form="mp4")
    Image.new("RGB", (32, 24), "red").save(last)

    source = open_ending(open_source(video, video.name, Limits()), last, last.name, Limits())

    assert isinstance(source, Footage)
    assert source.notes[-1].startswith("sea.last.png has no use")
