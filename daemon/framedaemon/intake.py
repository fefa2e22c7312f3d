"""Takes what has arrived from input/ into the ledger and the workspace, so that it cannot be lost.

    row 'claiming' ─▶ files renamed into tmp/jobs/<drop>/source/ ─▶ rows of its jobs, row 'open'

In this order: a file that moved without a row would be lost in a crash; a row without its file is put right at start.
Many arrivals share one commit, since each costs a flush of the disk.
"""

from __future__ import annotations

import filecmp
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from framedaemon.approval import clear_away, is_approved, origin_of, recipes_from, resting_beside
from framedaemon.errors import JobRejected
from framedaemon.inbox import Arrival, Beside, identify
from framedaemon.instance import Instance
from framedaemon.layers import load_layers, read_request
from framedaemon.ledger import DropRow, Ledger
from framedaemon.naming import APPROVED, PREVIEW, WAITING, first_free, mirrored, numbered, output_path, show
from framedaemon.recipe import Recipe, Request
from framedaemon.settings import Settings
from framedaemon.sidecars import is_last, owner_of, pair_up
from framedaemon.workspace import Workspace, copy_as_is, flush_filesystem, move, real_folder

# Arrivals that share a commit: enough to make its flush cheap, few enough that the service stays awake.
BATCH = 256

_MOST_PROBLEMS = 20


