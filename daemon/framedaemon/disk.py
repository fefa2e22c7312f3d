"""The disk-space guard: a job starts only when there is room for it, and waits for room visibly otherwise.

A job is admitted when, on every filesystem it writes to,

    free - reserved >= max(temporary + videos, 3 x videos) + keep_free_bytes

where ``reserved`` is what was promised there to others and is not written yet. The video's size is that of a middling
one: three times that covers a busy one, or a usual one and its copy across filesystems while it is published. One
that is joined from its parts stands there twice.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from framedaemon.errors import DiskFull
from framedaemon.settings import show_bytes

FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class Need:
    """What a job will write."""

    temporary: int
    """Bytes in its workspace besides the video."""
    video: int
    """Bytes of the finished video."""
    copies: int = 1
    """How often the video stands in the workspace: twice where it is joined from its parts."""

    @property
    def admission(self) -> int:
        """Bytes that must be free before it starts."""
        videos = self.copies * self.video
        return max(self.temporary + videos, 3 * videos)


@dataclass(frozen=True, slots=True)
class Shortage:
    """A filesystem without room for a job."""

    folder: Path
    free: int
    """Bytes free and not reserved."""
    needed: int
    """Bytes that would have to be, ``keep_free_bytes`` included."""

    def describe(self) -> str:
        free, needed, lacking = map(show_bytes, (self.free, self.needed, self.needed - self.free))
        return (
            f"{free} are free in {self.folder}, {needed} are needed, {lacking} too few; "
            "the job goes on by itself when there is room"
        )


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write in ``folder``'s filesystem."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def shortage(
    need: Need,
    reserved: Mapping[Path, int],
    folders: tuple[Path, ...],
    keep_free_bytes: int,
    free: FreeBytes = free_bytes,
) -> Shortage | None:
    """The first of ``folders`` whose filesystem has no room for ``need``, or None.

    ``reserved``: bytes that others will still write, by folder.
    """
    for folder in folders:
        available = free(folder) - reserved.get(folder, 0)
        needed = need.admission + keep_free_bytes
        if available < needed:
            return Shortage(folder, available, needed)
    return None


def refuse_full_disk(error: Exception, path: Path) -> None:
    """Raises DiskFull where that is what ``error`` says of writing ``path``, for a person who waits for it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise DiskFull(f"the disk ran full at {path}: make room and try again, it goes on from there") from error


class Ballast:
    """A file that takes up room so that there is some to give: without it a full disk could not even be recorded."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def load(self, keep_free_bytes: int) -> None:
        """Take the room, if there is plenty."""
        try:
            if not self._size or (self._path.exists() and self._path.stat().st_size == self._size):
                return
            if free_bytes(self._path.parent) > self._size + keep_free_bytes:
                with self._path.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError:
            self.drop()

    def drop(self) -> bool:
        """Give the room back; False when there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
