"""Disks that fill up to the brim under a daemon at work, and have room again a while later.

tmp/, with the ledger and the jobs        output/, on a disk of its own        everything on one disk
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from torture.disks import memory
from torture.report import Row
from torture.stream import Stream
from torture.strikes import suffer, where_possible
from torture.workbench import Workbench

_DISK_BYTES = 12 << 20
_PAGE_BYTES = 4096

# Whoever fills the disk takes what becomes free, too, so often; in between the daemon gets some of it.
_AGAIN_SECONDS = 0.05


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No byte is free, but for what the daemon itself gives up and is quick enough to take."""
    over = threading.Event()
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:

        def fill() -> None:
            while not over.is_set():
                with suppress(OSError):
                    file.writelines(bytes(_PAGE_BYTES) for _ in range(_DISK_BYTES))
                over.wait(_AGAIN_SECONDS)

        thread = threading.Thread(target=fill)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            filler.unlink()


def disk_full(bench: Workbench, trials: int, rng: random.Random, part: str = "tmp", restarted: bool = False) -> Row:
    """Fill the disk of ``part`` of an instance again and again; ``restarted``: it is killed and started meanwhile."""
    row = Row(f"{_NAMES[part]} full" + (", daemon restarted" if restarted else ""))
    root = bench.folder / "instance"
    with memory(root / part, _DISK_BYTES):
        stream = Stream(bench, bench.instance("instance"), rng, row)
        suffer(stream, trials, (root / part,), (full,), restarted)
    return row


_NAMES = {"tmp": "tmp/", "output": "output/", ".": "the disk"}


def _fault(part: str, restarted: bool) -> Callable[[Workbench, int, random.Random], Row]:
    return lambda bench, trials, rng: disk_full(bench, trials, rng, part, restarted)


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = where_possible(
    {
        f"{name} full{', daemon restarted' if restarted else ''}": _fault(part, restarted)
        for part, name in _NAMES.items()
        for restarted in (False, True)
    }
)
