from __future__ import annotations

import gc
import resource
import subprocess
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from framedaemon import Clip, ClipSpec, Footage, Frame, JobRejected, Placement, Scratch
from framedaemon.opening import Limits, open_source
from framedaemon_video import Video, VideoOptions
from framedaemon_video.reading import stream_frames
from made_clips import make_video, number_of


def read(path: Path, **options: object) -> tuple[Footage, list[Frame]]:
    """What was understood of the file, and its frames, held to their promise."""
    footage = open_source(path, path.name, Limits())
    assert isinstance(footage, Footage)
    wanted = VideoOptions(**options)  # type: ignore[arg-type]
    stage = Video()
    with stage.load(Placement(threads=2), wanted) as generate:
        return footage, list(Clip(stage.promise(footage, wanted), generate(footage, Scratch(path.parent)), "video"))


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame) for frame in frames]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {}),
        ("h264.mkv", {}),
        ("h264.ts", {}),
        ("reordered.avi", {}),
        ("mpeg4.avi", {"codec": "mpeg4", "options": {"qscale": "1"}}),  # whose B-frames skip steps this small
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "lossless": "1"}}),
        ("444.mp4", {"pixels": "yuv444p"}),
        ("odd.mp4", {"pixels": "yuv444p", "size": (65, 49)}),
        ("deep.mp4", {"pixels": "yuv420p10le"}),
        ("interlaced.mp4", {"options": {"qp": "1", "flags": "+ildct+ilme", "x264-params": "interlaced=1"}}),
    ],
)
def test_every_frame_comes_once_and_in_order(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    _, frames = read(make_video(tmp_path / name, **options))  # type: ignore[arg-type]

    assert numbers(frames) == list(range(12))


def test_a_frame_is_held_over_a_gap_as_the_same_object(tmp_path: Path) -> None:
    times = [0, 40, 80, 200, 240, 280, 320, 360, 400, 440, 480, 520]

    _, frames = read(make_video(tmp_path / "x.mp4", times=times))

    assert numbers(frames) == [0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert frames[2] is frames[3] is frames[4]


def test_times_on_no_beat_are_shown_as_near_as_the_rate_allows(tmp_path: Path) -> None:
    times = [0, 17, 90, 120, 300, 333, 400, 440, 500, 520, 700, 1500]

    footage, frames = read(make_video(tmp_path / "x.mkv", times=times))

    shown_at = [numbers(frames).index(number) / footage.fps for number in (2, 4, 6, 10, 11)]
    truth = [Fraction(times[number], 1000) for number in (2, 4, 6, 10, 11)]
    assert max(abs(shown - true) for shown, true in zip(shown_at, truth, strict=True)) <= Fraction(3, 4) / footage.fps


def test_frames_is_how_many_are_read(tmp_path: Path) -> None:
    _, frames = read(make_video(tmp_path / "x.mp4"), frames=5)

    assert numbers(frames) == [0, 1, 2, 3, 4]


def test_a_lower_rate_takes_the_nearest_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "x.mp4")

    assert numbers(read(path, fps="25/2")[1]) == [0, 2, 4, 6, 8, 10]
    assert numbers(read(path, fps=10)[1]) == [0, 3, 5, 8, 10]


def test_another_size_keeps_the_picture_whole(tmp_path: Path) -> None:
    _, frames = read(make_video(tmp_path / "x.mp4"), width=32)

    assert frames[0].shape == (24, 32, 3)
    assert frames[5][4, 4].min() > 250
    assert number_of(frames[5]) == 5


def test_oblong_pixels_are_stretched(tmp_path: Path) -> None:
    _, frames = read(make_video(tmp_path / "x.mp4", aspect=Fraction(2)))

    assert frames[0].shape == (48, 128, 3)
    assert frames[5][10, 58].min() > 240
    assert frames[5][10, 70].max() < 60


def test_the_same_file_gives_the_same_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "x.mp4")

    one, two = read(path)[1], read(path)[1]

    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_frames_are_read_only_and_their_own(tmp_path: Path) -> None:
    _, frames = read(make_video(tmp_path / "x.mp4"))

    assert not any(frame.flags.writeable for frame in frames)
    assert len({frame.ctypes.data for frame in frames}) == 12


def test_closing_early_closes_the_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "x.mp4")
    footage = open_source(path, path.name, Limits())
    assert isinstance(footage, Footage)

    with closing(stream_frames(footage, ClipSpec(64, 48, 12, Fraction(25)), 1)) as frames:
        next(frames)
        assert path in open_files()

    assert path not in open_files()


def open_files() -> list[Path]:
    return [link.resolve() for link in Path("/proc/self/fd").iterdir()]


def test_a_file_that_broke_since_it_was_understood_is_not_filled_up_with_its_last_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "x.mkv")
    footage = Footage(path, 64, 48, frames=300, fps=Fraction(25))

    with pytest.raises(JobRejected, match="288 frames cannot be decoded"):
        list(stream_frames(footage, ClipSpec(64, 48, 300, Fraction(25)), 1))


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """Without the garbage collector: nothing may hang in a cycle, 640x480 is 0.9 MB a frame."""
    path = make_video(tmp_path / "x.mp4", 200, size=(640, 480), options={"preset": "ultrafast"})
    footage = open_source(path, path.name, Limits())
    assert isinstance(footage, Footage)
    frames = stream_frames(footage, ClipSpec(640, 480, 200, Fraction(25)), 1)
    gc.disable()
    try:
        for _ in range(50):
            next(frames)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(150):
            next(frames)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    finally:
        gc.enable()
        frames.close()

    assert after - before < 20_000  # kilobytes; 150 frames are 138,000


@pytest.mark.parametrize(
    "flags",
    [
        ["-display_rotation", "90"],
        ["-display_rotation", "180"],
        ["-display_rotation", "270"],
        ["-display_hflip"],
        ["-display_vflip"],
        ["-display_rotation", "90", "-display_hflip"],
    ],
    ids=" ".join,
)
def test_frames_are_turned_as_ffmpeg_turns_them(tmp_path: Path, flags: list[str]) -> None:
    ffmpeg, made, path = imageio_ffmpeg.get_ffmpeg_exe(), tmp_path / "made.mp4", tmp_path / "x.mp4"
    make_video(made, 2, pixels="yuv444p")
    subprocess.run([ffmpeg, "-v", "error", *flags, "-i", made, "-c", "copy", path], check=True)
    scale = "scale=flags=bicubic+accurate_rnd+full_chroma_int"
    raw = subprocess.run(
        [ffmpeg, "-v", "error", "-i", path, "-vf", scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        check=True,
        capture_output=True,
    ).stdout

    footage, frames = read(path)

    expected = np.frombuffer(raw, np.uint8).reshape(2, footage.height, footage.width, 3)
    assert np.abs(np.stack(frames).astype(int) - expected).max() <= 1
