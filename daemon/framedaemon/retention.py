"""What may go, and its removal: pictures put away long ago, logs and receipts of old jobs, folders that no job owns.

    find_stale ─▶ what is to go, and why, one by one ─▶ shown by `framedaemon prune --dry-run`, or removed at once

A picture in input/done/ goes only if each of its videos was just seen to lie in output/ as it was published (`proof`).
Pictures are found in the ledger, not in folders: what people put into input/done/ by themselves stays, and so does
every video. Ages count from the latest of the ledger's times and the files' own change times, and files go in the
order in which they were taken: a clock that was wrong makes things stay longer. Links are not followed, since whoever
may write to input/ could lay one.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, TypeAlias

from framedaemon.instance import Instance
from framedaemon.ledger import DropRow, Ledger
from framedaemon.naming import show
from framedaemon.proof import doubt_of, receipt_of
from framedaemon.retrying import put_back_orphan
from framedaemon.settings import RetentionSettings, show_bytes
from framedaemon.shares import Shares
from framedaemon.workspace import Workspace, bytes_below

Place: TypeAlias = Literal["done", "failed", "waiting"]
Kind: TypeAlias = Place | Literal["receipt", "job_log", "leftover"]

DAY_SECONDS = 86_400.0
_JOB_LOG = re.compile(r"([0-9]{8}T[0-9]{6}-[0-9a-f]{8})-[0-9]+\.jsonl")


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
    """What goes together: a picture and what lies beside it, a receipt, a log, or a folder in tmp/jobs/."""

    kind: Kind
    files: tuple[Found, ...]
    """The picture last: as long as it is there, nobody else takes the names."""
    why: str
    kept: str = ""
    """Why it stays all the same: a video of it may not be whole."""

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


class Removed(NamedTuple):
    """What came of a removal."""

    gone: list[Stale]
    kept: list[Stale]
    problems: list[str]
    """Why something could not be removed, a line each."""


def find_stale(instance: Instance, ledger: Ledger, settings: RetentionSettings, now: float) -> Iterator[Stale]:
    """All that is to go at ``now``, each kind the oldest first; a video is read just before its picture is given."""
    limits: dict[Place, tuple[int, int]] = {
        "done": (settings.done_days, settings.done_bytes),
        "failed": (settings.failed_days, settings.failed_bytes),
        "waiting": (settings.waiting_days, settings.waiting_bytes),
    }
    if any(map(any, limits.values())):
        resting = _Resting(instance, ledger, settings.done_without_video)
        for kind, (days, most) in limits.items():
            yield from resting.beyond(kind, days, most, now)
    if settings.receipt_days:
        yield from _lone_receipts(instance, ledger, settings.receipt_days, now)
    yield from _old_logs(instance, ledger, settings.job_logs)


def find_leftovers(instance: Instance, ledger: Ledger) -> list[Stale]:
    """Folders in tmp/jobs/ that no job owns.

    Only for who writes the ledger, or holds the instance's lock: another might see the folder of a new job before its
    row.
    """
    names = sorted(_list(instance.tmp, PurePosixPath(instance.jobs.name)))
    known = {drop.id for drop in ledger.drops("claiming", "open", "closing")}
    folders = [instance.jobs / name for name in names if name not in known]
    whole = [Found(instance.jobs, PurePosixPath(folder.name), bytes_below(folder), 0.0) for folder in folders]
    return [Stale("leftover", (folder,), "no job owns it") for folder in whole]


def remove(instance: Instance, stale: Iterable[Stale]) -> Removed:
    """Remove what was found, but for what is kept and what changed since.

    A picture in a folder that no job owns goes back into input/ first, as it does at the daemon's start.
    """
    done = Removed([], [], [])
    for one in stale:
        try:
            if one.kept:
                done.kept.append(one)
                continue
            if one.kind == "leftover":
                put_back_orphan(instance, Workspace(one.files[0].path))
                shutil.rmtree(one.files[0].path)
            else:
                _unlink(one.files)
        except OSError as error:
            done.problems.append(f"{show(one.files[-1].path)}: {error.strerror or error}")
        else:
            done.gone.append(one)
    return done


@dataclass(frozen=True, slots=True)
class _Rest:
    """A picture that was put away, or what is left of it."""

    drop: str
    files: tuple[Found, ...]
    since: float

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


class _Resting:
    """The files that the ledger knows to lie in input/done/, failed/ and waiting/, in the order they were taken."""

    def __init__(self, instance: Instance, ledger: Ledger, without_video: bool) -> None:
        self._instance = instance
        self._videos = ledger.videos()
        self._shares = Shares(instance)
        self._without_video = without_video
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

    def beyond(self, kind: Place, days: int, most: int, now: float) -> Iterator[Stale]:
        """Those in a folder that are older than ``days``, or too much for ``most`` bytes; 0: no limit."""
        latest = float("inf") if most else now - days * DAY_SECONDS
        rests = list(self._found(kind, latest)) if days or most else []
        total = sum(rest.bytes for rest in rests)
        for rest in rests:
            age = int((now - rest.since) / DAY_SECONDS)
            if days and age >= days:
                why = f"put away {age} days ago; {kind}_days is {days}"
            elif most and total > most:
                why = f"input/{kind}/ holds {show_bytes(total)}; {kind}_bytes is {show_bytes(most)}"
            else:
                continue
            kept = self._doubt(rest.drop) if kind == "done" else None
            total -= rest.bytes if kept is None else 0
            yield Stale(kind, rest.files, why, kept or "")

    def _doubt(self, drop: str) -> str | None:
        """Why a picture stays whatever its age: a video of it is not known to lie in output/ as it was published."""
        try:
            with self._shares.held(self._instance.output) as output:
                if self._without_video:
                    return None
                videos = self._videos.get(drop, [])
                doubts = (doubt_of(output, video) for video in videos)
                return next(filter(None, doubts), None if videos else "no video of it is known")
        except OSError as error:
            return f"{show(self._instance.output)} cannot be read: {error.strerror or error}"

    def _found(self, kind: str, latest: float) -> Iterator[_Rest]:
        """Those in a folder that came there no later than ``latest``: the others need not be looked at."""
        for place, (drop, ended) in self._rests.items():
            if place.startswith(f"{kind}/") and ended <= latest:
                files = tuple(_look(self._instance.input, _names(PurePosixPath(place), drop)))
                if files:
                    yield _Rest(drop.id, files, max(ended, *(file.changed for file in files)))


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


def _lone_receipts(instance: Instance, ledger: Ledger, days: int, now: float) -> Iterator[Stale]:
    """Receipts of videos that are in output/ no more, where that can be told: nothing is where a share is missing."""
    videos = [video for videos in ledger.videos().values() for video in videos]
    with suppress(OSError), Shares(instance).held(instance.output) as output:
        for video in videos:
            name = PurePosixPath(video.output)
            if os.path.lexists(output / name) or now - video.ended < days * DAY_SECONDS:
                continue
            receipt = None
            with suppress(OSError), _folder(output, name.parent) as handle:
                receipt = receipt_of(Path(f"/proc/self/fd/{handle}"), video)
            for file in _look(instance.output, [name.with_name(receipt[0])] if receipt is not None else []):
                age = int((now - max(video.ended, file.changed)) / DAY_SECONDS)
                if age >= days:
                    why = f"its video is gone, and it was made {age} days ago; receipt_days is {days}"
                    yield Stale("receipt", (file,), why)


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
