"""The ffmpeg encoder when things go wrong: full disks, killed children, lying names, hardware that is not there."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from framedaemon import Clip, ClipSpec, Delivery, DiskFull, Frame, Placement, Scratch, StageFailed
from framedaemon_ffmpeg.hardware import fault_of_hardware
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.process import as_failure, feed
from framedaemon_ffmpeg.stage import Ffmpeg

SPEC = ClipSpec(128, 96, 60, Fraction(25))


def noise(spec: ClipSpec = SPEC) -> Iterator[Frame]:
    """Frames that no codec makes small."""
    throws = np.random.default_rng(1)
    for _ in range(spec.frames):
        yield throws.integers(0, 256, spec.shape, np.uint8)


def encode(frames: Iterator[Frame], output: Path, scratch: Path, sound: Path | None = None, **options: object) -> None:
    with Ffmpeg().load(Placement(threads=1), FfmpegOptions.model_validate(options)) as work:
        work(Clip(SPEC, frames), Delivery(output, "{}", sound, Scratch(scratch)))


def children() -> list[int]:
    told = (task.read_text().split() for task in Path("/proc/self/task").glob("*/children"))
    return [int(child) for line in told for child in line]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("container", ["mp4", "mkv", "gif", "webp", "png"])
def test_a_full_disk_is_no_failure_of_the_encoder(small_disk: Path, tmp_path: Path, container: str) -> None:
    output = small_disk / "out"

    with pytest.raises(DiskFull, match="no room"):
        encode(noise(), output, tmp_path, container=container)

    assert list(small_disk.iterdir()) == []
    assert children() == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_ffmpegs_exit_code_tells_a_full_disk_from_a_failure(tmp_path: Path, code: int) -> None:
    """ffmpeg ends with the negated errno, cut to eight bits. The folder has room, so only the code can tell."""
    with pytest.raises(DiskFull):
        feed(["sh", "-c", f"cat >/dev/null; exit {256 - code}"], noise(), tmp_path)


def test_an_ffmpeg_killed_midway_is_a_failure_that_names_the_signal(tmp_path: Path) -> None:
    def killing() -> Iterator[Frame]:
        for number, frame in enumerate(noise()):
            _kill_children(number == 5)
            yield frame

    with pytest.raises(StageFailed, match="ended by SIGKILL"):
        encode(killing(), tmp_path / "out.mp4", tmp_path)

    assert not (tmp_path / "out.mp4").exists()
    assert children() == []


def test_a_failure_carries_ffmpegs_last_words(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"exit code 3:\nthe disk is made of cheese"):
        feed(["sh", "-c", "echo the disk is made of cheese >&2; exit 3"], noise(), tmp_path)


def test_a_child_that_floods_stderr_does_not_block(tmp_path: Path) -> None:
    """A pipe holds 64 KiB; whoever fills it waits until somebody reads."""
    feed(["sh", "-c", "yes | head -c 1000000 >&2; cat >/dev/null"], noise(), tmp_path)


def test_a_child_that_stops_reading_is_a_failure_even_with_exit_code_0(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="stopped reading before the last frame"):
        feed(["sh", "-c", "head -c 1000 >/dev/null"], noise(), tmp_path)


def test_a_broken_pipe_of_the_clips_own_is_not_taken_for_ffmpegs(tmp_path: Path) -> None:
    def broken() -> Iterator[Frame]:
        yield next(noise())
        raise BrokenPipeError("the generator's own pipe")

    with pytest.raises(BrokenPipeError, match="the generator's own pipe"):
        feed(["sh", "-c", "cat >/dev/null"], broken(), tmp_path)


def test_other_errors_of_the_file_system_are_failures() -> None:
    assert isinstance(as_failure(OSError(errno.EIO, "i/o error"), Path()), StageFailed)
    assert isinstance(as_failure(OSError(errno.ENOSPC, "full"), Path()), DiskFull)


def test_a_file_that_is_there_already_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("precious")

    with pytest.raises(StageFailed, match="is there already"):
        encode(noise(), tmp_path / "out.mp4", tmp_path)

    assert (tmp_path / "out.mp4").read_text() == "precious"


def test_the_clip_is_closed_when_encoding_fails(tmp_path: Path) -> None:
    ended = []

    def frames() -> Iterator[Frame]:
        try:
            yield from noise()
        finally:
            ended.append(True)

    source = frames()
    next(source)
    with pytest.raises(StageFailed):
        encode(source, tmp_path / "no such folder" / "out.mp4", tmp_path)

    assert ended == [True]


def test_sound_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "sound.mp4").write_bytes(b"no sound at all")

    with pytest.raises(StageFailed, match=r"the sound of 'sound\.mp4' cannot be read"):
        encode(noise(), tmp_path / "out.mp4", tmp_path, sound=tmp_path / "sound.mp4")


def test_a_playlist_posing_as_sound_opens_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "sound.mp4").write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")

    with pytest.raises(StageFailed, match="cannot be read"):
        encode(noise(), tmp_path / "out.mp4", tmp_path, sound=tmp_path / "sound.mp4")


def test_hardware_that_is_not_there_is_said_and_software_encodes() -> None:
    """videotoolbox exists on macOS only, whatever an ffmpeg lists."""
    video = Ffmpeg().promise(SPEC, False, FfmpegOptions(hardware="videotoolbox"))

    assert video.encoder == "libx264"
    assert video.notes == ("h264_videotoolbox does not encode h264 with 8 bits here, libx264 does",)


def test_hardware_is_tried_once_a_process() -> None:
    Ffmpeg().promise(SPEC, False, FfmpegOptions(hardware="videotoolbox"))
    tries = fault_of_hardware.cache_info().misses

    Ffmpeg().promise(SPEC, False, FfmpegOptions(hardware="videotoolbox"))

    assert fault_of_hardware.cache_info().misses == tries


def test_software_encodes_unless_hardware_is_asked_for() -> None:
    tries = fault_of_hardware.cache_info().misses

    video = Ffmpeg().promise(SPEC, False, FfmpegOptions())

    assert (video.encoder, video.notes) == ("libx264", ())
    assert fault_of_hardware.cache_info().misses == tries


def _kill_children(now: bool) -> None:
    for child in children() if now else ():
        os.kill(child, signal.SIGKILL)
