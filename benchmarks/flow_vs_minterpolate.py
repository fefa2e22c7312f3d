"""flow beside ffmpeg's minterpolate: every second frame of a clip is dropped, and predicted by both.

    python benchmarks/flow_vs_minterpolate.py            on three small clips that it makes
    python benchmarks/flow_vs_minterpolate.py DIR        on every .mp4 in DIR
    python benchmarks/flow_vs_minterpolate.py --middlebury DIR
                                                         on frame10/frame11 → frame10i11, DIR as the authors ship it

Both get the same frames from one raw file and write raw frames to another, each in a process of its own: ffmpeg in
the clip's own pixel format (so it converts nothing), flow in RGB. Its output is made RGB by the same conversion as
the truth. minterpolate's frame k stands at k / (2 * rate): the even ones must be the source frames, bit for bit, or
the run stops; it gives nothing after the last but one source frame, and nothing there is compared. Its scene
detection is on, as it is by default (--scene-detection none turns it off). PSNR and SSIM are over RGB, PSNR capped at
60 dB, means of frames. CPU seconds are ffmpeg's whole process, and for flow reading, filling and writing without
Python's start. Pairs that are one and the same picture are held, as the daemon does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Any, BinaryIO

import av
import cv2
import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from PIL import Image

from framedaemon import Clip, ClipSpec, Cut, Frame, Gap, Placement
from framedaemon.timeline import Timeline
from framedaemon.weave import Tally, weave
from framedaemon_flow import Flow, FlowOptions

Array = npt.NDArray[Any]

METHOD = "mi_mode=mci:mc_mode=aobmc:me_mode=bidir"
KEPT_FORMATS = ("yuv420p", "yuv444p")
MOST_PSNR = 60.0
HALF = (Fraction(1, 2),)


@dataclass(frozen=True)
class Footage:
    name: str
    format: str
    planes: Array
    """(N, …) uint8, as PyAV lays out a frame of the format."""
    frames: Array
    """(N, H, W, 3) uint8 RGB, the same."""


@dataclass(frozen=True)
class Run:
    drawn: list[Frame]
    cpu: float
    wall: float
    rss: int


def main() -> None:
    parser = argparse.ArgumentParser(description="flow beside minterpolate", allow_abbrev=False)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder with .mp4 files")
    parser.add_argument("--frames", type=int, default=41, help="so many frames of a clip, from a third of it on")
    parser.add_argument("--quality", choices=["good", "best"], default="good")
    parser.add_argument("--scene-detection", choices=["fdiff", "none"], default="fdiff", help="minterpolate's")
    parser.add_argument("--middlebury", type=Path, help="a folder with input/ and gt/")
    parser.add_argument("--fill", nargs=6, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fill:
        fill_file(*args.fill)
    elif args.middlebury:
        print_middlebury(args.middlebury)
    else:
        compare(args.folder, args.frames, args.quality, args.scene_detection)


def compare(folder: Path | None, most: int, quality: str, scene_detection: str) -> None:
    print(f"{'clip':28} {'pairs':>5}  {'PSNR dB':>20}  {'SSIM':>15}  {'CPU ms/frame, 1 thread':>24}  ", end="")
    print(f"{'wall ms, all threads':>20}  {'peak MB':>9}")
    rows = []
    for clip in made_clips() if folder is None else read_clips(folder, most):
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(compare_clip(clip, Path(scratch), quality, scene_detection))
    ours, theirs = (np.array([row[who] for row in rows]) for who in (0, 1))
    gain = ours[:, 0] - theirs[:, 0]
    print(
        f"\nflow's PSNR is better on {(gain > 0).sum()} of {len(gain)}, by {gain.mean():+.2f} dB in the mean,", end=""
    )
    print(f" {np.median(gain):+.2f} in the median; SSIM on {(ours[:, 1] > theirs[:, 1]).sum()},", end="")
    print(f" by {(ours[:, 1] - theirs[:, 1]).mean():+.4f}")
    for column, what in ((2, "CPU seconds, one thread"), (3, "wall seconds, all threads")):
        ratios = theirs[:, column] / ours[:, column]
        print(f"minterpolate's {what} / flow's: mean {mean(ratios):.2f}, median {median(ratios):.2f},", end="")
        print(f" least {min(ratios):.2f}")


def compare_clip(clip: Footage, scratch: Path, quality: str, scene_detection: str) -> tuple[list[float], list[float]]:
    """PSNR, SSIM, CPU and wall seconds a predicted frame: flow's and minterpolate's."""
    cores = len(os.sched_getaffinity(0))
    theirs = run_minterpolate(clip, scratch, scene_detection, threads=1)
    ours = run_flow(clip, scratch, quality, threads=1)
    ours_free = run_flow(clip, scratch, quality, threads=cores)
    theirs_free = run_minterpolate(clip, scratch, scene_detection, threads=0)
    pairs, asked = len(theirs.drawn), len(ours.drawn)
    truth = clip.frames[1::2][:pairs]
    scores = [(score(run.drawn[:pairs], list(truth)), run) for run in (ours, theirs)]
    (a, one), (b, two) = scores
    rows = (
        [*a, one.cpu / asked, ours_free.wall / asked],
        [*b, two.cpu / pairs, theirs_free.wall / pairs],
    )
    print(
        f"{clip.name[:28]:28} {pairs:5}  {a[0]:6.2f} {b[0]:6.2f} {a[0] - b[0]:+6.2f}  {a[1]:.4f} {b[1]:8.4f}  "
        f"{rows[0][2] * 1e3:8.1f} {rows[1][2] * 1e3:8.1f} {rows[1][2] / rows[0][2]:6.2f}x  "
        f"{rows[0][3] * 1e3:9.1f} {rows[1][3] * 1e3:10.1f}  {one.rss / 2**20:4.0f} {two.rss / 2**20:4.0f}",
        flush=True,
    )
    return rows


def run_minterpolate(clip: Footage, scratch: Path, scene_detection: str, threads: int) -> Run:
    given, made = scratch / "given.yuv", scratch / "made.yuv"
    np.ascontiguousarray(clip.planes[::2]).tofile(given)
    height, width = clip.frames.shape[1:3]
    raw = ["-f", "rawvideo", "-pix_fmt", clip.format]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", str(threads)]
    command += [*raw, "-s", f"{width}x{height}", "-r", "25", "-i", str(given), "-filter_threads", str(threads)]
    command += ["-vf", f"minterpolate=fps=50:{METHOD}:scd={scene_detection}", "-fps_mode", "passthrough"]
    began = time.perf_counter()
    cpu, peak = wait_for([*command, *raw, "-y", str(made)])
    wall = time.perf_counter() - began
    planes = np.fromfile(made, np.uint8).reshape(-1, *clip.planes.shape[1:])
    if not np.array_equal(planes[::2], clip.planes[::2][: len(planes[::2])]):
        sys.exit(f"{clip.name}: minterpolate's even frames are not the source frames: nothing can be compared")
    drawn = [to_rgb(plane, clip.format) for plane in planes[1::2]]
    return Run(drawn, cpu, wall, peak)


def run_flow(clip: Footage, scratch: Path, quality: str, threads: int) -> Run:
    given, made = scratch / "given.rgb", scratch / "made.rgb"
    clip.frames[::2].tofile(given)
    height, width = clip.frames.shape[1:3]
    told = scratch / "told.json"
    work = [given, made, told, f"{height}x{width}", quality, threads]
    _, peak = wait_for([sys.executable, __file__, "--fill", *map(str, work)])
    drawn = np.fromfile(made, np.uint8).reshape(-1, height, width, 3)[1::2]
    seconds = json.loads(told.read_text())
    return Run(list(drawn), seconds["cpu"], seconds["wall"], peak)


def fill_file(given: str, made: str, told: str, size: str, quality: str, threads: str) -> None:
    """The process that `run_flow` measures: sources in, sources and filled frames out, one at a time, as the daemon."""
    height, width = map(int, size.split("x"))
    count = Path(given).stat().st_size // (3 * height * width)
    timeline = Timeline(source_fps=Fraction(25), source_frames=count, target_fps=Fraction(50))
    spec = ClipSpec(width, height, count, Fraction(25))
    options = FlowOptions.model_validate({"quality": quality})
    with (
        Flow().load(Placement(threads=int(threads)), options) as fill,
        Path(given).open("rb") as source,
        Path(made).open("wb") as sink,
    ):
        cpu, wall = time.process_time(), time.perf_counter()
        for frame in weave(Clip(spec, frames_of(source, spec)), timeline, fill, "flow", Tally()):
            sink.write(frame.data)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    Path(told).write_text(json.dumps({"cpu": cpu, "wall": wall}))


def frames_of(source: BinaryIO, spec: ClipSpec) -> Iterator[Frame]:
    for _ in range(spec.frames):
        yield np.frombuffer(source.read(spec.frame_bytes), np.uint8).reshape(spec.shape)


def wait_for(command: list[str]) -> tuple[float, int]:
    """CPU seconds and peak bytes of the process. Exits where it failed."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    peak, ended = 0, 0
    while not ended:  # wait4's own peak would count the memory of us, who started it
        peak = max(peak, held_bytes(process.pid))
        time.sleep(0.01)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed with {process.returncode}: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, peak


