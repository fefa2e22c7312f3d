"""What the ffmpeg encoder says it will need, against what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framedaemon import Clip, ClipSpec, Delivery, Estimate, Frame, Placement, Scratch
from framedaemon.testing.measuring import TOLERANCE
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.stage import Ffmpeg

SPEC = ClipSpec(416, 304, 24, Fraction(24))


def estimate(spec: ClipSpec = SPEC, **options: object) -> Estimate:
    return Ffmpeg().estimate(spec, FfmpegOptions.model_validate({"threads": 2, **options}))


def move(spec: ClipSpec) -> Iterator[Frame]:
    """Detail of every size, as photographs have it, moving by fractions of a pixel as a camera does."""
    throws, size = np.random.default_rng(3), (spec.width + 80, spec.height + 80)
    ground = np.full((size[1], size[0], 3), 128.0)
    for octave in range(1, 10):
        noise = throws.integers(0, 256, (2**octave * 3 // 4, 2**octave, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))
        ground += (smooth - 128.0) * 0.6 * 0.8**octave
    image = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    for number in range(spec.frames):
        shift = (1, 0, 1.3 * number, 0, 1, 0.7 * number)
        yield np.asarray(
            image.transform((spec.width, spec.height), Image.Transform.AFFINE, shift, Image.Resampling.BICUBIC)
        )


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "h264"), ("mp4", "hevc"), ("mp4", "av1"), ("webm", "vp9"), ("mov", "prores"), ("mkv", "ffv1")],
)
def test_a_moving_picture_takes_about_what_was_said(tmp_path: Path, container: str, codec: str) -> None:
    """Never more than three times that, which is what the disk guard wants to be free."""
    options = FfmpegOptions(container=container, codec=codec, threads=2)
    said, output, peaks = Ffmpeg().estimate(SPEC, options), tmp_path / "out", [0]

    with Ffmpeg().load(Placement(), options) as encode:
        encode(Clip(SPEC, _watched(move(SPEC), peaks)), Delivery(output, "{}", None, Scratch(tmp_path)))

    assert said.disk / 3 < output.stat().st_size < said.disk * 1.5
    assert max(peaks) <= said.ram + TOLERANCE


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
def test_a_finer_crf_costs_more_disk(codec: str) -> None:
    container = "mkv"

    fine, coarse = (estimate(container=container, codec=codec, crf=crf).disk for crf in (10, 40))

    assert fine > 2 * coarse


def test_memory_does_not_grow_with_the_clip() -> None:
    """But for the index that the container writes at its end."""
    short, long = (estimate(ClipSpec(832, 1216, frames, Fraction(24))).ram for frames in (161, 16_100))

    assert long - short < 4 << 20


def test_threads_cost_memory_and_save_time() -> None:
    one, eight = estimate(threads=1), estimate(threads=8)

    assert eight.ram > one.ram
    assert eight.seconds < one.seconds


def _watched(frames: Iterator[Frame], peaks: list[int]) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        told = (task.read_text().split() for task in Path("/proc/self/task").glob("*/children"))
        peaks += [_peak_bytes(child) for line in told for child in line]


def _peak_bytes(process: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
