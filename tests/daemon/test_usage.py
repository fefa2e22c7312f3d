from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from framedaemon.usage import read_disks, read_memory, resident_bytes

MIB = 1 << 20

# Takes 64 MiB, starts a process that takes 64 more, and says so.
FAMILY = """
import subprocess, sys
held = b"x" * (64 << 20)
child = [sys.executable, "-c", "held = b'x' * (64 << 20); print(); input()"]
subprocess.run(child) if len(sys.argv) > 1 else input(print())
"""


def test_a_workers_memory_is_that_of_all_that_it_started() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY, "family"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        alone, memory = resident_bytes(worker.pid), read_memory(os.getpid(), worker.pid)
        worker.communicate(b"\n")

    assert alone is not None
    assert memory.worker_bytes is not None
    assert memory.worker_bytes > max(alone + 60 * MIB, 128 * MIB)
    assert memory.daemon_bytes is not None
    assert 0 < memory.available_bytes <= memory.total_bytes


def test_processes_that_are_gone_hold_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    memory = read_memory(None, child.pid)

    assert (memory.daemon_bytes, memory.worker_bytes) == (None, None)


def test_folders_on_one_filesystem_are_one_disk(tmp_path: Path) -> None:
    for name in ("tmp", "output"):
        (tmp_path / name).mkdir()

    (disk,) = read_disks(tmp_path / "tmp", tmp_path / "output")

    assert disk.folder == "tmp"
    assert 0 < disk.free_bytes <= disk.total_bytes


def test_folders_on_two_filesystems_are_two_disks_and_one_that_is_gone_is_none(tmp_path: Path) -> None:
    assert [disk.folder for disk in read_disks(tmp_path, Path("/dev/shm"))] == [tmp_path.name, "shm"]
    assert [disk.folder for disk in read_disks(tmp_path, tmp_path / "gone")] == [tmp_path.name]
