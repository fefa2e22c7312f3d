"""The gate refuses what went wrong, names it, and lets every honest video through."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from finished import (
    BT709_LIMITED,
    FPS,
    GIF,
    H264,
    KINDS,
    MKV,
    PNG,
    ROUGH,
    WEBP,
    Kind,
    fade,
    pan,
    promise,
    stream,
    write,
)
from framedaemon import Footage, Frame, Picture, Source
from framedaemon.quality import GateReport, inspect

Frames = Sequence[Frame]
SCENES: dict[str, list[Frame]] = {
    "a pan": pan(),
    "a slow pan": pan(step=0.1),
    "one frame": pan(1),
    "two frames": pan(2),
    "noise": list(np.random.default_rng(1).integers(0, 256, (12, 96, 128, 3), dtype=np.uint8)),
    "a gradient": [np.tile(np.linspace(j, 200 + j, 128).astype(np.uint8)[:, None], (96, 1, 3)) for j in range(12)],
    "one colour": [np.full((96, 128, 3), (200, 60, 30), np.uint8)] * 12,
    "black": [np.zeros((96, 128, 3), np.uint8)] * 12,
    "the dark": [(frame * 0.05).astype(np.uint8) for frame in pan()],
    "a fade to black": fade(pan(16), 12),
    "a fast fade to black": fade(pan(16), 3),
    "the smallest size": pan(width=16, height=16),
    "an odd size": pan(width=97, height=65),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.codec}-{kind.pixel_format}{kind.suffix}")
def test_an_honest_video_of_every_kind_passes(kind: Kind, tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / f"video{kind.suffix}", frames, kind)

    report = _inspect(video, frames, kind)

    assert report.failures == []
    assert report.passed


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("kind", [H264, ROUGH], ids=["crf18", "crf35"])
def test_an_honest_video_of_any_scene_passes(scene: str, kind: Kind, tmp_path: Path) -> None:
    frames = SCENES[scene]
    video = write(tmp_path / "video.mp4", frames, kind)

    report = _inspect(video, frames, kind)

    assert report.failures == []


@pytest.mark.parametrize("kind", [GIF, WEBP, PNG], ids=["gif", "webp", "png"])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_animations_of_any_length_pass(kind: Kind, count: int, tmp_path: Path) -> None:
    frames = pan(count)
    video = write(tmp_path / f"video{kind.suffix}", frames, kind)

    assert _inspect(video, frames, kind).failures == []


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(2101, 200), Fraction(32), Fraction(60)], ids=str)
@pytest.mark.parametrize("kind", [H264, MKV, WEBP], ids=["mp4", "mkv", "webp"])
def test_every_rate_passes_in_every_container(kind: Kind, fps: Fraction, tmp_path: Path) -> None:
    frames = pan(30)
    video = write(tmp_path / f"video{kind.suffix}", frames, kind, fps)

    assert _inspect(video, frames, kind, fps=fps).failures == []


def test_frames_of_16_bits_pass(tmp_path: Path) -> None:
    deep = [frame.astype(np.uint16) * np.uint16(257) for frame in pan()]
    video = write(tmp_path / "video.mp4", deep)

    assert _inspect(video, deep).failures == []


def test_a_video_in_a_folder_with_an_odd_name_passes(tmp_path: Path) -> None:
    folder = tmp_path / "100 %d: \n-\udcff"
    folder.mkdir()
    frames = pan(3)
    (folder / "video.mp4").write_bytes(write(tmp_path / "video.mp4", frames).read_bytes())
    write(folder / "pictures", frames, PNG)

    assert _inspect(folder / "video.mp4", frames).failures == []
    assert _inspect(folder / "pictures", frames, PNG).failures == []


def test_a_missing_frame_is_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", frames[:-1])

    report = _inspect(video, frames)

    assert "frames: found 11, promised was 12" in report.failures
    assert _failed(report) >= {"frames", "duration"}


def test_a_frame_too_many_is_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", [*frames, frames[-1]])

    assert "frames: found 13, promised was 12" in _inspect(video, frames).failures


def test_a_missing_frame_made_up_for_by_another_is_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", [*frames[:5], *frames[6:], frames[-1]])

    report = _inspect(video, frames)

    assert _failed(report) == {"content"}
    assert "frame 5 shows what belongs to frame 6" in report.failures[0]


def test_swapped_frames_are_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", [*frames[:5], frames[6], frames[5], *frames[7:]])

    report = _inspect(video, frames)

    assert _failed(report) == {"content"}
    assert "frames 5 and 6 are in the wrong place" in report.failures[0]


def test_swapped_frames_are_refused_where_they_differ_by_less_than_the_codecs_error(tmp_path: Path) -> None:
    """A quarter of a pixel a frame: neighbours differ by 0.4 levels, crf 18 is 0.4 off."""
    frames = pan(step=0.4)
    video = write(tmp_path / "video.mp4", [*frames[:5], frames[6], frames[5], *frames[7:]])

    assert _failed(_inspect(video, frames)) == {"content"}


def test_another_clip_of_the_same_shape_is_refused(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mp4", pan(seed=1))

    assert "content" in _failed(_inspect(video, pan(seed=2)))


def test_a_frame_lost_to_grey_on_the_way_is_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", [*frames[:7], np.full_like(frames[7], 128), *frames[8:]])

    report = _inspect(video, frames)

    assert _failed(report) == {"content"}
    assert "frame 7 is not what was encoded" in report.failures[0]


def test_a_file_that_stands_still_while_the_frames_moved_is_refused(tmp_path: Path) -> None:
    frames = pan(step=4)
    video = write(tmp_path / "video.mp4", [*frames[:4], *[frames[4]] * 8])

    assert _failed(_inspect(video, frames)) == {"content", "frozen"}


def test_a_wrong_rate_is_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", frames, fps=Fraction(25))

    report = _inspect(video, frames)

    assert _failed(report) >= {"rate", "duration", "timestamps"}
    assert "the file says 25 fps, promised were 24" in report.failures[0]


def test_a_rate_that_is_off_by_a_thousandth_is_refused(tmp_path: Path) -> None:
    """24 for 23.976: a second of drift in a quarter of an hour."""
    frames = pan()
    videos = [write(tmp_path / f"video{kind.suffix}", frames, kind) for kind in (H264, MKV)]

    reports = [_inspect(video, frames, fps=Fraction(24000, 1001)) for video in videos]

    assert ["rate" in _failed(report) for report in reports] == [True, True]


def test_an_animation_at_another_rate_is_refused(tmp_path: Path) -> None:
    frames = pan()
    videos = [write(tmp_path / f"video{kind.suffix}", frames, kind, Fraction(20)) for kind in (GIF, WEBP)]

    reports = [_inspect(videos[0], frames, GIF), _inspect(videos[1], frames, WEBP)]

    assert ["rate" in _failed(report) for report in reports] == [True, True]


def test_uneven_times_are_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", frames, ticks=[0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12])

    report = _inspect(video, frames)

    assert "timestamps: frame 4 comes 0.042 s off its time" in report.failures


def test_a_late_start_is_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mkv", frames, MKV, ticks=range(12, 24))

    assert "timestamps: the first frame comes at 0.500 s and not at 0" in _inspect(video, frames, MKV).failures


def test_a_file_without_colour_tags_is_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", frames, tags=(2, 2, 2, 0))

    report = _inspect(video, frames)

    assert _failed(report) == {"tags"}


@pytest.mark.parametrize("wrong", ["matrix", "primaries", "transfer", "range"])
def test_each_wrong_tag_is_named(wrong: str, tmp_path: Path) -> None:
    frames = pan()
    names = ("matrix", "primaries", "transfer", "range")
    video = write(
        tmp_path / "video.mp4",
        frames,
        tags=tuple(2 if name == wrong else tag for name, tag in zip(names, BT709_LIMITED, strict=True)),
    )

    report = _inspect(video, frames)

    assert "tags" in _failed(report)
    assert wrong in next(failure for failure in report.failures if failure.startswith("tags"))


def test_colours_by_another_matrix_than_the_tags_say_are_refused(tmp_path: Path) -> None:
    from av.video.reformatter import Colorspace

    frames = pan()
    video = write(tmp_path / "video.mp4", frames, matrix=Colorspace.ITU601)

    report = _inspect(video, frames)

    assert _failed(report) == {"colour"}
    assert "BT.601" in report.failures[0]


def test_red_in_the_place_of_blue_is_refused(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", [frame[..., ::-1] for frame in frames])

    report = _inspect(video, frames)

    assert "colour" in _failed(report)
    assert "red and blue" in "".join(report.failures)


@pytest.mark.parametrize("kind", [H264, MKV, GIF, WEBP], ids=["mp4", "mkv", "gif", "webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_refused(kind: Kind, share: float, tmp_path: Path) -> None:
    frames = pan(30)
    video = write(tmp_path / f"video{kind.suffix}", frames, kind)
    whole = video.read_bytes()
    video.write_bytes(whole[: int(len(whole) * share)])

    assert _failed(_inspect(video, frames, kind)) & {"decodes", "frames"}


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    frames = pan(30)
    video = write(tmp_path / "video.mkv", frames, MKV)
    content = bytearray(video.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    video.write_bytes(content)

    assert _failed(_inspect(video, frames, MKV)) & {"decodes", "content"}


def test_a_missing_picture_in_a_folder_is_refused(tmp_path: Path) -> None:
    frames = pan()
    folder = write(tmp_path / "video", frames, PNG)
    (folder / "frame_000007.png").unlink()

    assert _failed(_inspect(folder, frames, PNG)) & {"decodes", "frames"}


def test_a_broken_picture_in_a_folder_is_refused(tmp_path: Path) -> None:
    frames = pan()
    folder = write(tmp_path / "video", frames, PNG)
    broken = folder / "frame_000007.png"
    broken.write_bytes(broken.read_bytes()[:2000])

    assert "decodes" in _failed(_inspect(folder, frames, PNG))


@pytest.mark.parametrize("content", [b"", b"not a video"])
def test_what_is_no_video_is_refused(content: bytes, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(content)

    assert "decodes" in _failed(_inspect(video, pan()))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "decodes" in _failed(_inspect(tmp_path / "video.mp4", pan()))


def test_wrong_size_codec_and_pixel_format_are_refused_by_name(tmp_path: Path) -> None:
    frames, kind = pan(width=96), Kind(".mp4", "libx264", "h264", "yuv444p")
    video = write(tmp_path / "video.mp4", frames, kind)

    report = _inspect(video, pan(), Kind(".mp4", "libx265", "hevc", "yuv420p"))

    assert "size: found 96x96, promised was 128x96" in report.failures
    assert "codec: found h264, promised was hevc" in report.failures
    assert "pixel_format: found yuv444p, promised was yuv420p" in report.failures


def test_sound_passes_where_it_is_promised(tmp_path: Path) -> None:
    frames = pan(48)
    footage = _footage(tmp_path / "source.mp4", frames, sound_seconds=2.0)
    videos = [write(tmp_path / f"video{kind.suffix}", frames, kind, sound_seconds=2.0) for kind in (H264, MKV)]

    reports = [
        _inspect(videos[0], frames, H264, footage, sound=True),
        _inspect(videos[1], frames, MKV, footage, sound=True),
    ]

    assert [report.failures for report in reports] == [[], []]


def test_sound_that_was_lost_is_refused(tmp_path: Path) -> None:
    frames = pan(48)
    footage = _footage(tmp_path / "source.mp4", frames, sound_seconds=2.0)
    video = write(tmp_path / "video.mp4", frames)

    report = _inspect(video, frames, H264, footage, sound=True)

    assert report.failures == ["sound: there is none, and it was promised"]


def test_sound_that_breaks_off_is_refused(tmp_path: Path) -> None:
    frames = pan(48)
    footage = _footage(tmp_path / "source.mp4", frames, sound_seconds=2.0)
    video = write(tmp_path / "video.mp4", frames, sound_seconds=1.0)

    assert _failed(_inspect(video, frames, H264, footage, sound=True)) == {"sound"}


def test_footage_whose_sound_is_shorter_than_its_picture_passes(tmp_path: Path) -> None:
    frames = pan(48)
    footage = _footage(tmp_path / "source.mp4", frames, sound_seconds=0.7)
    video = write(tmp_path / "video.mp4", frames, sound_seconds=0.7)

    assert _inspect(video, frames, H264, footage, sound=True).failures == []


def test_black_from_a_picture_that_is_not_black_is_refused(tmp_path: Path) -> None:
    black = [np.zeros((96, 128, 3), np.uint8)] * 12
    video = write(tmp_path / "video.mp4", black)

    report = _inspect(video, black, source=Picture(pan(1)[0]))

    assert "black" in _failed(report)
    assert "frames 0..11 (12 of them) are black" in report.failures[0]


@pytest.mark.parametrize(("value", "name"), [(0, "black"), (255, "nan"), (128, "nan")])
def test_what_nan_leaves_in_the_middle_of_a_clip_is_refused(value: int, name: str, tmp_path: Path) -> None:
    frames = pan(step=0.5)
    frames[5] = np.full_like(frames[5], value)
    video = write(tmp_path / "video.mp4", frames)

    report = _inspect(video, frames)

    assert _failed(report) == {name}
    assert "frame 5 is" in report.failures[0]


def test_a_clip_that_never_moves_over_a_picture_with_detail_is_refused(tmp_path: Path) -> None:
    frames = pan(1) * 12
    video = write(tmp_path / "video.mp4", frames)

    assert _failed(_inspect(video, frames)) == {"frozen"}


def test_a_clip_that_is_meant_to_stand_still_passes(tmp_path: Path) -> None:
    frames = pan(1) * 12
    video = write(tmp_path / "video.mp4", frames)

    report = inspect(video, promise(frames, H264), stream(frames), Picture(frames[0]), sources_at=[(0, 0)], still=True)

    assert report.failures == []


def test_a_report_says_everything_in_json(tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / "video.mp4", frames)

    facts = json.loads(json.dumps(_inspect(video, frames).to_json()))

    assert facts["passed"] is True
    assert 0 < facts["usual_error_levels"] <= facts["worst_error_levels"] < 2
    assert [check["name"] for check in facts["checks"]] == [
        "decodes", "frames", "size", "rate", "duration", "timestamps", "codec", "pixel_format", "tags",
        "content", "colour", "black", "nan", "frozen",
    ]  # fmt: skip


def _inspect(
    video: Path,
    frames: Frames,
    kind: Kind = H264,
    source: Source | None = None,
    *,
    fps: Fraction = FPS,
    sound: bool = False,
) -> GateReport:
    """The gate's report on ``video`` when ``frames`` were streamed into its encoder."""
    shown = source or Picture((frames[0] // (257 if frames[0].dtype == np.uint16 else 1)).astype(np.uint8))
    sources_at = [(number, number) for number in range(len(frames))]
    return inspect(video, promise(frames, kind, fps, sound), stream(frames), shown, sources_at=sources_at)


def _failed(report: GateReport) -> set[str]:
    return {check.name for check in report.checks if not check.passed}


def _footage(path: Path, frames: Frames, sound_seconds: float) -> Footage:
    write(path, frames, sound_seconds=sound_seconds)
    return Footage(path, 128, 96, len(frames), FPS, sound=True)
