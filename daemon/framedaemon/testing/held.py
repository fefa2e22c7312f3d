"""What a process holds that a stage is to give back: threads, open files, children."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framedaemon import Frame

MOST_HELD = 24
"""Frames of a clip that a stage may hold at once."""

_TASKS = Path("/proc/self/task")


class Alive:
    """Counts the frames that somebody still holds."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def watch(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """``frames``, each counted until nobody has it any more."""
        for frame in frames:
            self.now += 1
            self.most = max(self.most, self.now)
            weakref.finalize(frame, self._let_go)
            yield frame

    def _let_go(self) -> None:
        self.now -= 1


def held() -> dict[str, int]:
    """How many of each there are, where /proc tells."""
    gc.collect()
    folders = {"threads": _TASKS, "open files": Path("/proc/self/fd")}
    counts = {name: len(list(folder.iterdir())) for name, folder in folders.items() if folder.is_dir()}
    return counts | {"children": len(list(children()))}


def children() -> Iterator[str]:
    """The ids of the processes that this one started and that are still there."""
    for task in _TASKS.glob("*/children"):
        yield from task.read_text().split()


def check_given_back(before: dict[str, int]) -> None:
    """Raises AssertionError, naming what there is more of than before."""
    now = held()
    kept = [f"{now[name] - count} {name}" for name, count in before.items() if now[name] > count]
    assert not kept, (
        f"it left {', '.join(kept)} behind: give back what `load` took in a `finally` behind its `yield`, "
        "and what a stream took in a `finally` of its own, since it may be closed in the middle"
    )


def closable(stream: Any) -> Any:
    """``stream``. Raises AssertionError where it cannot be closed in the middle."""
    assert hasattr(stream, "close"), "the daemon closes a stream that it does not need to the end: yield, one by one"
    return stream
