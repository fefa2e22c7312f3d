"""Peak memory and temporary disk of a whole job, against the number of frames.

    python benchmarks/memory_flat.py 161 1610 16100 [--naive 161 483] [--size 832x1216] [--interpolate flow]

Each row is one run of the real daemon (`framedaemon once`) in an instance of its own: camera → interpolator → ffmpeg.
The processes are watched from outside, five times a second: VmHWM of the service, of its worker and of ffmpeg, and the
bytes below tmp/ but for the ledger and the video itself. ``--naive`` runs the same stages in a process that keeps every
frame in lists, as scripts do, to show that the measurement can fail.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from framedaemon.instance import Instance, create

_MIB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("frames", type=int, nargs="*", default=[161, 1610])
    parser.add_argument("--naive", type=int, nargs="*", default=[])
    parser.add_argument("--size", default="832x1216")
    parser.add_argument("--interpolate", default="flow")
    parser.add_argument("--naive-child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--picture", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.naive_child is not None:
        hold_everything(arguments.picture, arguments.naive_child, arguments.interpolate)
        return

    width, height = (int(side) for side in arguments.size.split("x"))
    print(f"{'':8}{'frames':>8}{'service':>10}{'worker':>10}{'ffmpeg':>10}{'tmp/':>10}{'video':>10}{'wall s':>9}")
    first: int | None = None
    for frames in arguments.frames:
        with tempfile.TemporaryDirectory(prefix="memory-flat-") as folder:
            peaks = run_daemon(Path(folder), width, height, frames, arguments.interpolate)
        first = first or peaks["worker"]
        print_row("daemon", frames, peaks, f"  worker {peaks['worker'] / first:.3f} x the first")
    for frames in arguments.naive:
        with tempfile.TemporaryDirectory(prefix="memory-flat-") as folder:
            peaks = run_naive(Path(folder), width, height, frames, arguments.interpolate)
        print_row("naive", frames, peaks, "")


def print_row(kind: str, frames: int, peaks: dict[str, int], note: str) -> None:
    columns = "".join(f"{peaks.get(key, 0) / _MIB:>8.1f} M" for key in ("service", "worker", "ffmpeg", "tmp", "video"))
    print(f"{kind:8}{frames:>8}{columns}{peaks['wall']:>9}{note}", flush=True)


def run_daemon(folder: Path, width: int, height: int, frames: int, interpolate: str) -> dict[str, int]:
    """Peaks, in bytes, of one job run by the daemon."""
    instance = Instance(folder)
    create(instance)
    instance.config.write_text("[inbox]\nsettle_seconds = 0\n[worker]\nnice = 0\n")
    recipe = (
        f"[generate]\nuse = 'camera'\nmove = 'pan_right'\nframes = {frames}\nwidth = {width}\nheight = {height}\n"
        f"[interpolate]\nuse = '{interpolate}'\n[encode]\npreset = 'ultrafast'\n"
    )
    (instance.input / "photo.toml").write_text(recipe)
    draw_picture(instance.input / "photo.png", width, height)
    command = [sys.executable, "-m", "framedaemon", "once", "--instance", str(folder)]
    started = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    peaks = {"service": 0, "worker": 0, "ffmpeg": 0, "tmp": 0}
    while process.poll() is None:
        watch(process.pid, peaks)
        peaks["tmp"] = max(peaks["tmp"], temporary_bytes(instance))
        time.sleep(0.2)
    assert process.returncode == 0, "the job failed: see output/logs"
    peaks["video"] = (instance.output / "photo.mp4").stat().st_size
    peaks["wall"] = round(time.monotonic() - started)
    return peaks


def run_naive(folder: Path, width: int, height: int, frames: int, interpolate: str) -> dict[str, int]:
    """Peak of a process that holds every frame."""
    picture = folder / "photo.png"
    draw_picture(picture, width, height)
    command = [sys.executable, __file__, "--naive-child", str(frames), "--picture", str(picture)]
    started = time.monotonic()
    process = subprocess.Popen([*command, "--interpolate", interpolate])
    peak = 0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.05)
    return {"worker": peak, "wall": round(time.monotonic() - started)}


def hold_everything(picture: Path, frames: int, interpolate: str) -> None:
    """The same stages, one after the other, with every frame in a list."""
    from framedaemon.memory import this_machine
    from framedaemon.opening import Limits, open_source
    from framedaemon.plan import make_plan
    from framedaemon.plugins import load_plugins
    from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
    from framedaemon.stages import Gap, Scratch

    registry = load_plugins(None)
    recipe = Recipe(
        generate=StageChoice(use="camera", options={"frames": frames, "move": "pan_right"}),
        interpolate=InterpolateChoice(use=interpolate),
    )
    plan = make_plan(open_source(picture, "photo", Limits()), recipe, registry, this_machine("cpu", 0), seed=1)
    assert plan.interpolate is not None
    camera, filler = registry.stage("generate", "camera"), registry.stage("interpolate", interpolate)
    with camera.load(plan.generate.placement, plan.generate.options) as generate:
        drawn = list(generate(plan.source, Scratch(picture.parent)))
    times = (plan.timeline.step,)
    gaps = [Gap(x0, x1, times) for x0, x1 in pairwise(drawn)]
    with filler.load(plan.interpolate.placement, plan.interpolate.options) as fill:
        filled = [frame for answer in fill(gaps) for frame in answer]
    assert len(drawn) + len(filled) == plan.shown.frames


def draw_picture(path: Path, width: int, height: int) -> None:
    """Smooth random texture, a quarter wider than the frames so that there is something to pan over."""
    small = np.random.default_rng(7).integers(0, 255, (height // 16, width // 12, 3), np.uint8)
    Image.fromarray(small).resize((width * 5 // 4, height), Image.Resampling.BICUBIC).save(path)


def watch(service: int, peaks: dict[str, int]) -> None:
    """Raise ``peaks`` to what the daemon's processes have reached so far."""
    peaks["service"] = max(peaks["service"], high_water(service))
    for worker in children(service):
        peaks["worker"] = max(peaks["worker"], high_water(worker))
        for child in children(worker):
            peaks["ffmpeg"] = max(peaks["ffmpeg"], high_water(child))


def children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []


def high_water(pid: int) -> int:
    """VmHWM in bytes; 0 when the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def temporary_bytes(instance: Instance) -> int:
    """Bytes below tmp/jobs/, the dropped file itself not counted."""
    total = 0
    for path in instance.jobs.rglob("*"):
        try:
            if path.is_file() and path.parent.name != "source":
                total += path.stat().st_size
        except OSError:
            continue
    return total


if __name__ == "__main__":
    main()
