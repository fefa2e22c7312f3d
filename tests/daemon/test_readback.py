"""A finished file says the same of itself whichever way it is read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.reformatter import Colorspace

from finished import BT709_LIMITED, FPS, GIF, H264, KINDS, MKV, PNG, WEBP, Kind, pan, write
from framedaemon.fingerprint import distance, fingerprint_rgb
from framedaemon.readback import Said, Shown, Unreadable, pixels_of, read_back


@pytest.mark.parametrize(("matrix", "tags"), [(Colorspace.ITU601, (6, 6, 6, 1)), (Colorspace.ITU709, (2, 2, 2, 1))])
def test_pixels_come_by_the_matrix_that_a_file_names_else_by_bt709(
    matrix: Colorspace, tags: tuple[int, int, int, int], tmp_path: Path
) -> None:
    frame = np.broadcast_to(np.array([30, 180, 60], np.uint8), (32, 48, 3)).copy()
    video = write(tmp_path / "video.mp4", [frame] * 3, matrix=matrix, tags=tags)

    shown = [pixels().mean((0, 1)) for pixels in pixels_of(video, FPS)]

    assert len(shown) == 3
    assert np.abs(np.subtract(shown, (30, 180, 60))).max() <= 3


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.codec}-{kind.pixel_format}{kind.suffix}")
def test_every_frame_comes_back_in_order_like_what_went_in(kind: Kind, tmp_path: Path) -> None:
    frames = pan()
    video = write(tmp_path / f"video{kind.suffix}", frames, kind)

    _, shown = _read(video)

    assert len(shown) == 12
    assert max(distance(one.fingerprint, fingerprint_rgb(frame)) for one, frame in zip(shown, frames, strict=True)) < 3
    assert {(one.width, one.height) for one in shown} == {(128, 96)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.codec}-{kind.pixel_format}{kind.suffix}")
def test_times_are_even_to_the_containers_tick(kind: Kind, tmp_path: Path) -> None:
    video = write(tmp_path / f"video{kind.suffix}", pan(), kind)

    said, shown = _read(video)

    assert max(abs(one.time - number / FPS) for number, one in enumerate(shown)) <= said.tick <= Fraction(1, 24)


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mp4", pan(), H264, Fraction(24000, 1001))

    said, _ = _read(video)

    assert (said.width, said.height, said.codec, said.pixel_format) == (128, 96, "h264", "yuv420p")
    assert (said.rate, said.tags) == (Fraction(24000, 1001), BT709_LIMITED)


def test_an_animation_declares_no_rate(tmp_path: Path) -> None:
    gif, webp = (write(tmp_path / f"video{kind.suffix}", pan(), kind) for kind in (GIF, WEBP))

    assert _read(gif)[0].rate is None
    assert _read(webp)[0].rate is None


def test_a_folder_of_pictures_is_read_like_a_video(tmp_path: Path) -> None:
    folder = write(tmp_path / "video", pan(), PNG)

    said, shown = _read(folder)

    assert (said.codec, said.pixel_format, said.rate) == ("png", "rgb24", FPS)
    assert shown[5].time == 5 / FPS


def test_sound_is_measured_while_the_frames_are_read(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mkv", pan(24), MKV, sound_seconds=1.0)

    with read_back(video, FPS) as file:
        frames = list(file.frames)

    assert len(frames) == 24
    assert [float(seconds) for seconds in file.sound.values()] == [pytest.approx(1.0, abs=0.06)]


@pytest.mark.parametrize("suffix", [".mp4", ".webp", ".gif", ""])
def test_what_is_not_there_is_unreadable(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        _read(tmp_path / f"video{suffix}")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webp", ".gif"])
def test_what_is_no_video_is_unreadable(suffix: str, tmp_path: Path) -> None:
    video = tmp_path / f"video{suffix}"
    video.write_bytes(b"this is a letter, not a video" * 100)

    with pytest.raises(Unreadable):
        _read(video)


def test_sound_alone_is_unreadable(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))

    with pytest.raises(Unreadable, match="there is no video in it"):
        _read(tmp_path / "sound.wav")


def _read(video: Path) -> tuple[Said, list[Shown]]:
    with read_back(video, FPS) as file:
        return file.said, list(file.frames)
