"""Wakes the daemon when something comes into input/; what came, the next scan finds out.

Events are a convenience: whatever they miss, the rescan finds after ``rescan_seconds``. So nothing here fails: where
events do not come (network mounts, used up inotify limits) `Watch.note` says so, and rescans do the whole work.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Literal

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from framedaemon.naming import show

# With every kind of event, thousands of files at once overflow the queue; with these they do not.
_EVENTS: list[type[FileSystemEvent]] = [
    *(FileClosedEvent, FileCreatedEvent, FileMovedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]
# Others write there without our kernel hearing of it.
_REMOTE = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "9p", "virtiofs", "lustre", "gpfs", "beegfs"),
    *("gfs2", "ocfs2", "glusterfs", "vboxsf", "prl_fs", "drvfs", "fakeowner", "davfs", "fuse.davfs", "fuse.davfs2"),
    *("fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse"),
    *("fuse.juicefs", "fuse.curlftpfs", "fuse.vmhgfs-fuse", "fuse.grpcfuse", "fuse.osxfs", "fuse.gvfsd-fuse"),
}
_JOIN_SECONDS = 5.0
# What could not be watched for want of handles or threads may be later; rescans find all that comes meanwhile.
_AGAIN_SECONDS = 600.0
# What pairs the halves of a move, in watchdog 7 and 6.
_MOVE_PAIRERS = (("inotify_move_event_grouper", "InotifyMoveEventGrouper"), ("inotify_buffer", "InotifyBuffer"))


class Watch:
    """Calls ``wake``, in a thread of its own, when something may have come; ``wake`` may only set a flag."""

    def __init__(self, root: Path, wake: Callable[[], None], mode: Literal["auto", "events", "poll"] = "auto") -> None:
        self.note = "not started"
        """Why no events come, for the log; empty while they do."""
        self._root = root
        self._wake = wake
        self._mode = mode
        self._observer: BaseObserver | None = None
        self._handler: _Handler | None = None
        self._watched: tuple[int, int] | None = None
        self._again = math.inf

    def start(self) -> None:
        """Begin to watch, or note why not."""
        self._watched, self._again = _identify(self._root), math.inf
        self.note = self._why_not()
        if self.note:
            return
        real = os.path.realpath(self._root)  # links are not followed by watchdog, not even the root's own
        handler = _Handler(real, self._wake)
        _hear_at_once()
        observer = None
        try:
            observer = Observer()
            observer.schedule(handler, real, recursive=True, event_filter=_EVENTS)
            observer.start()
        except (OSError, RuntimeError) as error:  # inotify's limits, fs.inotify.max_user_*; no file handle, no thread
            why = error.strerror if isinstance(error, OSError) else error
            self.note = f"{show(self._root)}: cannot be watched ({why}); rescans alone find what comes"
            self._again = time.monotonic() + _AGAIN_SECONDS
            if observer is not None:
                _end(observer)
            return
        self._observer, self._handler = observer, handler

    def stop(self) -> None:
        """Stop watching; safe to call at any time."""
        observer, self._observer, self._handler, self.note = self._observer, None, None, "not started"
        if observer is not None:
            _end(observer)

    def check(self) -> bool:
        """Mend a watch that went deaf; call it at each tick. True when it was mended: something may have come.

        A folder that was deleted, moved or mounted over leaves the watch on the old one, alive and deaf.
        """
        died = self._observer is not None and not self._observer.is_alive()
        deaf = self._handler is not None and self._handler.deaf
        same = _identify(self._root) == self._watched and time.monotonic() < self._again
        if self._mode == "poll" or (same and not died and not deaf):
            return False
        self.stop()
        self.start()
        return self._watched is not None

    def _why_not(self) -> str:
        if self._mode == "poll":
            return 'config.toml [inbox] watch is "poll": rescans alone find what comes'
        if self._watched is None:
            return f"{show(self._root)}: is not there"
        kind = filesystem_of(self._root)
        if self._mode == "auto" and not sends_events(kind):
            return f"{show(self._root)}: is on {kind}, which sends no events; rescans alone find what comes"
        return ""


def _end(observer: BaseObserver) -> None:
    with suppress(OSError, RuntimeError):  # half of it was never started, or another has ended it
        observer.stop()
        observer.join(_JOIN_SECONDS)


def _hear_at_once() -> None:
    """Keep watchdog from holding back all that follows a file that was moved out.

    It waits half a second for the second half of each move, whoever made it, and every claim is one. Moves need not
    be paired here: both halves wake. Goes when watchdog takes that delay as an argument.
    """
    for module, name in _MOVE_PAIRERS:
        with suppress(ImportError):  # another version, or a system without inotify
            getattr(import_module(f"watchdog.observers.{module}"), name).delay = 0.0


class _Handler(FileSystemEventHandler):
    """Wakes for everything but what the daemon itself puts away."""

    def __init__(self, root: str, wake: Callable[[], None]) -> None:
        self.deaf = False
        """Whether the watched folder was deleted; one made anew may even get its inode."""
        self._root = root
        self._ours = (f"{root}/done/", f"{root}/failed/")
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog's thread."""
        if isinstance(event, DirDeletedEvent) and os.fsdecode(event.src_path) == self._root:
            self.deaf = True
        if not os.fsdecode(event.dest_path or event.src_path).startswith(self._ours):
            self._wake()


def filesystem_of(path: Path) -> str:
    """The kind of file system that ``path`` lies on, in the kernel's words: ``ext4``, ``nfs4``; empty if unknown."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return ""
    return mounted_type(os.path.realpath(path), mounts)


def sends_events(kind: str) -> bool:
    """Whether the kernel hears of all that happens on a file system of this kind: not where others write to it."""
    return kind not in _REMOTE


def mounted_type(path: str, mounts: str) -> str:
    """The kind of file system at ``path`` after ``mounts``, the text of /proc/self/mountinfo."""
    best, kind = -1, ""
    for mount, mounted in mounts_in(mounts):
        point = mount.rstrip("/")
        if len(point) >= best and (path == point or path.startswith(f"{point}/")):
            best, kind = len(point), mounted
    return kind


def mounts_in(mounts: str) -> Iterator[tuple[str, str]]:
    """Where something is mounted, and the kind of file system that is; ``mounts`` as for `mounted_type`."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) >= 5 and after:
            yield re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]), after.split(" ")[0]


def _identify(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