def held_bytes(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def read_clips(folder: Path, most: int) -> Iterator[Footage]:
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
    for name, draw in (("pan", draw_pan), ("zoom and turn", draw_zoom), ("crossing discs", draw_discs)):
        frames = [draw(picture, index) for index in range(21)]
        planes = [av.VideoFrame.from_ndarray(frame, format="rgb24").to_ndarray(format="yuv444p") for frame in frames]
        yield Footage(name, "yuv444p", np.stack(planes), np.stack([to_rgb(plane, "yuv444p") for plane in planes]))


def draw_pan(picture: Array, index: int) -> Array:
    return look(picture, np.array([[1, 0, 100 + 4.3 * index], [0, 1, 50 + 1.7 * index]]))


def draw_zoom(picture: Array, index: int) -> Array:
    return look(
        picture,
        cv2.getRotationMatrix2D((320, 180), 0.6 * index, 1 - 0.01 * index) + np.array([[0, 0, 320], [0, 0, 180]]),
    )


def draw_discs(picture: Array, index: int) -> Array:
    frame = look(picture, np.array([[1.0, 0, 100], [0, 1.0, 50]]))
    for x, y, colour in ((100 + 7 * index, 150, (240, 60, 40)), (420 - 8 * index, 190 + index, (40, 200, 240))):
        cv2.circle(frame, (16 * x, 16 * y), 16 * 45, colour, -1, cv2.LINE_AA, 4)
    return frame


def look(picture: Array, matrix: Array) -> Array:
    """360x640 of the picture; ``matrix`` leads from the frame to it."""
    return cv2.warpAffine(picture, matrix, (640, 360), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def to_rgb(plane: Array, form: str) -> Frame:
    return np.asarray(av.VideoFrame.from_ndarray(plane, format=form).to_ndarray(format="rgb24"), np.uint8)


def score(drawn: Sequence[Frame], truth: Sequence[Frame]) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM."""
    pairs = list(zip(drawn, truth, strict=True))
    return mean(psnr(*pair) for pair in pairs), mean(ssim(*pair) for pair in pairs)


def psnr(one: Frame, two: Frame) -> float:
    error = float(np.square(one.astype(np.float32) - two).mean())
    return MOST_PSNR if error == 0 else min(MOST_PSNR, 10 * float(np.log10(255**2 / error)))


def ssim(one: Frame, two: Frame) -> float:
    """Source: Wang et al. 2004, Gaussian window of 11 pixels."""
    a, b = one.astype(np.float32), two.astype(np.float32)
    blur = partial(cv2.GaussianBlur, ksize=(11, 11), sigmaX=1.5)
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(value.mean())


def print_middlebury(folder: Path) -> None:
    """PSNR of the frame halfway: a plain mix of both, and flow's."""
    print(f"{'scene':14} {'mixed':>7} {'good':>7} {'best':>7}")
    rows = []
    for scene in sorted(path.name for path in (folder / "gt").iterdir()):
        x0, x1 = (read_png(folder / "input" / scene / f"frame{n}.png") for n in (10, 11))
        truth = read_png(folder / "gt" / scene / "frame10i11.png")
        made = [
            np.asarray(cv2.addWeighted(x0, 0.5, x1, 0.5, 0), np.uint8),
            *(halfway(x0, x1, quality) for quality in ("good", "best")),
        ]
        rows.append([psnr(frame, truth) for frame in made])
        print(f"{scene:14} " + " ".join(f"{value:7.2f}" for value in rows[-1]))
    print(f"{'mean':14} " + " ".join(f"{value:7.2f}" for value in np.mean(rows, axis=0)))


def halfway(x0: Frame, x1: Frame, quality: str) -> Frame:
    with Flow().load(Placement(), FlowOptions.model_validate({"quality": quality})) as fill:
        (answer,) = fill([Gap(x0, x1, HALF)])
    return x0 if isinstance(answer, Cut) else answer[0]


def read_png(path: Path) -> Frame:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    main()
