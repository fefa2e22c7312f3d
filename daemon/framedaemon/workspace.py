"""Where files of a job stand, and how they move: in by a claim, out by one rename.

    tmp/jobs/<drop>/source/photo.jpg, photo.toml      the claimed files, names as they were
    tmp/jobs/<drop>/<n>/                              the workspace of job n: checkpoints, video.mp4, receipt.json

A move never overwrites. It is one rename; across filesystems it is copy, flush, rename, remove, so that a file
is complete wherever it is visible. Folders are flushed after every rename: what has happened stays so in a power cut.
"""

from __future__ import annotations

import ctypes
import errno
import filecmp
import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framedaemon.naming import free_path

# Files with this prefix in output/ or input/ are being copied; they are hidden, and swept at start.
COPYING = ".framedaemon-"

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


def orphans(jobs: Path, known: Collection[str]) -> Iterable[Path]:
    """Folders below tmp/jobs/ that no open drop owns."""
    return [folder for folder in sorted(jobs.iterdir()) if folder.name not in known]


def sweep_copies(folder: Path) -> None:
    """Remove copies below ``folder`` that a crash cut short; their originals are where they were."""
    for path in folder.rglob(f"{COPYING}*.part"):
        with suppress(OSError):
            _remove(path)


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
        if source.is_dir():
            shutil.copytree(source, partial, copy_function=_copy_flushed)
            for folder, _, _ in os.walk(partial):
                flush_folder(Path(folder))
        else:
            _copy_flushed(source, partial)
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


def _copy_flushed(source: str | Path, target: str | Path) -> None:
    with Path(source).open("rb") as reading, Path(target).open("xb") as writing:
        shutil.copyfileobj(reading, writing, 1024 * 1024)
        writing.flush()
        os.fsync(writing.fileno())
    shutil.copystat(source, target)
