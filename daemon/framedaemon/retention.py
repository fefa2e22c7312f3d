"""What may go, and its removal: pictures put away long ago, the logs of old jobs, folders that no job owns.

    find_stale ─▶ what is to go, and why ─▶ shown by `framedaemon prune --dry-run`, or removed

Pictures are found in the ledger, not in folders: what people put into input/done/ by themselves stays, and so does
every video. Ages count from the latest of the ledger's times and the files' own change times, and files go in the
order in which they were taken: a clock that was wrong makes things stay longer. Links are not followed, since whoever
may write to input/ could lay one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from framedaemon.instance import Instance
from framedaemon.ledger import DropRow, Ledger
from framedaemon.log import get_log
from framedaemon.naming import show
from framedaemon.retrying import put_back_orphan
from framedaemon.settings import RetentionSettings, show_bytes
from framedaemon.workspace import Workspace, bytes_below, write_atomically

Place: TypeAlias = Literal["done", "failed", "waiting"]
Kind: TypeAlias = Place | Literal["job_log", "leftover"]

_DAY_SECONDS = 86_400.0
_JOB_LOG = re.compile(r"([0-9]{8}T[0-9]{6}-[0-9a-f]{8})-[0-9]+\.jsonl")

# By how much ages may grow from one daily pass to the next: a clock set a year ahead must not empty input/done/.
_LONGEST_STEP_SECONDS = 2 * _DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was when it was looked at."""

    root: Path
    name: PurePosixPath
    """Relative to ``root``; no folder on the way is a link."""
    bytes: int
    changed: float
    """When its content, name or place last changed, wall-clock seconds."""

    @property
    def path(self) -> Path:
        return self.root / self.name


@dataclass(frozen=True, slots=True)
class Stale:
    """What goes together: a picture and what lies beside it, a log, or a folder in tmp/jobs/."""

    kind: Kind
    files: tuple[Found, ...]
    """The picture last: as long as it is there, nobody else takes the names."""
    why: str

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def find_stale(
    instance: Instance, ledger: Ledger, settings: RetentionSettings, now: float, leftovers: bool
) -> list[Stale]:
    """All that is to go at ``now``, the oldest first.

    ``leftovers``: folders that no job owns too. Only for who writes the ledger, or holds the instance's lock: another
    might see the folder of a new job before its row.
    """
    stale = _leftovers(instance, ledger) if leftovers else []
    limits: dict[Place, tuple[int, int]] = {
        "done": (settings.done_days, settings.done_bytes),
        "failed": (settings.failed_days, settings.failed_bytes),
        "waiting": (settings.waiting_days, settings.waiting_bytes),
    }
    if any(map(any, limits.values())):
        resting = _Resting(instance, ledger)
        for kind, (days, most) in limits.items():
            stale += resting.beyond(kind, days, most, now)
    return stale + _old_logs(instance, ledger, settings.job_logs)


def remove(instance: Instance, stale: Iterable[Stale]) -> tuple[list[Stale], list[str]]:
    """Remove what was found, but for what changed since; returns what went, and why something else did not.

    A picture in a folder that no job owns goes back into input/ first, as it does at the daemon's start.
    """
    gone, problems = [], []
    for one in stale:
        try:
            if one.kind == "leftover":
                put_back_orphan(instance, Workspace(one.files[0].path))
                shutil.rmtree(one.files[0].path)
            else:
                _unlink(one.files)
        except OSError as error:
            problems.append(f"{show(one.files[-1].path)}: {error.strerror or error}")
        else:
            gone.append(one)
    return gone, problems


def prune_daily(instance: Instance, ledger: Ledger, settings: RetentionSettings, now: float) -> None:
    """Remove what is to go, once a day however often this is called; ``now`` is wall-clock seconds."""
    try:
        believed = _believed_time(instance.tmp / "pruned.json", ledger, now)
        if believed is None:
            return
        gone, problems = remove(instance, find_stale(instance, ledger, settings, believed, leftovers=True))
    except OSError as error:
        gone, problems = [], [str(error)]
    if gone:
        counts = {kind: sum(one.kind == kind for one in gone) for kind in sorted({one.kind for one in gone})}
        get_log().info("old_files_removed", **counts, bytes=sum(one.bytes for one in gone), first=gone[0].why)
    if problems:
        get_log().warning("old_files_not_removed", count=len(problems), first=problems[0])


def _believed_time(note: Path, ledger: Ledger, now: float) -> float | None:
    """What time it is, as far as ages go; None when the last pass was less than a day ago.

    It goes at most two days on from one pass to the next, or from the last picture that was put away.
    """
    try:
        said = json.loads(note.read_text(encoding="ascii"))
        passed, believed = float(said["passed"]), float(said["believed"])
    except (OSError, ValueError, KeyError, TypeError):
        passed, believed = float("-inf"), max((ended for _, ended in ledger.put_away()), default=now)
    if 0 <= now - passed < _DAY_SECONDS:
        return None
    believed = min(now, believed + _LONGEST_STEP_SECONDS)
    write_atomically(note, json.dumps({"passed": now, "believed": believed}).encode("ascii"))
    return believed


@dataclass(frozen=True, slots=True)
class _Rest:
    """A picture that was put away, or what is left of it."""

    files: tuple[Found, ...]
    since: float

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


