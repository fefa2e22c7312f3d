"""input/ is the queue: what lies there, unchanged for a while and closed by whoever wrote it, is to be taken.

    scan(now) ─▶ look through the folders ─▶ pair with what lies beside ─▶ settled? ─▶ writer gone? ─▶ Arrival

Nothing is opened that has not settled, and nothing is ever moved or changed here. Time is monotonic seconds, so
clocks that jump and mtimes in the future mean nothing. A scan knows only what is there now: what it does not see it
forgets, and says nothing about, since an unmounted share looks just like an emptied folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from framedaemon.lease import has_writer
from framedaemon.naming import WAITING, show
from framedaemon.pulse import beat
from framedaemon.settings import InboxSettings
from framedaemon.sidecars import FOLDER_DEFAULTS, is_last, is_sidecar, owner_of, pair_up

_UNFINISHED = (
    *("~", "#", ".part", ".partial", ".crdownload", ".download", ".tmp", ".swp", ".filepart"),
    ".error.txt",  # our own reasons, moved back together with the picture
)
_CLUTTER = {"thumbs.db", "desktop.ini", FOLDER_DEFAULTS}
_SYSTEM_FOLDERS = {"@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "__macosx"}
_OURS = {"done", "failed", WAITING}
_REFUSED_KINDS = {
    stat.S_IFLNK: "a link; put the file itself here",
    stat.S_IFIFO: "a named pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}
_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}  # gone or replaced since it was listed
_MOST_PROBLEMS = 20  # that are told one by one: whoever may write into input/ may make any number of them
_DEEPEST = 32  # folders in each other: each may have a defaults.toml, read for every picture below
_LONGEST_NAME = 2000  # bytes: output/ and failed/ have longer paths than input/, and 4095 is where Linux ends
_RETRY_SECONDS = 1.0  # at least, before a file that somebody still writes is looked at again


class Identity(NamedTuple):
    """What stays the same while nobody touches a file."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Beside(NamedTuple):
    """A file that belongs to an arrival: its sidecar, or the picture that it is to end with."""

    name: str
    """Relative to input/."""
    identity: Identity
    shared: bool
    """Other pictures still need it: copy it, do not move it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that is complete and to be taken, or to be refused without being opened."""

    name: str
    """Relative to input/, with surrogate escapes for bytes that are not UTF-8."""
    root: Path
    """input/."""
    identity: Identity
    beside: tuple[Beside, ...]
    """Its sidecar and its last picture, as far as it has them."""
    refusal: str | None
    """Why it cannot be taken, for the person who dropped it."""

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.root / self.name

    @property
    def sidecar(self) -> Path | None:
        """Where its sidecar is."""
        return next((self.root / one.name for one in self.beside if is_sidecar(one.name)), None)

    @property
    def last(self) -> Path | None:
        """Where the picture is that it is to end with."""
        return next((self.root / one.name for one in self.beside if is_last(one.name)), None)

    def unchanged(self) -> bool:
        """Whether all its files are still those that were scanned; ask right before taking them."""
        try:
            return identify(os.lstat(self.path)) == self.identity and all(
                identify(os.lstat(self.root / one.name)) == one.identity for one in self.beside
            )
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Orphan:
    """A sidecar or last picture whose picture is not in its folder: taken already, or still to come."""

    name: str
    path: Path
    settled: bool

    @property
    def owner(self) -> str:
        """What the picture is called that it belongs to, relative to input/, with or without its suffix."""
        return self.name.removesuffix(self.path.name) + (owner_of(self.path.name) or "")

    @property
    def wanting(self) -> str | None:
        """What a last picture waits for, for who wonders that nothing is made of it; None for a sidecar."""
        if not is_last(self.path.name):
            return None
        first = show(PurePosixPath(self.owner).name)
        return (
            f"input/{show(self.name)}: waits for a picture called {first}, whose clip is to end with it; "
            "a picture of its own needs another name"
        )


