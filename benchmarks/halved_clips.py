"""Every second frame of a clip is dropped and predicted: each interpolator beside a plain mix and minterpolate.

    python benchmarks/halved_clips.py                 on three small clips that it makes
    python benchmarks/halved_clips.py FOLDER          on every .mp4 in FOLDER
        [--frames 41]      so many frames of each clip, from a third of it on
        [--use flow rife]  these interpolators, options behind a comma (flow,quality=best); else all that are ready
        [--threads 1]      so many threads for each of them, and for minterpolate; else all cores

All get the same frames from one raw file and write raw frames to another, each in a process of its own: ffmpeg in
the clip's own pixel format (so it converts nothing), the others in RGB, through the daemon's own weaving: pairs that
are one and the same picture, or that lie across a scene cut, are held. minterpolate's output is made RGB by the same
conversion as the truth. Its frame k stands at k / (2 * rate): the even ones must be the source frames, bit for bit,
or the run stops; it gives nothing after the last but one source frame, and nothing there is compared. Its scene
detection is on, as it is by default.

PSNR (capped at 60 dB) and SSIM are over RGB, VMAF is libvmaf's default model; means over the predicted frames alone.
Seconds are for each predicted frame: reading, filling and writing, without Python's start and without loading models
(ffmpeg's whole process). Peak memory is the whole process's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import mean, median
from typing import BinaryIO, NamedTuple

import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
from footage import Footage, made_clips, read_clips, to_rgb
from interpolators import BLEND, opened, ready
from jobs import high_water
from scores import Scores, score

from framedaemon import Clip, ClipSpec, Frame
from framedaemon.timeline import Timeline
from framedaemon.weave import Tally, weave

METHOD = "mi_mode=mci:mc_mode=aobmc:me_mode=bidir"
MINTERPOLATE = "minterpolate"


@dataclass(frozen=True)
class Run:
    drawn: list[Frame]
    """What stands between the source frames, as far as it goes."""
    cpu: float
    wall: float
    rss: int


class Row(NamedTuple):
    """One method on one clip."""

    scores: Scores
    cpu: float
    """Seconds a predicted frame."""
    wall: float
    rss: int
    """Bytes."""

    @property
    def values(self) -> list[float]:
        return [*self.scores, self.cpu, self.wall, self.rss / 2**20]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder with .mp4 files")
    parser.add_argument("--frames", type=int, default=41)
    parser.add_argument("--use", nargs="*")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--fill", nargs=6, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fill:
        fill_file(*args.fill)
        return
    methods = [BLEND, MINTERPOLATE, *(ready() if args.use is None else args.use)]
    clips = made_clips() if args.folder is None else read_clips(args.folder, args.frames)
    print_all(methods, [compare(clip, methods, args.threads or len(os.sched_getaffinity(0))) for clip in clips])


def compare(clip: Footage, methods: list[str], threads: int) -> dict[str, Row]:
    """Each method's row on the clip, printed."""
    with tempfile.TemporaryDirectory(prefix="halved-clips-") as folder:
        scratch = Path(folder)
        runs = {name: run(name, clip, scratch, threads) for name in methods}
        pairs = min(len(found.drawn) for found in runs.values())
        truth = list(clip.frames[1::2][:pairs])
        rows = {
            name: Row(
                score(found.drawn[:pairs], truth, scratch),
                found.cpu / len(found.drawn),
                found.wall / len(found.drawn),
                found.rss,
            )
            for name, found in runs.items()
        }
    print(f"\n{clip.name}, {clip.size[0]}x{clip.size[1]}, {pairs} pairs")
    print_head()
    for name, row in rows.items():
        print_row(name, row.values)
    return rows


