"""Folders: rights, room, and what the file systems below them can and cannot do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from framedaemon.checking import UNWRITABLE, folder_problems
from framedaemon.disk import free_bytes
from framedaemon.doctor.finding import Finding, State
from framedaemon.doctor.patient import Patient
from framedaemon.instance import Instance, another_users
from framedaemon.requests import daemon_pid
from framedaemon.settings import Settings, show_bytes
from framedaemon.users import command_as, user_name
from framedaemon.watch import filesystem_of, sends_events

_IN_MEMORY = ("tmpfs", "ramfs")
_FAT = ("vfat", "msdos")
_FEW_INODES = 10_000

# The kernel does that to a disk that fails: to write to it again blindly may lose more.
_READ_ONLY = "findmnt -T {}; sudo dmesg | tail -n 50  # says which disk, and why: one that failed wants fsck first"


@dataclass(frozen=True, slots=True)
class Place:
    """One of the folders, and the file system below it."""

    name: str
    path: Path
    kind: str
    """In the kernel's words: ``ext4``, ``nfs4``."""
    device: int
    free: int
    inodes: int | None
    """Files that can still be made; None where the file system does not count them."""
    ignores_case: bool


def examine_folders(patient: Patient) -> Iterator[Finding]:
    """The folders of the instance as they are now."""
    problems, theirs = folder_problems(patient.instance), _is_anothers(patient.instance)
    for said, mend in problems:
        folder = Path(said.removesuffix(UNWRITABLE))
        if said.endswith(UNWRITABLE) and os.statvfs(folder).f_flag & os.ST_RDONLY:
            yield _finding("rights", "error", f"{folder}: is mounted read-only", _READ_ONLY.format(quote(str(folder))))
        elif not (theirs and said.endswith(UNWRITABLE)):
            yield _finding("rights", "error", said, _mend(said, mend))
    places = look_at(patient.instance)
    yield from _left_behind(patient.instance, theirs)
    yield from _owners(patient.instance, places)
    yield from judge_places(places, patient.settings)
    if places:
        yield _finding("folders", "ok", f"{', '.join(place.name for place in places)} lie in {patient.instance.root}")


def look_at(instance: Instance) -> list[Place]:
    """Those of input/, output/ and tmp/ that are there."""
    return [_place(folder) for folder in (instance.input, instance.output, instance.tmp) if folder.is_dir()]


def judge_places(places: list[Place], settings: Settings) -> Iterator[Finding]:
    """What the file systems mean for the work."""
    yield from _room(places, settings.disk.keep_free_bytes)
    devices = {place.device for place in places}
    if len(devices) > 1:
        apart = "; ".join(
            " and ".join(f"{place.name}/" for place in places if place.device == device) for device in sorted(devices)
        )
        said = f"they are on several file systems ({apart}): files are copied between them, and stand there twice"
        yield _finding("apart", "warning", said, "keep input/, output/ and tmp/ on one, where that can be")
    for place in places:
        yield from _peculiar(place, settings)


def _room(places: list[Place], keep: int) -> Iterator[Finding]:
    for place in {place.device: place for place in reversed(places)}.values():
        said = f"{show_bytes(place.free)} are free in {place.name}/"
        root = quote(str(place.path.parent))
        prune = f"framedaemon prune --dry-run --instance {root}  # says what could go; du -sh {root}/* what is there"
        if place.free < keep:
            lacking = show_bytes(keep - place.free)
            said += f", {lacking} less than [disk] keep_free_bytes ({show_bytes(keep)}): jobs wait"
            yield _finding("room", "error", said, prune)
        elif place.free < 2 * keep:
            said += f", and jobs wait below {show_bytes(keep)} ([disk] keep_free_bytes)"
            yield _finding("room", "warning", said, prune)
        else:
            yield _finding("room", "ok", said)
        if place.inodes is not None and place.inodes < _FEW_INODES:
            said = f"only {place.inodes} more files can be made in {place.name}/, however small"
            yield _finding("inodes", "warning", said, prune)