@dataclass(frozen=True, slots=True)
class Scan:
    """What one look through input/ found."""

    arrivals: tuple[Arrival, ...]
    """In the order in which they were first seen, then by name."""
    settling: int
    """How many files are not to be taken yet."""
    next_due: float | None
    """When, on the clock of ``now``, the first of those may be; None when there are none."""
    orphans: tuple[Orphan, ...]
    problems: tuple[str, ...]
    """Folders that could not be looked into, and the like. The same every time until it is mended."""


class Inbox:
    """Remembers, from one scan to the next, since when each file has been as it is."""

    def __init__(self, root: Path, settings: InboxSettings) -> None:
        self._root = root
        self._settle_seconds = settings.settle_seconds
        self._seen: dict[str, _Seen] = {}

    def scan(self, now: float, exclude: Collection[str] = ()) -> Scan:
        """What is in input/ at ``now`` (monotonic seconds), but for the names in ``exclude``. Never raises OSError."""
        look = _Look(self._root, now, self._settle_seconds, self._seen)
        folders = [""]
        while folders:
            prefix = folders.pop()
            files, below = _list(self._root, prefix, look.problems)
            folders += below
            if files:
                look.sort_out(prefix, files, exclude)
        self._seen = look.seen
        return look.result()


class _Seen(NamedTuple):
    """A picture and what belongs to it as they have been since ``since``."""

    identity: tuple[Identity, ...]
    since: float
    ready: bool
    """Whether it settled and no writer was found; asked once for each state of the files."""
    refusal: str | None


def folders_of(root: Path) -> Iterator[str]:
    """Every folder that is looked into, as a prefix of names: ``""`` for input/ itself, ``"pets/"``."""
    left = [""]
    while left:
        prefix = left.pop()
        yield prefix
        left += _list(root, prefix, [])[1]


def _list(root: Path, prefix: str, problems: list[str]) -> tuple[dict[str, os.stat_result], list[str]]:
    """The files of one folder that are not ignored, and the folders to look into next (as prefixes ending in /)."""
    files: dict[str, os.stat_result] = {}
    below: list[str] = []
    if prefix.count("/") > _DEEPEST:
        problems.append(f"input/{show(prefix[:100])}…: lies below {_DEEPEST} other folders and is not looked into")
        return files, below
    folder = f"{root}/{prefix}"
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                beat()
                name = entry.name
                if name[0] == "." or (not prefix and name in _OURS):
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if name.lower() not in _SYSTEM_FOLDERS:
                            below.append(f"{prefix}{name}/")
                    elif entry.is_symlink() and entry.is_dir():
                        problems.append(
                            f"input/{show(prefix + name)}: links to folders are not followed; mount it here"
                        )
                    elif not _ignored(name):
                        files[name] = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    problems.append(f"input/{show(prefix + name)}: cannot be looked at: {error.strerror}")
    except (FileNotFoundError, NotADirectoryError):
        if not prefix:
            problems.append(f"{show(root)}: the input folder is not there; is a mount missing?")
    except OSError as error:
        problems.append(f"input/{show(prefix)}: cannot be looked into: {error.strerror}")
    return files, below


def _ignored(name: str) -> bool:
    low = name.lower()
    return low.endswith(_UNFINISHED) or low in _CLUTTER or ".sync-conflict-" in low