def new_drop_id(now: float) -> str:
    """An id that sorts by time: ``20261122T124530-9f3a1c07``."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}-{secrets.token_hex(4)}"


class Intake:
    """Claims arrivals."""

    def __init__(self, instance: Instance, settings: Settings, ledger: Ledger) -> None:
        self._instance = instance
        self._settings = settings
        self._ledger = ledger
        self._listed: dict[Path, set[str]] = {}
        self._blocked: dict[Path, str] = {}
        self._stuck: dict[str, str] = {}
        self._previewed: dict[str, DropRow] | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """The folders, and the files, that the last claim could not take, and why."""
        blocked = [f"{show(folder)}: files cannot be taken out of it: {why}" for folder, why in self._blocked.items()]
        stuck = [f"input/{show(name)}: cannot be taken: {why}" for name, why in self._stuck.items()]
        if len(stuck) > _MOST_PROBLEMS:
            stuck[_MOST_PROBLEMS:] = [f"input/: {len(stuck) - _MOST_PROBLEMS} more files cannot be taken"]
        return (*blocked, *stuck)

    def claim(self, arrivals: Sequence[Arrival], now: float) -> list[tuple[DropRow, JobRejected | None]]:
        """Take the arrivals that are still as they were scanned; returns each drop, and why it is refused if it is."""
        for memory in (self._listed, self._blocked, self._stuck):
            memory.clear()
        self._previewed = None
        taken = []
        for start in range(0, len(arrivals), BATCH):
            takable = filter(self._takable, arrivals[start : start + BATCH])
            batch = [(new_drop_id(now), whole) for a in takable if (whole := self._completed(a)) is not None]
            if not batch:
                continue
            self._ledger.claiming([(id, a.name, _name(a.sidecar), _name(a.last)) for id, a in batch], now)
            moved = [(id, arrival) for id, arrival in batch if self._move_in(id, arrival)]
            flush_filesystem(self._instance.jobs)
            flush_filesystem(self._instance.input)
            with self._ledger.transaction():
                taken += [self._open(id, arrival.refusal, now) for id, arrival in moved]
        return taken

    def adopt(self, drop: DropRow, late: Path, now: float) -> JobRejected | None:
        """Give a drop, none of whose jobs has been tried, the sidecar or last picture that came after it.

        Where that raises, it lies in input/ again, or is found by `resume_adoption`.
        """
        below, taken = PurePosixPath(drop.name).parent, self.workspace(drop.id).source / late.name
        try:
            with real_folder(self._instance.input, below) as folder:
                move(folder / late.name, taken)
            return self._reread(drop, late.name, now)
        except BaseException:
            with suppress(OSError):
                self._give_back(taken, below)
            raise

    def resume_adoption(self, drop: DropRow, now: float) -> tuple[DropRow, JobRejected | None] | None:
        """Use what had moved in late, but was not recorded, when a crash came; None where there is nothing."""
        source, name = self.workspace(drop.id).source, PurePosixPath(drop.name)
        known = {name.name, *drop.beside}
        late = next((path for path in source.glob("*") if path.name not in known and owner_of(path.name)), None)
        if late is None:
            return None
        _remove_original(late, self._instance.input / name.parent / late.name)
        rejected = self._reread(drop, late.name, now)
        return self._ledger.drop(drop.id), rejected

    def _reread(self, drop: DropRow, late: str, now: float) -> JobRejected | None:
        """Make a drop's jobs anew, none of which has been tried, after what came late."""
        with self._ledger.transaction():
            (self._ledger.set_last if is_last(late) else self._ledger.set_sidecar)(drop.id, late)
            self._ledger.remove_jobs(drop.id)
            return self._open(drop.id, None, now)[1]

    def resume(self, drop: DropRow, now: float) -> tuple[DropRow, JobRejected | None] | None:
        """Bring a claim that a crash cut short to its end; None when its file is nowhere, or never moved."""
        workspace, path = self.workspace(drop.id), self._instance.input / drop.name
        name = PurePosixPath(drop.name).name
        if not os.path.lexists(workspace.source / name):
            for side in drop.beside:
                self._give_back(workspace.source / side, PurePosixPath(drop.name).parent)
            workspace.remove()
            self._ledger.forget_drop(drop.id)
            return None
        self._previewed = None
        _remove_original(workspace.source / name, path)
        for side in drop.beside:
            if not _goes_by(side, path.parent):
                _remove_original(workspace.source / side, path.parent / side)
        with self._ledger.transaction():
            return self._open(drop.id, None, now)

    def workspace(self, drop_id: str) -> Workspace:
        """The drop's folder below tmp/jobs/."""
        return Workspace(self._instance.jobs / drop_id)

    def _takable(self, arrival: Arrival) -> bool:
        if arrival.path.parent in self._blocked or not arrival.unchanged():
            return False
        paths = arrival.path, *(arrival.root / one.name for one in arrival.beside)
        why = next(filter(None, map(self._obstacle, paths)), None)
        if why is not None:
            self._stuck[arrival.name] = why
        return why is None

    def _obstacle(self, path: Path) -> str | None:
        """Why this very file cannot be moved; that must not stop the others in its folder."""
        try:
            folder, status, jobs = path.parent.stat(), path.lstat(), self._instance.jobs.stat()
        except OSError:
            return None  # moving it will tell
        if folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, folder.st_uid, status.st_uid):
            return "its folder is sticky, so that only its owner, or the folder's, may move it"
        if status.st_dev == jobs.st_dev or not stat.S_ISREG(status.st_mode):
            return None
        if not os.access(path, os.R_OK, follow_symlinks=False):
            return "its permissions forbid the daemon to read it"
        room = os.statvfs(self._instance.jobs)
        if status.st_size > room.f_bavail * room.f_frsize:
            return "there is no room for it in tmp/"
        return None

    def _completed(self, arrival: Arrival) -> Arrival | None:
        """An approved picture whose sidecar was left in input/waiting/: that is put beside it, and taken along.

        None where it came, and cannot be taken along just now: the next scan finds both.
        """
        origin = origin_of(self._ledger, arrival.name) if is_approved(arrival.name) else None
        for left in resting_beside(origin) if origin is not None else ():
            there_already = arrival.last if is_last(left.name) else arrival.sidecar
            if there_already is None and left.parts[0] == WAITING:
                fetched = self._fetch(arrival, left)
                if fetched is None:
                    return None
                arrival = fetched
        return arrival

    def _fetch(self, arrival: Arrival, left: PurePosixPath) -> Arrival | None:
        """Move what belongs to an approved picture from its place in input/waiting/ to the picture.

        None where it was moved, and all the same something failed.
        """
        below, name = mirrored(arrival.name).parent, str(PurePosixPath(arrival.name).with_name(left.name))
        with (
            suppress(OSError),
            real_folder(arrival.root, left.parent, moved=True) as there,
            real_folder(arrival.root, APPROVED / below) as here,
        ):
            if not os.path.lexists(there / PurePosixPath(arrival.name).name):  # else it is a copy that was approved
                move(there / left.name, here / left.name)
                fetched = Beside(name, identify((here / left.name).lstat()), shared=False)
                return replace(arrival, beside=(*arrival.beside, fetched))
            return arrival
        return None if os.path.lexists(arrival.root / name) else arrival

    def _move_in(self, id: str, arrival: Arrival) -> bool:
        """Move the arrival's files; False when its picture vanished meanwhile, or its folder does not let go of it."""
        source = self.workspace(id).source
        try:
            source.mkdir(parents=True, exist_ok=True)
            with real_folder(arrival.root, PurePosixPath(arrival.name).parent) as folder:
                for one in arrival.beside:
                    name = PurePosixPath(one.name).name
                    _take(folder / name, source / name, copy=one.shared)
                _take(folder / arrival.path.name, source / arrival.path.name, copy=False)
        except FileNotFoundError:
            with self._ledger.transaction():
                self._ledger.set_drop(id, "vanished")
            self._give_back_all(id, arrival)
            return False
        except OSError as error:
            self._blocked[arrival.path.parent] = error.strerror or str(error)
            with suppress(OSError):  # what belongs to it cannot go back now: the claim stands, and is resumed
                self._give_back_all(id, arrival)
                self._ledger.forget_drop(id)
            return False
        return True

    def _give_back_all(self, id: str, arrival: Arrival) -> None:
        workspace = self.workspace(id)
        for one in arrival.beside:
            if not one.shared:
                self._give_back(workspace.source / PurePosixPath(one.name).name, PurePosixPath(arrival.name).parent)
        workspace.remove()

    def _give_back(self, taken: Path, below: PurePosixPath) -> None:
        """Move what belongs to a picture back into its folder of input/, unless there is a new one."""
        if not os.path.lexists(taken):
            return
        with suppress(FileExistsError), real_folder(self._instance.input, below) as folder:
            if not os.path.lexists(folder / taken.name):  # a read-only folder would fail to say so
                move(taken, folder / taken.name)

    def _open(self, id: str, refusal: str | None, now: float) -> tuple[DropRow, JobRejected | None]:
        """Read what is asked for and queue the jobs. A drop that is refused has one job, which has failed."""
        drop = self._ledger.drop(id)
        self._clear_rejected(drop)
        request, rejected = self._request(drop, refusal)
        for number, (recipe, stem) in enumerate(zip(request.recipes, self._stems(drop, request), strict=True), start=1):
            self._ledger.add_job(id, number, recipe.to_json(), stem, request.priority, now)
        if rejected is not None:  # in the same commit: a crash behind it must not leave a job that would be run
            self._ledger.refuse(id, str(rejected), now)
        self._ledger.set_drop(id, "open")
        return self._ledger.drop(id), rejected

    def _clear_rejected(self, drop: DropRow) -> None:
        """Remove the preview of a picture that was moved from input/waiting/ back to where it had come from."""
        if self._previewed is None:
            self._previewed = self._ledger.resting_in(WAITING)
        preview = self._previewed.get(f"{WAITING}/{drop.name}")
        if preview is not None and not os.path.lexists(self._instance.input / (preview.rests or "")):
            for job in self._ledger.jobs_of(preview.id):
                clear_away(self._instance.output, job)

    def _request(self, drop: DropRow, refusal: str | None) -> tuple[Request, JobRejected | None]:
        try:
            if refusal is not None:
                raise JobRejected(f"{show(PurePosixPath(drop.name).name)}: {refusal}")
            origin = origin_of(self._ledger, drop.name) if is_approved(drop.name) else None
            if origin is not None:
                priority = self._ledger.jobs_of(origin.id)[0].priority
                return Request(recipes_from(self._ledger, origin), priority), None
            sidecar = self.workspace(drop.id).source / drop.sidecar if drop.sidecar is not None else None
            defaults = self._settings.defaults.layer()
            request = read_request([defaults, *load_layers(self._instance.input, drop.name, sidecar)])
            if is_approved(drop.name):  # without having been previewed
                recipes = tuple(recipe.model_copy(update={"preview": False}) for recipe in request.recipes)
                request = replace(request, recipes=recipes)
            return request, None
        except JobRejected as error:
            return Request((Recipe(),)), error

    def _stems(self, drop: DropRow, request: Request) -> Iterator[str]:
        """A free name in output/ for each job; each is to be reserved before the next is asked for."""
        wanted = output_path(drop.name)

        def stem(n: int, mark: str) -> str:
            return str(wanted.with_name(f"{numbered(wanted.name, n)}{mark}"))

        for recipe in request.recipes:
            marks = ("", PREVIEW) if recipe.preview else ("",)  # the whole is to get the preview's number
            n = first_free(lambda n: any(self._taken(stem(n, mark)) for mark in marks))  # noqa: B023  (called here)
            yield stem(n, marks[-1])

    def _taken(self, stem: str) -> bool:
        path = self._instance.output / stem
        return path.name.lower() in self._stems_in(path.parent) or self._ledger.stem_taken(stem)

    def _stems_in(self, folder: Path) -> set[str]:
        """Names without suffix in a folder of output/, listed once for each claim."""
        if folder not in self._listed:
            paths = list(folder.iterdir()) if folder.is_dir() else []
            self._listed[folder] = {name.lower() for path in paths for name in (path.name, path.stem)}
        return self._listed[folder]


def _remove_original(copy: Path, original: Path) -> None:
    """Remove a file of input/ that a crash kept from going once it was copied across filesystems.

    The copy has its time: another file of the same bytes that was dropped since is left alone.
    """
    if not (copy.is_file() and original.is_file()) or original.is_symlink():
        return
    here, there = copy.stat(), original.stat()
    if here.st_dev == there.st_dev or here.st_mtime_ns != there.st_mtime_ns:
        return
    if filecmp.cmp(copy, original, shallow=False):
        original.unlink()


def _goes_by(side: str, folder: Path) -> bool:
    """Whether ``side`` belongs to a picture that is still in ``folder``."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return any(side in pair.beside for pair in pair_up(names).values())


def _name(path: Path | None) -> str | None:
    return path.name if path is not None else None


def _take(source: Path, target: Path, copy: bool) -> None:
    """Move, or copy, one file into the drop's own folder. Raises FileNotFoundError when it is gone."""
    if copy:
        copy_as_is(source, target)
    else:
        move(source, target, flush=False)
