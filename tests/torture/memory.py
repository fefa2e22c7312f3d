"""Memory that runs out: told by a stage at each rung of the ladder, or taken by the kernel; and a device that is lost.

The kernel's OOM killer is let loose in a control group of the daemon's own, version 1 or 2. A GPU is played: a `torch`
that says how much memory is free, and has the error that PyTorch raises.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from framedaemon.instance import Instance
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.stages import Estimate, Machine
from framedaemon.task import StageTask
from torture.faulty import Fault, attempts, faulty_instance, left_behind, run, strike
from torture.invariants import Dropped, Violation, in_the_end
from torture.report import Row
from torture.workbench import Workbench, put

_PLAYED_TORCH = """
class OutOfMemoryError(RuntimeError):
    pass

__version__ = "played"
device = str

class Properties:
    name = "Played GPU"
    total_memory = 24 << 30

class cuda:
    get_device_properties = staticmethod(lambda device: Properties)
    is_available = staticmethod(lambda: True)
    mem_get_info = staticmethod(lambda device: (20 << 30, 24 << 30))

class accelerator:
    is_available = staticmethod(lambda: True)
    empty_cache = staticmethod(lambda: None)
"""

# A worker and its ffmpeg need less, and a picture of 100 megapixels more.
_LIMIT_BYTES = 500_000_000

# Errors that mean it: framedaemon's own, Python's, PyTorch's. See `faulty_stages.raise_memory`.
_KINDS = 3


def rungs(device: str) -> list[str]:
    """The reasons of the placements that the shipped policy goes through, the largest first."""
    policy, task = DefaultMemoryPolicy(), StageTask("generate", "faulty", 64, 48, 6)
    found: list[str] = []
    while True:
        try:
            placement = policy.memory_policy(task, Estimate(), Machine(device, 0, 0, 1), len(found))
        except Exception:
            return found
        found.append(placement.reason)


def out_of_memory(device: str, table: str, bench: Workbench, trials: int, rng: random.Random) -> Row:
    """A stage runs out of memory on each rung down to one that fits; the next job of its shape starts there."""
    row = Row(f"out of memory on {device.partition(':')[0]}, {table}")
    ladder = rungs(device)
    for _ in bench.trials(-(-trials // (len(ladder) * (len(ladder) + 1) // 2))):
        for rung, fits in enumerate(ladder):
            instance = _instance_on(device, bench, f"{device[:3]}{table}{row.trials}x{rung}")
            row.add(_step_down(device, table, bench, instance, fits, rung, rng.randrange(_KINDS)), trials=rung)
        instance = _instance_on(device, bench, f"{device[:3]}{table}{row.trials}none")
        row.add(_never_fits(device, table, bench, instance, len(ladder)), trials=len(ladder))
        if row.violations:
            break
    return row


def _instance_on(device: str, bench: Workbench, name: str) -> Instance:
    return faulty_instance(bench, name.replace(":", ""), f'device = "{device}"')


def _step_down(
    device: str, table: str, bench: Workbench, instance: Instance, fits: str, rung: int, kind: int
) -> list[Violation]:
    row = Row("")
    kind = kind if device != "cpu" else kind % 2
    asks = f'[{table}]\nfault = "shrink"\nfits = "{fits}"\ntimes = {kind}\nkey = "picture%d"\n'
    drops = []
    for number in range(2):  # one after the other: the second is to know what the first has learned
        drops.append(bench.drop(instance, f"picture{number}.png", number, asks % number))
        run(instance, drops, row, environment=_played_torch(instance))
    row.add([*in_the_end(instance, drops), *left_behind(instance)])
    ladder = rungs(device)
    tried = [(instance.root / "tries" / f"picture{number}").read_text("utf-8").splitlines() for number in range(2)]
    if tried != [ladder[: rung + 1], [fits]]:
        row.add([Violation("ledger", f"tried were {tried}, and {fits!r} fits")])
    return row.violations


def _never_fits(device: str, table: str, bench: Workbench, instance: Instance, rungs: int) -> list[Violation]:
    row = Row("")
    made = bench.drop(
        instance, "picture.png", 0, f'[{table}]\nfault = "shrink"\nfits = "nowhere"\nkey = "picture"\ntimes = 0\n'
    )
    drops = [Dropped(made.name, made.sha256, None, made.sidecar), bench.drop(instance, "honest.png", 1)]
    run(instance, drops, row, environment=_played_torch(instance))
    row.add([*in_the_end(instance, drops), *left_behind(instance)])
    count = len(attempts(instance, "outcome = 'memory'"))
    told = instance.failed / "picture.error.txt"
    said = told.read_text("utf-8") if told.exists() else "nothing"
    if count != rungs + 1 or "is smaller than the last" not in said:
        row.add([Violation("ledger", f"{count} attempts for {rungs} rungs and the plan after them; said was {said}")])
    return row.violations


def _played_torch(instance: Instance) -> dict[str, str]:
    folder = instance.root / "played"
    folder.mkdir(exist_ok=True)
    (folder / "torch.py").write_text(_PLAYED_TORCH, "utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


# --- the kernel's OOM killer


def control_groups() -> Path | None:
    """Where control groups with a memory limit can be made: version 2, or 1; None: nowhere."""
    for mount, limit in ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), None)):
        try:
            with _group_below(mount) as group:
                if (group / (limit or "memory.max")).exists():
                    return mount
        except OSError:
            continue
    return None


@contextmanager
def _group_below(mount: Path) -> Iterator[Path]:
    group = mount / f"torture-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        group.rmdir()


@contextmanager
def limited() -> Iterator[tuple[str, ...]]:
    """What to start a daemon under, so that it and all that it starts may take `_LIMIT_BYTES` together."""
    mount = control_groups()
    assert mount is not None, "control groups cannot be made here: root is needed, and the memory controller"
    with _group_below(mount) as group:
        for name in ("memory.max", "memory.limit_in_bytes", "memory.swap.max", "memory.memsw.limit_in_bytes"):
            if (group / name).exists():
                (group / name).write_text("0" if name == "memory.swap.max" else str(_LIMIT_BYTES))
        yield ("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$0" "$@"')


def killed_by_the_kernel(before: Sequence[str], bench: Workbench, trials: int, rng: random.Random) -> Row:
    """The kernel ends the worker, which takes more than its group may have."""
    fault = Fault(
        "worker killed by the kernel", '[generate]\nfault = "eat"', "memory", "memory ran out",
        seconds=30.0, hopeless="is smaller than the last", before=before,
    )  # fmt: skip
    return strike(bench, trials, fault)


def ffmpeg_killed_by_the_kernel(before: Sequence[str], bench: Workbench, trials: int, rng: random.Random) -> Row:
    """The kernel ends ffmpeg, since it and the worker take more than their group may have."""
    fault = Fault(
        "ffmpeg killed by the kernel", '[generate]\nfault = "starve ffmpeg"', "memory", "memory ran out",
        seconds=30.0, before=before,
    )  # fmt: skip
    return strike(bench, trials, fault)


def too_much_to_open(before: Sequence[str], bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Opening a picture takes more memory than there is, each time: it is given up, and the others are made."""
    row, data = Row("too much to open"), _huge_picture()
    for number in bench.trials(-(-trials // 3)):
        instance = faulty_instance(bench, f"open{number}")
        put(instance.input / "huge.png", data)
        drops = [Dropped("huge.png", hashlib.sha256(data).hexdigest(), None), bench.drop(instance, "honest.png", 0)]
        run(instance, drops, row, before)
        killed = [reason for _, _, reason, _ in attempts(instance, "outcome != 'done'")]
        row.add([*in_the_end(instance, drops), *left_behind(instance)], trials=len(killed))
        if not killed or not all("memory ran out" in reason for reason in killed):
            row.add([Violation("ledger", f"said was {killed}")], trials=0)
        if row.violations:
            break
    return row


def device_lost(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Once a device has failed, every call of that process fails: the next attempt must come to a fresh one."""
    fault = Fault(
        "device lost", '[generate]\nfault = "break the device"', "failed", "CUDA error", hopeless="CUDA error"
    )
    return strike(bench, trials, fault)


def _huge_picture() -> bytes:
    """A PNG of 10,000 x 9,500 pixels, all black: small as a file, 285 MB of RGB and as much again on the way."""
    with BytesIO() as file:
        Image.new("RGB", (10_000, 9_500)).save(file, "PNG")
        return file.getvalue()


def _under_a_limit(
    fault: Callable[[Sequence[str], Workbench, int, random.Random], Row],
) -> Callable[[Workbench, int, random.Random], Row]:
    def strike_where_possible(bench: Workbench, trials: int, rng: random.Random) -> Row:
        if control_groups() is None:
            print("left out: control groups cannot be made here")
            return Row(fault.__name__.replace("_", " "))
        with limited() as before:
            return fault(before, bench, trials, rng)

    return strike_where_possible


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    **{
        f"out of memory on {device.partition(':')[0]}, {table}": partial(out_of_memory, device, table)
        for device in ("cpu", "cuda:0")
        for table in ("generate", "interpolate")
    },
    "device lost": device_lost,
    "worker killed by the kernel": _under_a_limit(killed_by_the_kernel),
    "ffmpeg killed by the kernel": _under_a_limit(ffmpeg_killed_by_the_kernel),
    "too much to open": _under_a_limit(too_much_to_open),
}
