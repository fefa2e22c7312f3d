"""Filesystems of our own: on disks whose power may fail at any write, in memory that fills up, read-only, gone.

All of it needs root, loop devices and FUSE. Whatever is mounted is unmounted when its `with` ends.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from torture import recorder

_DISK_BYTES = 32 << 20

# Nothing reaches the disk but by a flush: no commit every five seconds, no flush that ext4 slips into a rename.
_HARSH = "noauto_da_alloc,commit=300"

# A disk without power keeps of what was not flushed whole pages, in no order.
_PAGE_BYTES = 4096

_TOOLS = ("mount", "umount", "losetup", "mkfs.ext4", "e2fsck", "unshare")


def missing() -> str:
    """What this machine lacks to mount filesystems of our own; empty: nothing."""
    if os.geteuid() != 0:
        return "mounting needs root"
    lacking = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"{lacking[0]} is not here"
    if not Path("/dev/loop-control").exists() or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "there are no loop devices, or there is no FUSE"
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this process may not mount"


@contextmanager
def mounted(what: Path | str, where: Path, *options: str) -> Iterator[Path]:
    """``what`` on the folder ``where``, which is made if need be."""
    where.mkdir(parents=True, exist_ok=True)
    _run("mount", *options, what, where)
    try:
        yield where
    finally:
        unmount(where)


def memory(where: Path, size: int) -> AbstractContextManager[Path]:
    """A filesystem of ``size`` bytes."""
    return mounted("none", where, "-t", "tmpfs", "-o", f"size={size}")


def ext4(image: Path, where: Path) -> AbstractContextManager[Path]:
    """The filesystem in ``image``; mounting it puts right what its journal tells of."""
    return mounted(image, where, "-t", "ext4", "-o", f"loop,{_HARSH}")


def unmount(where: Path) -> None:
    """Take a filesystem away; whoever still has files open in it keeps those, but finds no others."""
    _run("umount", "--lazy", where)


def sound(image: Path) -> bool:
    """Whether the filesystem in an image is free of contradictions."""
    return subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, check=False).returncode == 0


@contextmanager
def recorded(folder: Path, *points: Path) -> Iterator[Recording]:
    """Fresh filesystems on ``points``, on disks that remember each write; what they need lies in ``folder``."""
    folder.mkdir(parents=True)
    recording = Recording(folder, len(points))
    served = []
    for number in range(len(points)):
        shutil.copyfile(recording.blank, folder / f"served{number}")
        (folder / f"disk{number}").touch()
        served += [folder / f"served{number}", folder / f"disk{number}"]
    process = subprocess.Popen(
        [sys.executable, recorder.__file__, recording.log, *served], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process, ExitStack() as mounts:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for disk in served[1::2]:
            mounts.callback(unmount, disk)
        for disk, point in zip(served[1::2], points, strict=True):
            mounts.enter_context(ext4(disk, point))
        yield recording


class _Write(NamedTuple):
    disk: int
    offset: int
    data: bytes
    """Empty: everything before is safe."""


@dataclass(frozen=True, slots=True)
class Recording:
    """All that reached some disks, in its order, and what a power cut would have left of it at any moment."""

    folder: Path
    disks: int

    def __post_init__(self) -> None:
        with self.blank.open("wb") as file:
            file.truncate(_DISK_BYTES)
        options = ("-b", str(_PAGE_BYTES), "-J", "size=4", "-E", "lazy_itable_init=0,nodiscard")
        _run("mkfs.ext4", "-q", *options, self.blank)
        self.log.touch()

    @property
    def blank(self) -> Path:
        """What each disk began with."""
        return self.folder / "blank"

    @property
    def log(self) -> Path:
        """What `recorder` wrote."""
        return self.folder / "log"

    def now(self) -> int:
        """This moment: what anyone flushed until now is safe from cuts from here on."""
        return self.log.stat().st_size

    def moments(self, first: int, last: int) -> list[int]:
        """Right before each write and each flush between two moments."""
        found = []
        with self.log.open("rb") as file:
            file.seek(first)
            while file.tell() < last:
                found.append(file.tell())
                _read(file)
        return found

    def cut(self, moments: Sequence[int], rng: random.Random) -> Iterator[tuple[int, list[Path]]]:
        """The disks as they are when the power fails at each of ``moments`` (ascending): all that was flushed is there,
        and of the rest as much as ``rng`` lets reach the disk. The images are good until the next ones are asked for.
        """
        safe = [self.folder / f"safe{number}" for number in range(self.disks)]
        left = [self.folder / f"left{number}" for number in range(self.disks)]
        unsafe: list[list[_Write]] = [[] for _ in safe]
        for image in safe:
            shutil.copyfile(self.blank, image)
        with self.log.open("rb") as file:
            for moment in moments:
                while file.tell() < moment:
                    write = _read(file)
                    unsafe[write.disk].append(write)
                    if not write.data:
                        _apply(safe[write.disk], unsafe[write.disk])
                        unsafe[write.disk].clear()
                share = rng.choice((0.0, 0.5, 1.0))
                for number in range(self.disks):
                    shutil.copyfile(safe[number], left[number])
                    pages = [page for write in unsafe[number] for page in _pages(write)]
                    _apply(left[number], [page for page in pages if rng.random() < share])
                yield moment, left


def _read(log: BinaryIO) -> _Write:
    disk, size, offset = recorder.HEAD.unpack(log.read(recorder.HEAD.size))
    return _Write(disk, offset, log.read(size))


def _pages(write: _Write) -> Iterator[_Write]:
    for start in range(0, len(write.data), _PAGE_BYTES):
        yield _Write(write.disk, write.offset + start, write.data[start : start + _PAGE_BYTES])


def _apply(image: Path, writes: Sequence[_Write]) -> None:
    with image.open("r+b") as file:
        for write in writes:
            file.seek(write.offset)
            file.write(write.data)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
