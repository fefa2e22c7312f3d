"""The three sizes that framedaemon began with, to twice the rate: streamed, and through PNG files as scripts do it.

    python benchmarks/seed_tests.py [--frames 25 81 161] [--use flow rife] [--size 832x1216]

Streamed: the real daemon (`framedaemon once`) in an instance of its own, camera → interpolator → ffmpeg, its start and
the quality gate counted. Beside it, in the same run, what the script did from which this project came: every frame is
drawn and written as a PNG file, all are read back and filled in, by the same interpolator with the same placement,
every frame of the longer clip is written as a PNG file, and ffmpeg encodes those with the same codec, crf and preset;
once with PNG's compression level 4, once with level 0. Frames are read and dropped pair by pair, so that disk and time
are all that this costs more. Peak memory is that of all processes together, temporary bytes the most there were at one
time, the finished video not counted. On a busy machine only the CPU seconds hold.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
from interpolators import ready
from jobs import (
    MIB,
    Watched,
    camera_plan,
    children,
    cpu_of_children,
    draw_picture,
    high_water,
    run_daemon,
    runs_ffmpeg,
    temporary_bytes,
)
from PIL import Image

from framedaemon import Cut, Frame, Gap
from framedaemon.stages import Scratch

PRESET, CRF, FPS = "medium", 18, 32
BT709 = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
LEVELS = (4, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, nargs="*", default=[25, 81, 161])
    parser.add_argument("--use", nargs="*")
    parser.add_argument("--size", default="832x1216")
    parser.add_argument("--script", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    if arguments.script is not None:
        run_script(arguments.folder, width, height, arguments.frames[0], arguments.use[0], arguments.script)
        return
    units = "".join(f"{name:>9}" for name in ("wall s", "CPU s", "peak M", "tmp M", "video M"))
    print(f"{'':8}{'frames':>12}  {'':14}{units}   times streamed: wall, CPU")
    for name in ready() if arguments.use is None else arguments.use:
        for frames in arguments.frames:
            compare(name, frames, width, height)


def compare(name: str, frames: int, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory(prefix="seed-tests-") as folder:
        streamed = run_daemon(Path(folder), width, height, frames, name, PRESET)
    print_row(name, frames, "streamed", streamed, streamed)
    for level in LEVELS:
        with tempfile.TemporaryDirectory(prefix="seed-tests-") as folder:
            print_row(
                name,
                frames,
                f"PNG level {level}",
                watch_script(Path(folder), name, frames, level, f"{width}x{height}"),
                streamed,
            )


def print_row(name: str, frames: int, way: str, seen: Watched, streamed: Watched) -> None:
    facts = (seen.wall, seen.cpu, seen.memory / MIB, seen.tmp / MIB, seen.video / MIB)
    times = f"{seen.wall / streamed.wall:19.2f} {seen.cpu / streamed.cpu:7.2f}"
    counts = f"{frames} → {2 * frames - 1}"
    print(f"{name:8}{counts:>12}  {way:14}{''.join(f'{fact:9.1f}' for fact in facts)}{times}", flush=True)


def watch_script(folder: Path, name: str, frames: int, level: int, size: str) -> Watched:
    """`run_script` in a process of its own."""
    draw_picture(folder / "photo.png", *(int(side) for side in size.split("x")))
    said = ["--script", str(level), "--folder", str(folder), "--frames", str(frames), "--use", name, "--size", size]
    seen, started, spent = Watched(), time.monotonic(), cpu_of_children()
    process = subprocess.Popen([sys.executable, __file__, *said])
    while process.poll() is None:
        seen.worker = max(seen.worker, high_water(process.pid))
        seen.ffmpeg = max([seen.ffmpeg, *map(high_water, filter(runs_ffmpeg, children(process.pid)))])
        seen.tmp = max(seen.tmp, temporary_bytes(folder / "frames"))
        time.sleep(0.2)
    seen.wall, seen.cpu = time.monotonic() - started, cpu_of_children() - spent
    assert process.returncode == 0
    seen.video = (folder / "video.mp4").stat().st_size
    return seen


def run_script(folder: Path, width: int, height: int, frames: int, name: str, level: int) -> None:
    """Draw and write all, read all back and fill in and write all, encode all."""
    import cv2

    cv2.setNumThreads(1)  # as in the daemon's worker
    plan, registry = camera_plan(folder / "photo.png", width, height, frames, name)
    assert plan.interpolate is not None
    drawn, filled = folder / "frames" / "drawn", folder / "frames" / "filled"
    drawn.mkdir(parents=True)
    filled.mkdir()
    camera, filler = registry.stage("generate", "camera"), registry.stage("interpolate", name)
    with camera.load(plan.generate.placement, plan.generate.options) as generate:
        for index, frame in enumerate(generate(plan.source, Scratch(folder))):
            write(drawn / f"{index:06}.png", frame, level)
    x0 = read(drawn / f"{0:06}.png")
    write(filled / f"{0:06}.png", x0, level)
    with filler.load(plan.interpolate.placement, plan.interpolate.options) as fill:
        for index in range(1, frames):
            x1 = read(drawn / f"{index:06}.png")
            (answer,) = fill([Gap(x0, x1, (plan.timeline.step,))])
            between = x0 if isinstance(answer, Cut) else answer[0]
            write(filled / f"{2 * index - 1:06}.png", between, level)
            write(filled / f"{2 * index:06}.png", x1, level)
            x0 = x1
    inputs = ["-framerate", str(FPS), "-i", str(filled / "%06d.png"), "-vf", BT709]
    codec = ["-c:v", "libx264", "-crf", str(CRF), "-preset", PRESET, "-threads", str(len(os.sched_getaffinity(0)))]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *inputs, *codec, "-y"]
    subprocess.run([*command, str(folder / "video.mp4")], check=True)


def write(path: Path, frame: Frame, level: int) -> None:
    Image.fromarray(frame).save(path, compress_level=level)


def read(path: Path) -> Frame:
    with Image.open(path) as image:
        return np.array(image)


if __name__ == "__main__":
    main()
