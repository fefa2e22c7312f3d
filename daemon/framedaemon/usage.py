"""What the daemon, its worker and their machine use right now: main memory, accelerators, disks.

Read from /proc, statvfs and, where nvidia-ml-py is installed, the driver. What cannot be read is None, or not there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framedaemon.memory import memory_of

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Device:
    """An accelerator, whoever uses it."""

    name: str
    used_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory, and that of accelerators."""

    daemon_bytes: int | None
    """Resident, of the service; None while none runs."""
    worker_bytes: int | None
    """Resident, of the worker and all that it started; None while there is none."""
    available_bytes: int
    """That the daemon may still take: what the machine, or its control group, leaves."""
    total_bytes: int
    """Of the machine, or of the control group."""
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class Disk:
    """A filesystem that the instance writes to."""

    folder: str
    """``tmp`` or ``output``; one of them where both are on the same."""
    free_bytes: int
    total_bytes: int


def read_memory(daemon: int | None, worker: int | None) -> Memory:
    """The memory of processes ``daemon`` and ``worker``, and what is left to them."""
    available, total = memory_of(_PROC / str(daemon or "self") / "cgroup")
    own = resident_bytes(daemon) if daemon is not None else None
    family = [resident_bytes(pid) for pid in _family(worker)] if worker is not None else []
    return Memory(own, sum(size or 0 for size in family) if any(family) else None, available, total, _devices())


def read_disks(tmp: Path, output: Path) -> tuple[Disk, ...]:
    """The filesystems of both folders, once where they share it; those that are gone are left out."""
    found: dict[int, Disk] = {}
    for folder in (tmp, output):
        with suppress(OSError):
            status, device = os.statvfs(folder), folder.stat().st_dev
            free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
            found.setdefault(device, Disk(folder.name, free, total))
    return tuple(found.values())


def resident_bytes(pid: int) -> int | None:
    """Main memory that a process holds, or None when it is gone."""
    try:
        return int((_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


def _family(pid: int) -> set[int]:
    """The process and all that came of it; on kernels that list no children, it alone."""
    found, left = {pid}, [pid]
    while left:
        for children in (_PROC / str(left.pop())).glob("task/*/children"):
            with suppress(OSError):
                new = {int(child) for child in children.read_text(encoding="ascii").split()} - found
                found |= new
                left += new
    return found


def _devices() -> tuple[Device, ...]:
    """NVIDIA's, as nvidia-ml-py (the extra ``nvidia``) tells."""
    if not Path("/proc/driver/nvidia/version").exists():
        return ()
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(_device(handle) for handle in handles)
    except pynvml.NVMLError:
        return ()


def _device(handle: object) -> Device:
    import pynvml

    memory, name = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetName(handle)
    return Device(name if isinstance(name, str) else name.decode(), int(memory.used), int(memory.total))
