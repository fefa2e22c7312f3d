"""Where files of a job stand, and how they move: in by a claim, out by one rename.

    tmp/jobs/<drop>/source/photo.jpg, photo.toml      the claimed files, names as they were
    tmp/jobs/<drop>/<n>/                              the workspace of job n: checkpoints, video.mp4, receipt.json, and
                                                      sheet.jpg of a preview

A move never overwrites. It is one rename; across filesystems it is copy, flush, rename, remove, so that a file
is complete wherever it is visible. Folders are flushed after every rename: what has happened stays so in a power cut.

Who may write into input/ may put links there, at any moment: what is moved is the link, never what it leads to, and
folders below input/ are entered by `real_folder` only.
"""

from __future__ import annotations

import ctypes
import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from framedaemon.naming import free_path
from framedaemon.pulse import beat

# Files with this prefix in output/ or input/ are being copied; they are hidden, and swept at start.
COPYING = ".framedaemon-"

SHEET = "sheet.jpg"
"""A preview's contact sheet, in its job's workspace."""

_BLOCK_BYTES = 1 << 20

# At 10 MB/s, a slow share, a flush of this many takes half a minute.
_FLUSH_BYTES = 256 << 20

# linux/fcntl.h and linux/fs.h. Python offers no rename that refuses to overwrite.
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = getattr(_libc, "renameat2", None)
_syncfs = getattr(_libc, "syncfs", None)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of one drop."""

    folder: Path

    @property
    def source(self) -> Path:
        """Holds the claimed files."""
        return self.folder / "source"

    def job(self, number: int) -> Path:
        """The folder of job ``number``, made if need be."""
        folder = self.folder / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def remove(self) -> None:
        """Remove the folder and all that is left in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def move(source: Path, target: Path, flush: bool = True) -> None:
    """Move a file or folder to a name that is free. Raises FileExistsError when it is not.

    With ``flush=False`` the caller flushes both folders, once for many files.
    """
    try:
        _rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(source, target)
    if flush:
        flush_folder(target.parent)
        flush_folder(source.parent)


def move_aside(source: Path, target: Path) -> Path:
    """Move a file to ``target``, or to a numbered name beside it when that is taken; returns where it went.

    Where the very same bytes stand already, as after a crash between a copy and the removal of its original, the
    source, or what is left of it, is only removed.
    """
    while True:
        if _stands_in(source, target):
            _remove(source)
            flush_folder(source.parent)
            return target
        try:
            free = free_path(target.parent, target.name)
            move(source, free)
        except FileExistsError:
            continue
        return free


@contextmanager
def real_folder(root: Path, below: PurePath, make: bool = False, moved: bool = False) -> Iterator[Path]:
    """The folder ``below`` of ``root``, held open: a path that goes on meaning it, whatever its name comes to mean.

    No link is followed below ``root``; ``moved``: but for a first one that the daemon's user or root made, since an
    administrator may keep done/ on another disk. ``make`` makes folders that are missing. Raises OSError:
    NotADirectoryError for a link.
    """
    handle = os.open(root, _ENTER)
    try:
        for depth, part in enumerate(below.parts):
            inner = _enter(handle, part, make, linked=moved and depth == 0)
            os.close(handle)
            handle = inner
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def _enter(folder: int, name: str, make: bool, linked: bool) -> int:
    """A handle of the folder ``name`` in ``folder``; ``linked``: it may be a link of ours, or of root's."""
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    trusted = linked and stat.S_ISLNK(status.st_mode) and status.st_uid in (0, os.geteuid())
    try:
        return os.open(name, _ENTER | (0 if trusted else os.O_NOFOLLOW), dir_fd=folder)
    except NotADirectoryError:
        raise NotADirectoryError(errno.ENOTDIR, "is a link or no folder", name) from None


