"""A job to measure, camera over a made picture → interpolator → ffmpeg: its plan, and the daemon that runs it.

The processes are watched from outside, five times a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from framedaemon.instance import Instance, create
from framedaemon.memory import this_machine
from framedaemon.opening import Limits, open_source
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.stages import Machine
from framedaemon.weights import models_folder

MIB = 1024 * 1024
MOVE = "drift"
"""Moves as much in each frame of a long clip as of a short one. In a long pan neighbours are duplicates, and held."""


@dataclass
class Watched:
    """What was seen of a job's processes and folder."""

    service: int = 0
    """Most bytes of memory; so are the next two."""
    worker: int = 0
    ffmpeg: int = 0
    tmp: int = 0
    """Most bytes below its folder at one time, the dropped picture not counted."""
    video: int = 0
    """Bytes."""
    wall: float = 0.0
    """Seconds."""
    cpu: float = 0.0
    """Seconds of all its processes."""
    resident: list[int] = field(default_factory=list)
    """Bytes that the worker held each time it was looked at."""

    @property
    def memory(self) -> int:
        """Of all three processes together, at their worst."""
        return self.service + self.worker + self.ffmpeg


def machine(threads: int = 0) -> Machine:
    """This one, with the models where the daemon looks for them by default; threads: 0 for all cores."""
    return this_machine("auto", threads, models_folder("", Path.cwd(), os.environ))


def draw_picture(path: Path, width: int, height: int) -> None:
    """Smooth random texture, a quarter wider than the frames so that there is room to move in."""
    small = np.random.default_rng(7).integers(0, 255, (height // 16, width // 12, 3), np.uint8)
    Image.fromarray(small).resize((width * 5 // 4, height), Image.Resampling.BICUBIC).save(path)


def camera_plan(picture: Path, width: int, height: int, frames: int, interpolate: str) -> tuple[Plan, Registry]:
    """A drift over the picture to twice its rate."""
    registry = load_plugins(None)
    options = {"frames": frames, "width": width, "height": height, "move": MOVE}
    recipe = Recipe(generate=StageChoice(use="camera", options=options), interpolate=InterpolateChoice(use=interpolate))
    return make_plan(open_source(picture, picture.name, Limits()), recipe, registry, machine(), seed=1), registry


def run_daemon(folder: Path, width: int, height: int, frames: int, interpolate: str, preset: str) -> Watched:
    """The same job, run by the real daemon (`framedaemon once`) in an instance of its own."""
    instance = Instance(folder)
    create(instance)
    instance.config.write_text("[inbox]\nsettle_seconds = 0\n[worker]\nnice = 0\n")
    recipe = (
        f"[generate]\nuse = 'camera'\nmove = '{MOVE}'\nframes = {frames}\nwidth = {width}\nheight = {height}\n"
        f"[interpolate]\nuse = '{interpolate}'\n[encode]\npreset = '{preset}'\n"
    )
    (instance.input / "photo.toml").write_text(recipe)
    draw_picture(instance.input / "photo.png", width, height)
    seen = Watched()
    started, spent = time.monotonic(), cpu_of_children()
    process = subprocess.Popen(
        [sys.executable, "-m", "framedaemon", "once", "--instance", str(folder)], stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        _watch(process.pid, seen)
        seen.tmp = max(seen.tmp, temporary_bytes(instance.jobs))
        time.sleep(0.2)
    seen.wall, seen.cpu = time.monotonic() - started, cpu_of_children() - spent
    assert process.returncode == 0, "the job failed: see output/logs"
    seen.video = (instance.output / "photo.mp4").stat().st_size
    filled = json.loads((instance.output / "photo.json").read_text())["frames"]["filled"]
    assert filled > 0.99 * (frames - 1), f"only {filled} of {frames - 1} gaps were filled"
    return seen


def _watch(service: int, seen: Watched) -> None:
    """Raise ``seen`` to what the daemon's processes have reached so far."""
    seen.service = max(seen.service, high_water(service))
    for worker in children(service):
        seen.worker = max(seen.worker, high_water(worker))
        seen.resident.append(held(worker))
        for child in children(worker):
            if runs_ffmpeg(child):
                seen.ffmpeg = max(seen.ffmpeg, high_water(child))


def cpu_of_children() -> float:
    """Seconds of our children that have ended, and of theirs."""
    times = os.times()
    return times.children_user + times.children_system


def children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []


def runs_ffmpeg(pid: int) -> bool:
    """Whether the process is ffmpeg by now, and no copy any more of the one that starts it."""
    try:
        return (Path("/proc") / str(pid) / "comm").read_text().startswith("ffmpeg")
    except OSError:
        return False


def high_water(pid: int) -> int:
    """VmHWM in bytes; 0 when the process is gone."""
    return _status(pid, "VmHWM")


def held(pid: int) -> int:
    """VmRSS in bytes; 0 when the process is gone."""
    return _status(pid, "VmRSS")


def _status(pid: int, fact: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(fact)), 0)


def temporary_bytes(folder: Path) -> int:
    """Bytes below it, what lies in a folder called ``source`` not counted."""
    total = 0
    for inner, _, names in os.walk(folder):
        for name in names if Path(inner).name != "source" else []:
            with suppress(OSError):  # gone since
                total += (Path(inner) / name).stat().st_size
    return total
