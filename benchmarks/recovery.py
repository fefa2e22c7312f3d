"""How soon a daemon that was killed is at work again, with a long queue and with none.

    python benchmarks/recovery.py [--jobs 1000] [--runs 5]

A daemon is killed (SIGKILL) with so many jobs in its queue and one at work. Seconds from the next start of the program
until an attempt at a job is recorded and handed out ("running"), with the CPU time that the service took for it, and
until the first video is out; beside it, in turn, the same with a single job in the queue.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from framedaemon.instance import Instance, create

_CONFIG = """
[inbox]
settle_seconds = 0.0
[worker]
max_attempts = 100
retry_seconds = 0
[defaults.generate]
frames = 6
width = 64
height = 48
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
        queues = {1: fill(Path(folder) / "short", 1), arguments.jobs: fill(Path(folder) / "long", arguments.jobs)}
        took: dict[int, list[tuple[float, float, float]]] = {jobs: [] for jobs in queues}
        for run in range(arguments.runs):
            for jobs, instance in queues.items():
                (instance.input / f"more{run}.png").write_bytes(picture())  # one was made in the run before
                took[jobs].append(measure(instance))
        for jobs, runs in took.items():
            running, cpu, published = (sorted(times) for times in zip(*runs, strict=True))
            print(
                f"{jobs:>5} queued: running after {median(running):.2f} s (worst {running[-1]:.2f}), "
                f"of which {median(cpu):.2f} s CPU; "
                f"first video after {median(published):.2f} s (worst {published[-1]:.2f})"
            )
        few, many = ([median(times) for times in zip(*runs, strict=True)] for runs in took.values())
        print(f"ratio: {many[0] / few[0]:.2f}, in CPU time {many[1] / few[1]:.2f}")


def fill(root: Path, jobs: int) -> Instance:
    """An instance whose daemon was killed at its first job, with ``jobs`` in its queue."""
    instance = Instance(root)
    create(instance)
    instance.config.write_text(_CONFIG)
    for number in range(jobs):
        (instance.input / f"{number:05}.png").write_bytes(picture())
    process = start(instance)
    wait_until(lambda: one(instance, "SELECT count(*) FROM jobs") >= jobs)
    wait_until(lambda: one(instance, "SELECT count(*) FROM jobs WHERE state = 'running'") > 0)
    process.kill()
    process.wait()
    return instance


def measure(instance: Instance) -> tuple[float, float, float]:
    """Start the daemon, and kill it again: seconds until a job runs, CPU seconds, and until a video is out."""
    began, attempts = time.monotonic(), one(instance, "SELECT count(*) FROM attempts")
    made = one(instance, "SELECT count(*) FROM jobs WHERE state = 'done'")
    process = start(instance)
    wait_until(lambda: one(instance, "SELECT count(*) FROM attempts") > attempts)
    running, cpu = time.monotonic() - began, cpu_seconds(process.pid)
    wait_until(lambda: one(instance, "SELECT count(*) FROM jobs WHERE state = 'done'") > made)
    published = time.monotonic() - began
    process.kill()
    process.wait()
    return running, cpu, published


def start(instance: Instance) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "framedaemon", "run", "--instance", str(instance.root)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def cpu_seconds(pid: int) -> float:
    """Of a process alone, since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one(instance: Instance, query: str) -> int:
    """The number that a query gives; 0 while there is no ledger."""
    try:
        db = sqlite3.connect(f"file:{instance.ledger}?mode=ro", uri=True)
        try:
            return int(db.execute(query).fetchone()[0])
        finally:
            db.close()
    except sqlite3.OperationalError:
        return 0


def picture() -> bytes:
    from io import BytesIO

    with BytesIO() as file:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)).save(file, "PNG")
        return file.getvalue()


def wait_until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("it did not happen in time")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