class _Resting:
    """The files that the ledger knows to lie in input/done/, failed/ and waiting/, in the order they were taken."""

    def __init__(self, instance: Instance, ledger: Ledger) -> None:
        self._input = instance.input
        self._rests: dict[str, tuple[DropRow, float]] = {}
        latest = 0.0
        for drop, ended in ledger.put_away():
            # A clock that was behind for a while made some look older than those before them.
            latest = max(latest, drop.created)
            if drop.rests is not None:
                self._rests.pop(drop.rests, None)  # the place was free again
                self._rests[drop.rests] = drop, max(ended, latest)
        for drop in ledger.drops("closing"):
            self._rests.pop(drop.rests or "", None)  # another picture is on its way there

    def beyond(self, kind: Place, days: int, most: int, now: float) -> list[Stale]:
        """Those in a folder that are older than ``days``, or too much for ``most`` bytes; 0: no limit."""
        latest = float("inf") if most else now - days * _DAY_SECONDS
        stale, rests = [], list(self._found(kind, latest)) if days or most else []
        total = sum(rest.bytes for rest in rests)
        for rest in rests:
            age = int((now - rest.since) / _DAY_SECONDS)
            if days and age >= days:
                why = f"put away {age} days ago; {kind}_days is {days}"
            elif most and total > most:
                why = f"input/{kind}/ holds {show_bytes(total)}; {kind}_bytes is {show_bytes(most)}"
            else:
                continue
            total -= rest.bytes
            stale.append(Stale(kind, rest.files, why))
        return stale

    def _found(self, kind: str, latest: float) -> Iterator[_Rest]:
        """Those in a folder that came there no later than ``latest``: the others need not be looked at."""
        for place, (drop, ended) in self._rests.items():
            if place.startswith(f"{kind}/") and ended <= latest:
                files = tuple(_look(self._input, _names(PurePosixPath(place), drop)))
                if files:
                    yield _Rest(files, max(ended, *(file.changed for file in files)))


def _names(rests: PurePosixPath, drop: DropRow) -> list[PurePosixPath]:
    """The picture at ``rests`` and what was put beside it, the picture last."""
    name = PurePosixPath(drop.name)
    stem = rests.name.removesuffix(name.suffix)
    return [*(rests.with_name(f"{stem}{side}") for side in (*drop.sides, ".error.txt")), rests]


def _old_logs(instance: Instance, ledger: Ledger, keep: int) -> list[Stale]:
    """Logs of jobs beyond the newest ``keep``, but for those of pictures that lie in input/failed/."""
    folder = PurePosixPath(instance.logs.name, "jobs")
    names = {name: found[1] for name in _list(instance.output, folder) if (found := _JOB_LOG.fullmatch(name))}
    if len(names) <= keep:
        return []
    needed = {drop.id for drop in ledger.drops("claiming", "open", "closing")}
    order = dict[str, int]()
    for number, (drop, _) in enumerate(ledger.put_away()):
        order[drop.id] = number
        if drop.rests is not None and drop.rests.startswith("failed/") and os.path.lexists(instance.input / drop.rests):
            needed.add(drop.id)
    known = sorted((order.get(drop_id, -1), name) for name, drop_id in names.items() if drop_id not in needed)
    old = [folder / name for _, name in known[:-keep]]
    why = f"{len(known)} jobs that are over have logs; job_logs is {keep}"
    return [Stale("job_log", (log,), why) for log in _look(instance.output, old)]


def _leftovers(instance: Instance, ledger: Ledger) -> list[Stale]:
    names = sorted(_list(instance.tmp, PurePosixPath(instance.jobs.name)))
    known = {drop.id for drop in ledger.drops("claiming", "open", "closing")}
    folders = [instance.jobs / name for name in names if name not in known]
    whole = [Found(instance.jobs, PurePosixPath(folder.name), bytes_below(folder), 0.0) for folder in folders]
    return [Stale("leftover", (folder,), "no job owns it") for folder in whole]


def _look(root: Path, names: Iterable[PurePosixPath]) -> Iterator[Found]:
    """Those of ``names`` that are there, a link as the link it is; folders are passed over."""
    for folder, inside in groupby(names, lambda name: name.parent):
        with suppress(OSError), _folder(root, folder) as handle:
            for name in inside:
                with suppress(FileNotFoundError):
                    status = os.stat(name.name, dir_fd=handle, follow_symlinks=False)
                    if not stat.S_ISDIR(status.st_mode):
                        yield Found(root, name, status.st_size, status.st_ctime)


def _unlink(files: tuple[Found, ...]) -> None:
    """Remove the files as they were found, and the folders that are empty then. Raises OSError for one that changed."""
    for file in files:
        with _folder(file.root, file.name.parent) as handle:
            status = os.stat(file.name.name, dir_fd=handle, follow_symlinks=False)
            if status.st_ctime != file.changed:
                raise OSError("somebody changed it just now")
            os.unlink(file.name.name, dir_fd=handle)
    emptied = files[-1].name.parent
    with suppress(OSError):
        while len(emptied.parts) > 1:  # input/done/ itself stays
            with _folder(files[-1].root, emptied.parent) as handle:
                os.rmdir(emptied.name, dir_fd=handle)
            emptied = emptied.parent


@contextmanager
def _folder(root: Path, below: PurePosixPath) -> Iterator[int]:
    """A handle of a folder that no link leads to. Raises OSError where one does."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    handle = os.open(root, flags)
    try:
        for part in below.parts:
            above, handle = handle, os.open(part, flags | os.O_NOFOLLOW, dir_fd=handle)
            os.close(above)
        yield handle
    finally:
        os.close(handle)


def _list(root: Path, below: PurePosixPath) -> list[str]:
    with suppress(OSError), _folder(root, below) as handle, os.scandir(handle) as entries:
        return [entry.name for entry in entries]
    return []