def identify(status: os.stat_result) -> Identity:
    """What a file is known again by."""
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(slots=True)
class _Look:
    """One scan while it goes on."""

    root: Path
    now: float
    settle_seconds: float
    before: dict[str, _Seen]
    seen: dict[str, _Seen] = field(default_factory=dict)
    ready: list[tuple[str, _Seen, tuple[str, ...], str | None]] = field(default_factory=list)
    """Name, what is known of it, names of what belongs to it, why that may not be its own."""
    orphans: list[Orphan] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    users: dict[str, int] = field(default_factory=dict)
    """How many pictures need what lies beside them, by its name."""
    settling: int = 0
    next_due: float | None = None

    def result(self) -> Scan:
        """All that was found, once every folder was looked into."""
        self.ready.sort(key=lambda found: (found[1].since, found[0]))
        arrivals = tuple(self._arrival(*found) for found in self.ready)
        problems = sorted(self.problems)
        if len(problems) > _MOST_PROBLEMS:
            problems[_MOST_PROBLEMS:] = [f"input/: {len(problems) - _MOST_PROBLEMS} more of the like"]
        return Scan(arrivals, self.settling, self.next_due, tuple(self.orphans), tuple(problems))

    def sort_out(self, prefix: str, files: dict[str, os.stat_result], exclude: Collection[str]) -> None:
        """Add what one folder holds."""
        pairs = pair_up(files)
        lonely = files.keys() - pairs.keys()
        for name, pair in pairs.items():
            status, beside = files[name], {}
            for side in pair.beside:
                lonely.discard(side)
                beside[prefix + side] = files[side]
                self.users[prefix + side] = self.users.get(prefix + side, 0) + 1
            if (exclude and prefix + name in exclude) or _empty(status):
                continue
            seen = self._settle(prefix + name, {prefix + name: status, **beside})
            if seen.ready and pair.last is not None and _empty(files[pair.last]):
                self.problems.append(f"input/{show(prefix + name)}: waits for {show(pair.last)}, which is empty")
            elif seen.ready:
                self.ready.append((prefix + name, seen, tuple(beside), pair.refusal))
        for name in lonely:
            seen = self._settle(prefix + name, {prefix + name: files[name]})
            complete = seen.ready and not (is_last(name) and _empty(files[name]))
            self.orphans.append(Orphan(prefix + name, self.root / (prefix + name), complete))

    def _settle(self, key: str, files: dict[str, os.stat_result]) -> _Seen:
        """What is known now of ``files``, the picture first; ``ready`` once all settled and their writers are gone."""
        identity = tuple(map(identify, files.values()))
        seen = self.before.get(key)
        if seen is None or seen.identity != identity:
            seen = _Seen(identity, self.now, ready=False, refusal=None)
        due = seen.since + self.settle_seconds
        if not seen.ready and due <= self.now:
            due = self.now + _RETRY_SECONDS
            seen = self._probe_all(seen, files)
        if not seen.ready:
            self.settling += 1
            self.next_due = due if self.next_due is None else min(due, self.next_due)
        self.seen[key] = seen
        return seen

    def _probe_all(self, seen: _Seen, files: dict[str, os.stat_result]) -> _Seen:
        refusals = []
        for number, (key, status) in enumerate(files.items()):
            ready, complaint = self._probe(key, status)
            if not ready:
                return seen
            if complaint is not None:
                name = key.rpartition("/")[2]
                what = "sidecar" if is_sidecar(name) else "last picture"
                refusals.append(f"its {what} {show(name)} {complaint}" if number else complaint)
        return seen._replace(ready=True, refusal=next(iter(refusals), None))

    def _probe(self, key: str, status: os.stat_result) -> tuple[bool, str | None]:
        """Whether a settled file can be taken or refused, and why it is to be refused."""
        kind = stat.S_IFMT(status.st_mode)
        if kind != stat.S_IFREG:
            return True, f"is {_REFUSED_KINDS.get(kind, 'not a file')}"
        if len(os.fsencode(key)) > _LONGEST_NAME:
            return True, f"lies too deep: its name and its folders' take more than {_LONGEST_NAME} bytes"
        try:
            fd = os.open(f"{self.root}/{key}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                same = identify(os.fstat(fd)) == identify(status)
                return same and not has_writer(fd), None
            finally:
                os.close(fd)
        except PermissionError:
            return True, "cannot be read by the daemon; its permissions forbid it"
        except OSError as error:
            if error.errno not in _CHANGED:
                self.problems.append(f"input/{show(key)}: cannot be opened: {error.strerror}")
            return False, None

    def _arrival(self, key: str, seen: _Seen, sides: tuple[str, ...], rivalry: str | None) -> Arrival:
        """To be called once for each arrival, in their order: the last one that needs a sidecar may move it."""
        beside = []
        for side, identity in zip(sides, seen.identity[1:], strict=True):
            self.users[side] -= 1
            beside.append(Beside(side, identity, shared=self.users[side] > 0))
        return Arrival(key, self.root, seen.identity[0], tuple(beside), seen.refusal or rivalry)


def _empty(status: os.stat_result) -> bool:
    """Whether it is a file that nobody has written anything into yet."""
    return status.st_size == 0 and stat.S_ISREG(status.st_mode)
