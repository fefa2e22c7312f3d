"""How much memory there is, and the memory policy we ship: a plugin like anybody's.

It begins with the first rung of a stage's ladder that by the stage's estimate fits into the memory that is free, and
steps down one rung each time the stage runs out of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from framedaemon.errors import OutOfMemory
from framedaemon.hooks import hookimpl
from framedaemon.identity import version_of
from framedaemon.ladder import fits, fitting_rungs, phase_grid, rungs
from framedaemon.settings import show_bytes
from framedaemon.stages import Estimate, Machine, Placement
from framedaemon.task import StageTask

_ENDLESS = 1 << 62

_OWN, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


class DefaultMemoryPolicy:
    """A ladder downwards (see `ladder`): to what fits, and one rung for each time that it did not."""

    @hookimpl
    def memory_policy(self, stage: StageTask, estimate: Estimate, machine: Machine, attempt: int) -> Placement:
        if estimate.phases:
            return _place_phases(stage, estimate, machine, attempt)
        ladder = rungs(stage, estimate, machine)
        fitting = (rung for rung, placement in enumerate(ladder) if fits(stage, estimate, machine, placement))
        first = next(fitting, len(ladder) - 1)
        if first + attempt >= len(ladder):
            raise OutOfMemory(_no_smaller(stage, max(estimate.vram, estimate.ram), attempt))
        placement = ladder[first + attempt]
        if first == 0:
            return placement
        whole = estimate.placed(ladder[0], stage.width, stage.height)
        wants = f"whole frames would take about {show_bytes(max(whole.vram, whole.ram))}"
        return replace(placement, reason=f"{placement.reason}: {wants}")


def _place_phases(stage: StageTask, estimate: Estimate, machine: Machine, attempt: int) -> Placement:
    grid = phase_grid(stage, estimate, machine)
    ladder = fitting_rungs(stage, estimate, machine)
    if not ladder:
        raise OutOfMemory(_nowhere(stage, estimate, machine, [row[-1] for row in grid]))
    if attempt >= len(ladder):
        last = estimate.placed(ladder[-1], stage.width, stage.height)
        raise OutOfMemory(_no_smaller(stage, max(last.vram, last.ram), attempt))
    placement = ladder[attempt]
    wants = _too_large(stage, estimate, machine, grid[0][0])
    return replace(placement, reason=f"{placement.reason}: {wants}") if wants else placement


def _too_large(stage: StageTask, estimate: Estimate, machine: Machine, placement: Placement) -> str:
    """Which phases would not fit into the free memory as ``placement`` has them; nothing where all do."""
    phases = estimate.placed(placement, stage.width, stage.height).phases
    free = machine.ram if placement.device == "cpu" else machine.vram
    takes = [f"{phase.name} {show_bytes(phase.taken)}" for phase in phases if free and phase.taken > free]
    return f"else {', '.join(takes)} of {show_bytes(free)} free" if takes else ""


def _no_smaller(stage: StageTask, wants: int, attempt: int) -> str:
    return (
        f"this ran out of memory {attempt} times, and no placement of {stage.name} is smaller than the last "
        f"(it wants about {show_bytes(wants)} for {stage.width}x{stage.height}): use a smaller width and height"
    )


def _nowhere(stage: StageTask, estimate: Estimate, machine: Machine, smallest: list[Placement]) -> str:
    """What is there, what each way would need, and what to do."""
    needs: dict[tuple[int, int], str] = {}
    for placement in smallest:
        placed = estimate.placed(placement, stage.width, stage.height)
        needs.setdefault((placed.vram, placed.ram), placement.reason)
    ways = [_said(vram, ram, machine, how) for (vram, ram), how in needs.items() if not _more(vram, ram, needs)]
    device = f"{machine.device} has {show_bytes(machine.vram)} free, " if machine.device != "cpu" else ""
    mend = "Free or add memory, or ask for fewer [generate] frames or a smaller width and height"
    if machine.ram and all(ram > machine.ram for _, ram in needs):
        mend = "Free or add main memory: most of it is for weights, whatever the size of the clip"
    return (
        f"{stage.name}, {stage.frames} frames of {stage.width}x{stage.height}, fits nowhere here: {device}main memory "
        f"{show_bytes(machine.ram)}. It needs one of: {'; '.join(ways)}. {mend}"
    )


def _said(vram: int, ram: int, machine: Machine, how: str) -> str:
    device = f"{show_bytes(vram)} on {machine.device} and " if vram else ""
    return f"{device}{show_bytes(ram)} of main memory ({how})"


def _more(vram: int, ram: int, needs: Iterable[tuple[int, int]]) -> bool:
    """Whether another of ``needs`` gets by with less of one kind of memory, and no more of the other."""
    return any((vram, ram) != other and vram >= other[0] and ram >= other[1] for other in needs)


def this_machine(device: str, threads: int, models: Path = Path("models")) -> Machine:
    """What a job can count on here and now.

    ``device`` is a device's name, or ``auto``: the first accelerator that torch can use, else the CPU.
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
    return memory_of(_OWN)[1]


def available_ram() -> int:
    """Bytes of main memory this process may still take: what is available, or what its cgroup leaves."""
    return memory_of(_OWN)[0]


def memory_of(cgroup: Path) -> tuple[int, int]:
    """Bytes that are left to a process, and all it could ever take; ``cgroup``: /proc/<pid>/cgroup."""
    left = min(_meminfo("MemAvailable"), cgroup_room(cgroup))
    return left, min(_meminfo("MemTotal"), min((_limit(group) for group in _groups(cgroup, _MOUNT)), default=_ENDLESS))


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
    """NVIDIA's driver and AMD's are both ``cuda`` to torch; Apple's GPUs, which share main memory, are ``mps``."""
    driven = Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists() or sys.platform == "darwin"
    if not driven or find_spec("torch") is None:
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _free_vram(device: str) -> int:
    if device == "cpu":
        return 0
    import torch

    if device == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return int(torch.cuda.mem_get_info(device)[0])
