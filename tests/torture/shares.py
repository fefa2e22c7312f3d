"""input/ and output/ go away under a daemon at work, for a while: unmounted, read-only, renamed, replaced, locked.

An emptied mount point is never "all were deleted", and nothing may be put where it is hidden once the share is back.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from framedaemon.instance import Instance
from torture.disks import memory, mounted, unmount
from torture.invariants import Violation
from torture.report import Row
from torture.stream import Stream, Stuck
from torture.workbench import Daemon, Workbench

# A share is away for at most so long: a job is at its end, its video waits, its picture waits.
_AWAY_SECONDS = 3.0

_SHARE_BYTES = 32 << 20

# As somebody else than root: permissions count.
_PLAIN = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")

Strike = Callable[[Path], AbstractContextManager[None]]


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
        _suffer(Stream(bench, bench.instance("shares"), rng, row), trials, _OF_MOUNTS, restarted)
    return row


def folder_gone(bench: Workbench, trials: int, rng: random.Random, restarted: bool = False) -> Row:
    """The same with folders that are no mount points."""
    row = Row("folder gone" + (", daemon restarted" if restarted else ""))
    _suffer(Stream(bench, bench.instance("folders"), rng, row), trials, _OF_FOLDERS, restarted)
    return row


def _suffer(stream: Stream, trials: int, strikes: tuple[Strike, ...], restarted: bool) -> None:
    instance, rng, row = stream.instance, stream.rng, stream.row
    daemon = Daemon(instance, *_PLAIN)
    try:
        for _ in stream.bench.trials(trials):
            stream.linger()
            folder, strike = rng.choice((instance.input, instance.output)), rng.choice(strikes)
            with ExitStack() as undo:
                undo.enter_context(strike(folder))
                time.sleep(rng.uniform(0.0, _AWAY_SECONDS))
                if restarted:
                    daemon.kill()
                    daemon = Daemon(instance, *_PLAIN)
                    time.sleep(rng.uniform(0.0, _AWAY_SECONDS))
                with daemon.stopped():
                    undo.close()
                    stream.struck(f"{folder.name}/ {strike.__name__}")
            if restarted and not daemon.running:  # it said that it cannot start, and is started again
                daemon = Daemon(instance, *_PLAIN)
            stream.feed_until_finished()
            if row.violations:
                return
        stream.rest()
        with daemon.stopped():
            stream.rested()
    except (Stuck, FileExistsError) as error:
        row.add([Violation("lost", str(error))], trials=0)
    finally:
        daemon.kill()


def _backing(folder: Path) -> Path:
    """Where the filesystem stands that is mounted on ``folder``."""
    return folder.parent.with_name(f"{folder.name}-share")


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    "share gone": share_gone,
    "share gone, daemon restarted": lambda bench, trials, rng: share_gone(bench, trials, rng, restarted=True),
    "folder gone": folder_gone,
    "folder gone, daemon restarted": lambda bench, trials, rng: folder_gone(bench, trials, rng, restarted=True),
}
