"""input/ and output/ go away under a daemon at work, for a while: unmounted, read-only, renamed, replaced, locked.

An emptied mount point is never "all were deleted", and nothing may be put where it is hidden once the share is back.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from framedaemon.instance import Instance
from torture.disks import memory, mounted, unmount
from torture.report import Row
from torture.stream import Stream
from torture.strikes import Strike, suffer, where_possible
from torture.workbench import Workbench

_SHARE_BYTES = 32 << 20

# As somebody else than root: permissions count.
_PLAIN = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")


@contextmanager
def unmounted(folder: Path) -> Iterator[None]:
    """The mount point is empty, and what it showed comes back."""
    unmount(folder)
    try:
        yield
    finally:
        subprocess.run(["mount", "--bind", _backing(folder), folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Everything can be seen, and nothing changed; files that are open for writing stay so."""
    with mounted(folder, folder, "-o", "bind,ro"):
        yield


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody may look into it."""
    folder.chmod(0o000)
    try:
        yield
    finally:
        folder.chmod(0o755)


@contextmanager
def renamed(folder: Path) -> Iterator[None]:
    """It has another name; raises FileExistsError when something else took its place meanwhile."""
    gone = folder.with_name(f"{folder.name}-renamed")
    folder.rename(gone)
    try:
        yield
    finally:
        if folder.exists():
            raise FileExistsError(f"{folder} was made anew")
        gone.rename(folder)


@contextmanager
def replaced(folder: Path) -> Iterator[None]:
    """A file stands in its place."""
    with renamed(folder):
        folder.write_bytes(b"")
        try:
            yield
        finally:
            folder.unlink()


_OF_MOUNTS: tuple[Strike, ...] = (unmounted, read_only, locked)
_OF_FOLDERS: tuple[Strike, ...] = (renamed, replaced, locked, read_only)


def share_gone(bench: Workbench, trials: int, rng: random.Random, restarted: bool = False) -> Row:
    """Take shares away from a daemon and give them back; ``restarted``: it is killed and started meanwhile."""
    row = Row("share gone" + (", daemon restarted" if restarted else ""))
    with ExitStack() as mounts:
        instance = Instance(bench.folder / "shares")
        for folder in (instance.input, instance.output):
            mounts.enter_context(memory(_backing(folder), _SHARE_BYTES))
            mounts.enter_context(mounted(_backing(folder), folder, "--bind"))
        stream = Stream(bench, bench.instance("shares"), rng, row)
        suffer(stream, trials, (instance.input, instance.output), _OF_MOUNTS, restarted, _PLAIN)
    return row


def folder_gone(bench: Workbench, trials: int, rng: random.Random, restarted: bool = False) -> Row:
    """The same with folders that are no mount points."""
    row = Row("folder gone" + (", daemon restarted" if restarted else ""))
    instance = bench.instance("folders")
    stream = Stream(bench, instance, rng, row)
    suffer(stream, trials, (instance.input, instance.output), _OF_FOLDERS, restarted, _PLAIN)
    return row


def _backing(folder: Path) -> Path:
    """Where the filesystem stands that is mounted on ``folder``."""
    return folder.parent.with_name(f"{folder.name}-share")


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = where_possible(
    {
        "share gone": share_gone,
        "share gone, daemon restarted": lambda bench, trials, rng: share_gone(bench, trials, rng, restarted=True),
        "folder gone": folder_gone,
        "folder gone, daemon restarted": lambda bench, trials, rng: folder_gone(bench, trials, rng, restarted=True),
    }
)
