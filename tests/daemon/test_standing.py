"""What a worker and its encoder are to others on the machine, asked of the kernel."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from framedaemon.standing import stand_back, thread_counts
from living import CONFIG, drop, living, make_instance, tick_until

IOPRIO_GET = {"x86_64": 252, "aarch64": 31}.get(platform.machine())
LOW, IDLE = 2 << 13 | 7, 3 << 13

needs_ioprio = pytest.mark.skipif(IOPRIO_GET is None, reason="the number of this kernel's call is not known here")


def io_priority(pid: int) -> int:
    return int(ctypes.CDLL(None).syscall(IOPRIO_GET, 1, pid))


@needs_ioprio
@pytest.mark.parametrize(("io", "found"), [("low", LOW), ("idle", IDLE)])
def test_a_process_stands_back_at_the_cpu_and_at_the_disk(io: str, found: int) -> None:
    code = (
        "import sys; from framedaemon.standing import stand_back;"
        "before = __import__('os').nice(0); stand_back(3, sys.argv[1]);"
        "print(__import__('os').nice(0) - before, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, io], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None

    nice = int(process.stdout.readline())
    priority = io_priority(process.pid)
    process.communicate("\n")

    assert (nice, priority) == (3, found)


def test_a_process_that_is_not_to_stand_back_is_left_as_it_is() -> None:
    before = os.nice(0)

    stand_back(0, "normal")

    assert os.nice(0) == before


def test_libraries_are_told_of_threads_only_where_they_are_capped() -> None:
    assert thread_counts(0) == {}
    assert thread_counts(2)["OMP_NUM_THREADS"] == "2"


@needs_ioprio
def test_a_worker_s_encoder_inherits_all_of_it(tmp_path: Path) -> None:
    settings = CONFIG.replace("nice = 0", "nice = 7").replace("threads = 1", "threads = 2")
    instance = make_instance(tmp_path, settings)
    drop(instance, "a.png", sidecar='[generate]\nuse = "faulty"\nfault = "hang"\n')
    with living(instance) as service:
        tick_until(service, lambda: _ffmpeg(service.executor.pid) is not None)
        pid = _ffmpeg(service.executor.pid)
        assert pid is not None
        nice, priority = os.getpriority(os.PRIO_PROCESS, pid), io_priority(pid)
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        service.tick(time.monotonic())

    assert (nice, priority) == (os.nice(0) + 7, LOW)
    assert b"OMP_NUM_THREADS=2" in environment


def _ffmpeg(worker: int | None) -> int | None:
    """The encoder at work, once it is."""
    children = [
        int(pid) for task in Path(f"/proc/{worker}/task").glob("*/children") for pid in task.read_text().split()
    ]
    named = [pid for pid in children if "ffmpeg" in Path(f"/proc/{pid}/comm").read_text() and _feeds(pid)]
    return named[0] if named else None


def _feeds(pid: int) -> bool:
    """Whether it encodes a clip, and does not tell what it can."""
    return b"rawvideo" in Path(f"/proc/{pid}/cmdline").read_bytes()