def print_all(methods: list[str], clips: list[dict[str, Row]]) -> None:
    """Medians and means of all clips, and each method against each of those before it."""
    for what, middle in (("median", median), ("mean", mean)):
        print(f"\n{what} of {len(clips)} clips")
        print_head()
        for name in methods:
            print_row(name, [middle(column) for column in zip(*(rows[name].values for rows in clips), strict=True)])
    print()
    for index, name in enumerate(methods):
        for other in methods[:index]:
            both = [(rows[name].scores, rows[other].scores) for rows in clips]
            said = []
            for score_of, places in (("psnr", 2), ("ssim", 4), ("vmaf", 2)):
                gains = [getattr(a, score_of) - getattr(b, score_of) for a, b in both]
                more = sum(gain > 0 for gain in gains)
                said.append(f"{score_of.upper()} {median(gains):+.{places}f} (better on {more} of {len(gains)})")
            slower = median(rows[name].cpu / rows[other].cpu for rows in clips)
            print(f"{name} over {other}, medians: {', '.join(said)}, CPU {slower:.2f}x")


def print_head() -> None:
    print(f"{'':20}{'PSNR':>8}{'SSIM':>9}{'VMAF':>8}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}")


def print_row(name: str, values: list[float]) -> None:
    a, b, c, cpu, wall, rss = values
    print(f"{name:20}{a:8.2f}{b:9.4f}{c:8.2f}{cpu:9.4f}{wall:9.4f}{rss:9.0f}", flush=True)


def run(name: str, clip: Footage, scratch: Path, threads: int) -> Run:
    return run_minterpolate(clip, scratch, threads) if name == MINTERPOLATE else run_fill(name, clip, scratch, threads)


def run_minterpolate(clip: Footage, scratch: Path, threads: int) -> Run:
    given, made = scratch / "given.yuv", scratch / "made.yuv"
    np.ascontiguousarray(clip.planes[::2]).tofile(given)
    width, height = clip.size
    raw = ["-f", "rawvideo", "-pix_fmt", clip.format]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", str(threads)]
    command += [*raw, "-s", f"{width}x{height}", "-r", "25", "-i", str(given), "-filter_threads", str(threads)]
    command += ["-vf", f"minterpolate=fps=50:{METHOD}", "-fps_mode", "passthrough"]
    began = time.perf_counter()
    cpu, peak = wait_for([*command, *raw, "-y", str(made)])
    wall = time.perf_counter() - began
    planes = np.fromfile(made, np.uint8).reshape(-1, *clip.planes.shape[1:])
    if not np.array_equal(planes[::2], clip.planes[::2][: len(planes[::2])]):
        sys.exit(f"{clip.name}: minterpolate's even frames are not the source frames: nothing can be compared")
    return Run([to_rgb(plane, clip.format) for plane in planes[1::2]], cpu, wall, peak)


def run_fill(name: str, clip: Footage, scratch: Path, threads: int) -> Run:
    given, made, told = scratch / "given.rgb", scratch / "made.rgb", scratch / "told.json"
    clip.frames[::2].tofile(given)
    width, height = clip.size
    work = [name, given, made, told, f"{width}x{height}", threads]
    _, peak = wait_for([sys.executable, __file__, "--fill", *map(str, work)])
    drawn = np.fromfile(made, np.uint8).reshape(-1, height, width, 3)[1::2]
    seconds = json.loads(told.read_text())
    return Run(list(drawn), seconds["cpu"], seconds["wall"], peak)


def fill_file(name: str, given: str, made: str, told: str, size: str, threads: str) -> None:
    """The process that `run_fill` measures: sources in, sources and filled frames out, one at a time, as the daemon."""
    width, height = map(int, size.split("x"))
    count = Path(given).stat().st_size // (3 * height * width)
    timeline = Timeline(source_fps=Fraction(25), source_frames=count, target_fps=Fraction(50))
    spec = ClipSpec(width, height, count, Fraction(25))
    with opened(name, spec, int(threads)) as fill, Path(given).open("rb") as source, Path(made).open("wb") as sink:
        cpu, wall = time.process_time(), time.perf_counter()
        for frame in weave(Clip(spec, frames_of(source, spec)), timeline, fill, name, Tally()):
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
        peak = max(peak, high_water(process.pid))
        time.sleep(0.01)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed with {process.returncode}: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, peak


if __name__ == "__main__":
    main()
