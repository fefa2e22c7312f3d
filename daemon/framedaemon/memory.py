"""How much memory there is, and the memory policy we ship: a plugin like anybody's.

The rule this project was born from clears the accelerator's cache more often the longer the clip:

    source frames    clear every                          passes
    fewer than 100   10 frames                            25 → 3, 81 → 9
    100 and more     max(3, 30 // (frames // 10)) = 3     161 → 54

Clearing alone does not help a process that holds every frame; ours hold none. So the policy goes on from there: when
a stage runs out of memory it steps down a ladder (clear every 2, every 1, smaller tiles, models off the device, the
CPU), one rung an attempt.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from framedaemon.errors import OutOfMemory
from framedaemon.hooks import hookimpl
from framedaemon.identity import version_of
from framedaemon.settings import show_bytes
from framedaemon.stages import Estimate, Machine, Placement
from framedaemon.task import StageTask

_ENDLESS = 1 << 62

_OWN, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def clear_cache_every(frames: int) -> int:
    """Source frames between two clearings of the accelerator's cache."""
    if frames < 100:
        return 10
    return max(3, 30 // (frames // 10))


def cache_passes(frames: int) -> int:
    """How often the cache is cleared in a clip of ``frames`` source frames."""
    return -(-frames // clear_cache_every(frames))


class DefaultMemoryPolicy:
    """The table first, then a ladder downwards, one rung for each time the stage ran out of memory."""

    @hookimpl
    def memory_policy(self, stage: StageTask, estimate: Estimate, machine: Machine, attempt: int) -> Placement:
        ladder = _cpu_ladder(machine) if machine.device == "cpu" else _device_ladder(stage, machine)
        if attempt >= len(ladder):
            wants = show_bytes(max(estimate.vram, estimate.ram))
            raise OutOfMemory(
                f"this ran out of memory {attempt} times, and no placement of {stage.name} is smaller than the last "
                f"(it wants about {wants} for {stage.width}x{stage.height}): use a smaller width and height"
            )
        return ladder[attempt]


def _device_ladder(stage: StageTask, machine: Machine) -> list[Placement]:
    device, threads = machine.device, machine.cores
    every = clear_cache_every(stage.frames)
    rungs = [
        Placement(device, clear_cache_every=every, threads=threads, reason=f"clear the cache every {every} frames"),
        Placement(device, clear_cache_every=2, threads=threads, reason="clear the cache every 2 frames"),
        Placement(device, clear_cache_every=1, threads=threads, reason="clear the cache after every frame"),
        Placement(device, clear_cache_every=1, tile=512, threads=threads, reason="tiles of 512"),
        Placement(device, clear_cache_every=1, tile=256, threads=threads, reason="tiles of 256"),
        Placement(
            device, offload="group", clear_cache_every=1, tile=256, threads=threads, reason="models off the device"
        ),
    ]
    return [*rungs, Placement(threads=threads, tile=512, reason="on the CPU"), *_cpu_ladder(machine)[1:]]


def _cpu_ladder(machine: Machine) -> list[Placement]:
    return [
        Placement(threads=machine.cores, reason="on the CPU"),
        Placement(threads=1, tile=512, reason="on the CPU, one thread, tiles of 512"),
        Placement(threads=1, tile=256, reason="on the CPU, one thread, tiles of 256"),
    ]


def this_machine(device: str, threads: int, models: Path = Path("models")) -> Machine:
    """What a job can count on here and now.

    ``device`` is a device's name, or ``auto``: the first CUDA device that torch can use, else the CPU.
    ``threads`` caps the cores; 0 takes all that this process may use. ``models`` is the folder of the weights.
    """
    cores = len(os.sched_getaffinity(0))
    cores = min(cores, threads) if threads else cores
    if device == "auto":
        device = _first_accelerator()
    return Machine(device, _free_vram(device), available_ram(), cores, _identity(device), models)


def _identity(device: str) -> str:
    """The device and what drives it, and all the memory there is, to the gigabyte: kernels differ in the last few."""
    memory = f"{round(total_ram() / 2**30)} GiB of memory"
    return ", ".join([*_accelerator(device), memory, f"framedaemon {version_of('framedaemon')}"])


def _accelerator(device: str) -> list[str]:
    if not device.startswith("cuda"):
        return []
    import torch

    facts = torch.cuda.get_device_properties(torch.device(device))
    driver = Path("/sys/module/nvidia/version")
    version = driver.read_text(encoding="ascii").strip() if driver.exists() else "unknown"
    return [facts.name, show_bytes(facts.total_memory), f"driver {version}", f"torch {torch.__version__}"]


def total_ram() -> int:
    """Bytes of main memory this process could ever take: the machine's, or its cgroup's limit."""
    return min(_meminfo("MemTotal"), min((_limit(group) for group in _groups(_OWN, _MOUNT)), default=_ENDLESS))


def available_ram() -> int:
    """Bytes of main memory this process may still take: what is available, or what its cgroup leaves."""
    return min(_meminfo("MemAvailable"), cgroup_room())


def _meminfo(fact: str) -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{fact}:"))


def cgroup_room(own: Path = _OWN, mount: Path = _MOUNT) -> int:
    """Bytes that control groups version 2 leave to this process; endless where there is no limit.

    What the kernel gives up when asked, its cache of files, is not counted as used.
    """
    return min((_room_in(group) for group in _groups(own, mount)), default=_ENDLESS)


def _groups(own: Path, mount: Path) -> list[Path]:
    """The group of this process, and those above it."""
    try:
        inner = own.read_text(encoding="utf-8", errors="replace").strip().rpartition(":")[2].strip("/")
    except OSError:
        return []
    group = mount / inner
    return [folder for folder in (group, *group.parents) if folder.is_relative_to(mount)]


def _limit(group: Path) -> int:
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return _ENDLESS  # the root group, and those without the memory controller, have no such file
    return _ENDLESS if limit == "max" else int(limit)


def _room_in(group: Path) -> int:
    limit = _limit(group)
    if limit == _ENDLESS:
        return _ENDLESS
    try:
        used = int((group / "memory.current").read_text(encoding="ascii"))
        facts = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    except OSError:
        return _ENDLESS
    cached = int(facts.get("inactive_file", 0)) + int(facts.get("active_file", 0))
    return max(0, limit - used + cached)


def oom_kills(own: Path = _OWN, mount: Path = _MOUNT, vmstat: Path = Path("/proc/vmstat")) -> int:
    """How many processes of our control group the kernel has ended for want of memory; 0 where it does not tell.

    Outside of such groups (of version 2) those of the whole machine are counted.
    """
    for count in (*(group / "memory.events" for group in _groups(own, mount)[:1]), vmstat):
        with suppress(OSError):
            lines = count.read_text(encoding="ascii").splitlines()
            return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    return 0


def _first_accelerator() -> str:
    if not Path("/dev/nvidiactl").exists() or find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _free_vram(device: str) -> int:
    if not device.startswith("cuda"):
        return 0
    import torch

    return int(torch.cuda.mem_get_info(device)[0])
