"""The daemon at rest and under a flood, measured from outside.

    python benchmarks/waiting_and_flood.py [--files 10000] [--idle-seconds 60]

At rest: CPU of the waiting daemon (service and worker) as a share of one core. One file: seconds from the close of a
dropped file to its claim in the ledger, beyond settle_seconds. Flood: small pictures that appear all at once; seconds
until all stand in the ledger, whether any was lost or taken twice, and the peak memory of the service meanwhile.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from jobs import children, high_water
from PIL import Image

from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger

_SETTLE_SECONDS = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=60)
    parser.add_argument("--single", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flood-") as folder:
        instance = Instance(Path(folder))
        create(instance)
        instance.config.write_text(f"[inbox]\nsettle_seconds = {_SETTLE_SECONDS}\n")
        with daemon(instance) as pid:
            measure_rest(pid, arguments.idle_seconds)
            measure_single(instance, arguments.single)
            measure_flood(instance, pid, arguments.files)


@contextmanager
def daemon(instance: Instance) -> Iterator[int]:
    """A running daemon's process id; it is killed, worker and all, at the end."""
    command = [sys.executable, "-m", "framedaemon", "run", "--instance", str(instance.root)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: instance.ledger.exists() and instance.status.exists(), 60)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.wait()


def measure_rest(pid: int, seconds: float) -> None:
    time.sleep(2)
    before, started = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - started)
    print(f"at rest: {100 * share:.3f} % of a core, service {high_water(pid) / 1e6:.0f} MB", flush=True)


def measure_single(instance: Instance, count: int) -> None:
    """Beyond the settle time, from the close of a file until its row is in the ledger."""
    delays = []
    for index in range(count):
        closed = drop_picture(instance.input, f"single-{index}.png")
        wait_until(lambda known=index: count_drops(instance) > known, 30)
        delays.append(time.monotonic() - closed - _SETTLE_SECONDS)
    print(f"close to claim, beyond settling: median {median(delays):.3f} s, worst {max(delays):.3f} s", flush=True)


def measure_flood(instance: Instance, pid: int, count: int) -> None:
    before = count_drops(instance)
    ready = instance.tmp / "flood"
    ready.mkdir()
    for index in range(count):
        drop_picture(ready, f"flood-{index}.png")
    started = time.monotonic()
    for path in ready.iterdir():
        path.rename(instance.input / path.name)
    moved = time.monotonic() - started
    wait_until(lambda: count_drops(instance) >= before + count, 600)
    took = time.monotonic() - started
    ledger = Ledger(instance.ledger, read_only=True)
    names = [job.name for job in ledger.jobs() if job.name.startswith("flood-")]
    ledger.close()
    left = sum(1 for path in instance.input.iterdir() if path.name.startswith("flood-"))
    print(
        f"flood of {count}: moved in within {moved:.1f} s, all in the ledger after {took:.1f} s; "
        f"lost {count - len(set(names))}, twice {len(names) - len(set(names))}, left in input/ {left}; "
        f"service peak {high_water(pid) / 1e6:.0f} MB"
    )


def drop_picture(folder: Path, name: str) -> float:
    """A small picture of its own; returns when it was closed."""
    seed = sum(name.encode())
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 32, 3), np.uint8)).save(folder / name)
    return time.monotonic()


def count_drops(instance: Instance) -> int:
    ledger = Ledger(instance.ledger, read_only=True)
    try:
        return sum(ledger.count().values())
    finally:
        ledger.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living children."""
    total = 0.0
    for each in (pid, *children(pid)):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("it did not happen in time")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
