"""What a kill in the middle of a long clip costs, and what it costs to be ready for one.

    python benchmarks/resume.py [--frames 481] [--size 832x1216] [--at 0.75] [--interpolate flow]

camera → interpolator → ffmpeg, each run in a process of its own, one after the other: the clip encoded in one; in
parts, as framedaemon does; in parts and killed, ffmpeg too, when ``--at`` of the frames had gone into the encoder; and
the attempt after that. Then the frames are drawn once more, to hold both videos against them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from math import log10
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from jobs import camera_plan, draw_picture

from framedaemon import pipeline
from framedaemon.clip import Clip, Frame
from framedaemon.plan import Plan
from framedaemon.plugins import Registry
from framedaemon.stages import Scratch
from framedaemon.weave import Tally, weave


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=481, help="frames drawn; twice as many less one are shown")
    parser.add_argument("--size", default="832x1216")
    parser.add_argument("--at", type=float, default=0.75)
    parser.add_argument("--interpolate", default="flow")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    job = Job(arguments.size, arguments.frames, arguments.interpolate)
    if arguments.folder is not None:
        run_child(arguments.folder, job, arguments.whole)
        return
    with tempfile.TemporaryDirectory(prefix="resume-") as folder:
        compare(Path(folder), job, arguments.at)


class Job(NamedTuple):
    size: str
    """``832x1216``"""
    frames: int
    interpolate: str

    @property
    def sides(self) -> tuple[int, int]:
        """Width and height."""
        width, height = (int(side) for side in self.size.split("x"))
        return width, height

    def plan(self, picture: Path) -> tuple[Plan, Registry]:
        return camera_plan(picture, *self.sides, self.frames, self.interpolate)


def compare(folder: Path, job: Job, at: float) -> None:
    draw_picture(folder / "picture.png", *job.sides)
    plan, registry = job.plan(folder / "picture.png")
    shown, lengths = plan.shown.frames, [stop - start for start, stop in pairwise(plan.cuts)]
    print(f"{plan.shown.describe()}, in {len(lengths)} parts of {min(lengths)} to {max(lengths)} frames", flush=True)
    for name in ("whole", "parts", "killed"):
        (folder / name).mkdir()

    whole = run(folder / "whole", job, "--whole")
    print_row("one encode", whole, "")
    parts = run(folder / "parts", job)
    slower, busier, larger = (parts[key] / whole[key] for key in ("seconds", "cpu", "bytes"))
    print_row("in parts", parts, f"{slower:.3f} x the seconds, {busier:.3f} x the cpu, {larger:.4f} x the bytes")
    reached = kill(folder / "killed", job, round(at * shown))
    again = run(folder / "killed", job)
    quicker, begin = again["seconds"] / parts["seconds"], again["resumed_at"]
    print_row(
        "after a kill", again, f"at frame {reached}, going on at {begin}: {quicker:.3f} x the seconds of all of it"
    )
    same = digest(folder / "parts" / "video.mp4") == digest(folder / "killed" / "video.mp4")
    print(f"decoded frames after a kill are {'the same, to the bit' if same else 'NOT THE SAME'}", flush=True)
    for name, value in psnr(plan, registry, folder).items():
        print(f"{name:16}{value:>9.3f} dB", flush=True)


def print_row(name: str, took: dict[str, Any], note: str) -> None:
    print(
        f"{name:16}{took['seconds']:>9.1f} s{took['cpu']:>9.1f} s of cpu{took['bytes']:>12} bytes   {note}".rstrip(),
        flush=True,
    )


def run(folder: Path, job: Job, *more: str) -> dict[str, Any]:
    """What an attempt took, from the start of its process to its end."""
    started = time.monotonic()
    done = subprocess.run(_command(folder, job, *more), stdout=subprocess.PIPE, check=True)
    seconds = time.monotonic() - started
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": seconds}


def kill(folder: Path, job: Job, at: int) -> int:
    """Begin an attempt, and kill it with all that it started once ``at`` frames went into the encoder."""
    process = subprocess.Popen(_command(folder, job), stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    reached = next(int(line) for line in process.stdout if int(line) >= at)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return reached


def _command(folder: Path, job: Job, *more: str) -> list[str]:
    said = ["--folder", str(folder), "--frames", str(job.frames), "--size", job.size, "--interpolate", job.interpolate]
    return [sys.executable, __file__, *said, *more]


def run_child(folder: Path, job: Job, whole: bool) -> None:
    """One attempt; tells how many frames went into the encoder, and in the end what became of it."""
    plan, registry = job.plan(folder.parent / "picture.png")
    if whole:
        plan = replace(plan, video=replace(plan.video, joins=False))

    def report(stage: str, done: int, total: int) -> None:
        if stage == "ffmpeg":
            print(done, flush=True)

    made = pipeline.run(plan, folder, registry, "{}", report)
    cpu = sum(os.times()[:4])  # ours and that of finished children: ffmpeg
    print(json.dumps({"bytes": made.bytes, "resumed_at": made.resumed_at, "cpu": cpu}), flush=True)


def digest(video: Path) -> list[bytes]:
    with av.open(str(video)) as file:
        return [hashlib.sha256(b"".join(map(bytes, frame.planes))).digest() for frame in file.decode(video=0)]


def psnr(plan: Plan, registry: Registry, folder: Path) -> dict[str, float]:
    """Of luma, over all frames of the clip, as each of the two ways of encoding kept them."""
    squares = {"one encode": 0.0, "in parts": 0.0}
    with ExitStack() as stack:
        decoded = [
            stack.enter_context(av.open(str(folder / name / "video.mp4"))).decode(video=0)
            for name in ("whole", "parts")
        ]
        for frame, *shown in zip(drawn(plan, registry, folder, stack), *decoded, strict=True):
            luma = 16 + frame @ (np.array([0.2126, 0.7152, 0.0722]) * 219 / 255)
            for name, picture in zip(squares, shown, strict=True):
                kept = np.frombuffer(picture.planes[0], np.uint8).reshape(picture.height, -1)[:, : picture.width]
                squares[name] += float(np.square(kept - luma).mean())
    return {name: 10 * log10(255**2 * plan.shown.frames / total) for name, total in squares.items()}


def drawn(plan: Plan, registry: Registry, folder: Path, stack: ExitStack) -> Iterator[Frame]:
    """The frames as they go into the encoder."""
    assert plan.interpolate is not None
    name = plan.interpolate.task.name
    camera, filler = registry.stage("generate", "camera"), registry.stage("interpolate", name)
    generate = stack.enter_context(camera.load(plan.generate.placement, plan.generate.options))
    fill = stack.enter_context(filler.load(plan.interpolate.placement, plan.interpolate.options))
    clip = Clip(plan.drawn, generate(plan.source, Scratch(folder)), "camera")
    return iter(weave(clip, plan.timeline, fill, name, Tally()))


if __name__ == "__main__":
    main()