def _peculiar(place: Place, settings: Settings) -> Iterator[Finding]:
    where = f"{place.name}/ is on {place.kind}"
    if not sends_events(place.kind) and place.name == "input":
        often = f"{settings.inbox.rescan_seconds:g} s"
        if settings.inbox.watch == "events":
            said = f"{where}, which sends no events, and config.toml [inbox] watch waits for some"
            yield _finding("network", "warning", said, 'config.toml [inbox] watch = "auto"')
        else:
            yield _finding("network", "ok", f"{where}, which sends no events: it is looked through every {often}")
    if not sends_events(place.kind) and place.name == "tmp":
        said = f"{where}: a ledger is not safe on a network, where locks may not hold"
        yield _finding(
            "network",
            "warning",
            said,
            "have the instance on a disk of this machine, and link or mount input/ and output/ from there",
        )
    if place.kind in _IN_MEMORY and place.name in ("tmp", "output"):
        lost = "queue and history" if place.name == "tmp" else "the videos"
        yield _finding(
            "memory",
            "warning",
            f"{where}, in memory: {lost} are lost when the machine restarts",
            f"have {place.name}/ on a disk",
        )
    if place.kind in _FAT:
        said = f"{where}, which holds no file above 4 GiB, and no rights"
        yield _finding("limits", "warning", said, "format it as exfat, ntfs or ext4, or use another disk")
    elif place.ignores_case:
        yield _finding("case", "ok", f"{where}, which does not tell Photo.jpg from photo.jpg: names are numbered")


def _is_anothers(instance: Instance) -> bool:
    """Whether its daemon is another user's than who asks: to give that one the folders would take them from the daemon.

    What is root's, and no daemon runs there, was made with sudo and is to be somebody's.
    """
    owner = instance.root.stat().st_uid
    return os.geteuid() not in (0, owner) and (owner != 0 or daemon_pid(instance) is not None)


def _left_behind(instance: Instance, theirs: bool) -> Iterator[Finding]:
    """What a `sudo framedaemon` left behind. The daemon's user is whose the folder is, as for `service install`."""
    owner = instance.root.stat().st_uid
    daemon = owner if theirs else owner or os.geteuid()
    for path in another_users(instance, daemon):
        said = f"{path}: belongs to {user_name(path.stat().st_uid)}; a daemon of {user_name(daemon)} cannot use it"
        mend = f"sudo chown -R {user_name(daemon)} {quote(str(instance.root))}"
        yield _finding("rights", "error" if daemon == os.geteuid() else "warning", said, mend)


def _owners(instance: Instance, places: list[Place]) -> Iterator[Finding]:
    """Whose they are, where that is not who asks: rights may look well to root that the daemon's user lacks."""
    owners = {place.path.stat().st_uid for place in places} | {instance.root.stat().st_uid}
    if len(owners) > 1:
        said = f"they belong to several users: {', '.join(map(user_name, sorted(owners)))}"
        yield _finding("owner", "ok", f"{said}; the daemon must be able to write to all of them")
    elif owners and os.geteuid() not in owners:
        said = f"they belong to {user_name(min(owners))}, and you are {user_name(os.geteuid())}"
        words = [sys.executable, "-m", "framedaemon", "doctor", "--instance", str(instance.root)]
        mend = command_as(min(owners), words)
        yield _finding("owner", "ok", f"{said}: ask as that user to hear what the daemon may do", mend)


def _place(folder: Path) -> Place:
    status, room = folder.stat(), os.statvfs(folder)
    swapped = folder.with_name(folder.name.swapcase())
    ignores = folder.name != swapped.name and swapped.exists() and swapped.samefile(folder)
    inodes = room.f_favail if room.f_files else None
    return Place(folder.name, folder, filesystem_of(folder), status.st_dev, free_bytes(folder), inodes, ignores)


def _mend(said: str, mend: str) -> str:
    """The command in what `framedaemon check` says of a folder."""
    if "`" in mend:
        return mend.split("`")[1]
    folder = quote(said.rpartition(": ")[0])
    return mend.removeprefix(": ") or f"sudo chown -R $USER {folder}; chmod u+rwx {folder}"


def _finding(name: str, state: State, said: str, mend: str = "") -> Finding:
    return Finding("folders", name, state, said, mend)
