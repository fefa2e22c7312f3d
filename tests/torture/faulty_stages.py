"""camera and flow, which break after the first frame when a recipe says so: a drop-in plugin for `torture.faulty`."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from framedaemon import Estimate, Filled, Frame, Gap, OutOfMemory, Placement, Scratch, Source, hookimpl
from framedaemon_camera import Camera, CameraOptions
from framedaemon_flow.stage import Flow, FlowOptions

broken_device = False


class FaultyCameraOptions(CameraOptions):
    """When it breaks, and how."""

    fault: str = "none"
    key: str = ""
    times: int = 0
    fits: str = ""
    """With the fault "shrink": the reason of the first placement that is small enough."""


class FaultyFlowOptions(FlowOptions):
    """The same."""

    fault: str = "none"
    key: str = ""
    times: int = 0
    fits: str = ""


class FaultyCamera(Camera):
    """A camera that breaks."""

    name = "faulty"
    options = FaultyCameraOptions
    preference = -1

    def estimate(self, takes: Source, gives: Any, options: Any) -> Estimate:
        return Estimate(ram=1, seconds=super().estimate(takes, gives, options).seconds)

    @contextmanager
    def load(self, placement: Placement, options: Any) -> Iterator[Any]:
        with super().load(placement, options) as work:

            def generate(source: Source, scratch: Scratch) -> Iterator[Frame]:
                for index, frame in enumerate(work(source, scratch)):
                    if index == 1:
                        strike(options, placement)
                    yield frame

            yield generate


class FaultyFlow(Flow):
    """A flow that breaks."""

    name = "faultyflow"
    options = FaultyFlowOptions
    preference = -1

    @contextmanager
    def load(self, placement: Placement, options: Any) -> Iterator[Any]:
        with super().load(placement, options) as work:

            def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
                for index, filled in enumerate(work(gaps)):
                    if index == 1:
                        strike(options, placement)
                    yield filled

            yield fill


def strike(options: FaultyCameraOptions | FaultyFlowOptions, placement: Placement) -> None:
    """Do what the recipe says, unless it was done often enough."""
    if broken_device:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if options.fault == "none":
        return
    if options.fault == "shrink":
        shrink(options, placement)
        return
    tries = Path("tries") / options.key
    tries.parent.mkdir(exist_ok=True)
    count = len(tries.read_bytes()) if tries.exists() else 0
    if count < options.times:
        with tries.open("ab") as file:
            file.write(b"x")
        STRIKES[options.fault]()


def shrink(options: FaultyCameraOptions | FaultyFlowOptions, placement: Placement) -> None:
    """Run out of memory in every placement until one of the reason that ``fits`` names was tried."""
    seen = Path("tries") / options.key
    seen.parent.mkdir(exist_ok=True)
    with seen.open("a", encoding="utf-8") as file:
        file.write(f"{placement.reason}\n")
    if placement.reason != options.fits:
        raise_memory(options.times)


def raise_memory(kind: int) -> None:
    """Every class of error that means it."""
    if kind == 0:
        raise OutOfMemory("no room on the device")
    if kind == 1:
        raise MemoryError
    raise sys.modules["torch"].OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def sleep() -> None:
    while True:
        time.sleep(1)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def stop_ffmpeg() -> None:
    for task in Path("/proc/self/task").glob("*/children"):
        for child in task.read_text().split():
            os.kill(int(child), signal.SIGSTOP)


def hold_the_lock() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def hang_up() -> None:
    ctypes.PyDLL(None).shutdown(int(sys.orig_argv[-1]), 2)  # holding the lock, so that no thread of ours sees it
    os.kill(os.getpid(), signal.SIGSTOP)


def leave_a_child() -> None:
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    os.kill(os.getpid(), signal.SIGKILL)


def raise_once() -> None:
    raise RuntimeError("something broke")


def break_the_device() -> None:
    global broken_device
    broken_device = True
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def eat() -> None:
    eaten = []
    while True:
        eaten.append(np.ones(10_000_000, np.uint8))


def starve_ffmpeg() -> None:
    """Eat until the kernel has to end something, and see to it that this is ffmpeg."""
    for task in Path("/proc/self/task").glob("*/children"):
        for child in task.read_text().split():
            Path(f"/proc/{child}/oom_score_adj").write_text("1000")
    before, eaten = oom_kills(), []
    while oom_kills() == before:
        eaten.append(np.ones(2_000_000, np.uint8))


def oom_kills() -> str:
    return next(line for line in Path("/proc/vmstat").read_text().splitlines() if line.startswith("oom_kill "))


STRIKES: dict[str, Callable[[], None]] = {
    "sleep": sleep,
    "stop": stop,
    "stop ffmpeg": stop_ffmpeg,
    "hold the lock": hold_the_lock,
    "hang up": hang_up,
    "leave a child": leave_a_child,
    "raise": raise_once,
    "break the device": break_the_device,
    "eat": eat,
    "starve ffmpeg": starve_ffmpeg,
}


@hookimpl
def generators() -> list[FaultyCamera]:
    return [FaultyCamera()]


@hookimpl
def interpolators() -> list[FaultyFlow]:
    return [FaultyFlow()]
