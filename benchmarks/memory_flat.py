"""Peak memory and temporary disk of a whole job, against the number of frames.

    python benchmarks/memory_flat.py 161 1610 16100 [--naive 161 483] [--size 832x1216] [--interpolate flow]

Each row is one run of the real daemon (`framedaemon once`) in an instance of its own: camera → interpolator → ffmpeg.
The processes are watched from outside, five times a second: VmHWM of the service, of its worker and of ffmpeg, and the
bytes below tmp/ but for the ledger and the video itself. Below a row, what the worker held at each tenth of the time.
``--naive`` runs the same stages in a process that keeps every frame in lists, as scripts do, to show that the
measurement can fail.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from jobs import MIB, Watched, camera_plan, draw_picture, high_water, run_daemon

from framedaemon.stages import Gap, Scratch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("frames", type=int, nargs="*", default=[161, 1610])
    parser.add_argument("--naive", type=int, nargs="*", default=[])
    parser.add_argument("--size", default="832x1216")
    parser.add_argument("--interpolate", default="flow")
    parser.add_argument("--naive-child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--picture", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    if arguments.naive_child is not None:
        hold_everything(arguments.picture, width, height, arguments.naive_child, arguments.interpolate)
        return

    print(f"{'':8}{'frames':>8}{'service':>10}{'worker':>10}{'ffmpeg':>10}{'tmp/':>10}{'video':>10}{'wall s':>9}")
    first: int | None = None
    for frames in arguments.frames:
        with tempfile.TemporaryDirectory(prefix="memory-flat-") as folder:
            seen = run_daemon(Path(folder), width, height, frames, arguments.interpolate, "ultrafast")
        first = first or seen.worker
        print_row("daemon", frames, seen, f"  worker {seen.worker / first:.3f} x the first")
        tenths = [seen.resident[len(seen.resident) * tenth // 10] for tenth in range(10)] + [seen.resident[-1]]
        print("        held at each tenth: " + " ".join(f"{held / MIB:.0f}" for held in tenths) + " M", flush=True)
    for frames in arguments.naive:
        with tempfile.TemporaryDirectory(prefix="memory-flat-") as folder:
            seen = run_naive(Path(folder), width, height, frames, arguments.interpolate)
        print_row("naive", frames, seen, "")


def print_row(kind: str, frames: int, seen: Watched, note: str) -> None:
    columns = (seen.service, seen.worker, seen.ffmpeg, seen.tmp, seen.video)
    print(
        f"{kind:8}{frames:>8}{''.join(f'{size / MIB:>8.1f} M' for size in columns)}{seen.wall:>9.0f}{note}", flush=True
    )


def run_naive(folder: Path, width: int, height: int, frames: int, interpolate: str) -> Watched:
    """Peak of a process that holds every frame."""
    picture = folder / "photo.png"
    draw_picture(picture, width, height)
    command = [sys.executable, __file__, "--naive-child", str(frames), "--picture", str(picture)]
    started = time.monotonic()
    process = subprocess.Popen([*command, "--size", f"{width}x{height}", "--interpolate", interpolate])
    peak = 0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.05)
    assert process.returncode == 0
    return Watched(worker=peak, wall=time.monotonic() - started)


def hold_everything(picture: Path, width: int, height: int, frames: int, interpolate: str) -> None:
    """The same stages, one after the other, with every frame in a list."""
    plan, registry = camera_plan(picture, width, height, frames, interpolate)
    assert plan.interpolate is not None
    camera, filler = registry.stage("generate", "camera"), registry.stage("interpolate", interpolate)
    with camera.load(plan.generate.placement, plan.generate.options) as generate:
        drawn = list(generate(plan.source, Scratch(picture.parent)))
    gaps = [Gap(x0, x1, (plan.timeline.step,)) for x0, x1 in pairwise(drawn)]
    with filler.load(plan.interpolate.placement, plan.interpolate.options) as fill:
        filled = [frame for answer in fill(gaps) for frame in answer]
    assert len(drawn) + len(filled) == plan.shown.frames


if __name__ == "__main__":
    main()