def copy_as_is(source: Path, target: Path) -> None:
    """Copy one file, flushed: a link as a link, a pipe as a pipe; a file with its time, never with its setuid bit.

    Raises OSError: FileExistsError where ``target`` is taken.
    """
    status = os.lstat(source)
    if stat.S_ISLNK(status.st_mode):
        target.symlink_to(source.readlink())
        return
    if not stat.S_ISREG(status.st_mode):
        os.mknod(target, stat.S_IFMT(status.st_mode) | 0o600)  # only root can make devices, and only root drops any
        return
    with _open_regular(source) as reading, target.open("xb") as writing:
        status = os.fstat(reading.fileno())
        _copy_bytes(reading, writing)
        os.fchmod(writing.fileno(), status.st_mode & 0o777)
        os.utime(writing.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))  # the last write is behind us
        os.fsync(writing.fileno())


def _copy_bytes(reading: BinaryIO, writing: BinaryIO) -> None:
    """Copy to the end, flushed now and then: one flush of a whole film would take minutes without a sign of life."""
    flushed = 0
    while block := reading.read(_BLOCK_BYTES):
        writing.write(block)
        beat()
        if writing.tell() - flushed >= _FLUSH_BYTES:
            writing.flush()
            os.fsync(writing.fileno())
            flushed = writing.tell()
    writing.flush()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file that is either not there or complete; one that is there is replaced."""
    partial = _partial(path.parent)
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder safe from a power cut, where the filesystem can."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return  # the folder went away with what was in it
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def flush_filesystem(folder: Path) -> None:
    """Make all that was done in ``folder``'s filesystem safe from a power cut: one wait for many moves."""
    if _syncfs is None:
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all the files in a folder."""
    if path.is_dir():
        return sum(inner.stat().st_size for inner in path.iterdir())
    return path.stat().st_size


def bytes_below(folder: Path) -> int:
    """Bytes of all the files below ``folder``; links count as such, and what goes away meanwhile for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  (names that are not UTF-8)
    return total


def orphans(jobs: Path, known: Collection[str]) -> Iterable[Path]:
    """Folders below tmp/jobs/ that no open drop owns."""
    return [folder for folder in sorted(jobs.iterdir()) if folder.name not in known]


def sweep_copies(folder: Path) -> None:
    """Remove copies below ``folder`` that a crash cut short; their originals are where they were.

    Folders may be nested deeper than Python recurses: a stranger must not keep the daemon from starting by that.
    """
    left = [str(folder)]
    while left:
        with suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.name.startswith(COPYING) and entry.name.endswith(".part"):
                    with suppress(OSError, RecursionError):
                        _remove(Path(entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)


def _rename(source: Path, target: Path) -> None:
    """Rename without overwriting: atomically by Linux's renameat2; where a filesystem lacks it, after a look."""
    if _renameat2 is not None:
        if _renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(code, os.strerror(code), str(source), None, str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _copy_over(source: Path, target: Path) -> None:
    """Copy, flush and rename; the original goes last, once its copy is safe under its own name."""
    partial = _partial(target.parent)
    try:
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, partial, symlinks=True, copy_function=_copy_in_tree)
            for folder, _, _ in os.walk(partial):
                flush_folder(Path(folder))
        else:
            copy_as_is(source, partial)
        _rename(partial, target)
    except BaseException:
        _remove(partial)
        raise
    flush_folder(target.parent)
    _remove(source)


def _stands_in(source: Path, target: Path) -> bool:
    """Whether ``target`` has all that ``source`` has: the same bytes, or for a folder those of each of its files."""
    if source.is_dir():
        return target.is_dir() and all(_stands_in(inner, target / inner.name) for inner in source.iterdir())
    return source.is_file() and target.is_file() and filecmp.cmp(source, target, shallow=False)


def _partial(folder: Path) -> Path:
    """A hidden name in ``folder`` for what is not complete yet. One process writes; what a crash left is removed."""
    partial = folder / f"{COPYING}{os.getpid()}.part"
    _remove(partial)
    return partial


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy_in_tree(source: str, target: str) -> None:
    copy_as_is(Path(source), Path(target))


def _open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading; a link or a pipe that took its place is neither followed nor waited for."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.ELOOP, "is not a regular file any more", str(path))
    return file
