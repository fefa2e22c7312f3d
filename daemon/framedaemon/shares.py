"""input/ and output/ may be shares, and a share that is missing looks just like an empty folder.

A mount point that lost its filesystem is an ordinary folder: what is put into it is hidden once the share is back. So
which of the two were mount points is remembered, in tmp/ for the next start, too, as a share may be missing then.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from framedaemon.instance import Instance
from framedaemon.workspace import write_atomically


class Shares:
    """Knows which folders of an instance were mount points, from now on and from earlier starts."""

    def __init__(self, instance: Instance) -> None:
        self._kept = instance.tmp / "mounts"
        self._mounts: set[str] = set()
        with suppress(OSError):
            self._mounts.update(self._kept.read_text("utf-8").splitlines())
        for folder in (instance.input, instance.output):
            self._look(folder)

    @contextmanager
    def held(self, folder: Path) -> Iterator[Path]:
        """A path that goes on meaning ``folder`` as it is now, even when it is unmounted or renamed meanwhile.

        Raises OSError where the folder is gone, or nothing is mounted on it any more.
        """
        try:
            handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise FileNotFoundError(error.errno, "the folder is not there; is a mount missing?", str(folder)) from None
        try:
            if not self._look(folder) and folder.name in self._mounts:
                why = f"nothing is mounted there any more (if that is to stay so, take {folder.name} out of tmp/mounts)"
                raise OSError(errno.ENODEV, why, str(folder))
            yield Path(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)

    def _look(self, folder: Path) -> bool:
        """Whether something is mounted on ``folder``; if so, it is kept in mind."""
        # Not by /proc/self/mountinfo: under systemd each folder that a service may write to is bound onto itself there.
        mounted = os.path.ismount(folder.resolve())
        if mounted and folder.name not in self._mounts:
            self._mounts.add(folder.name)
            with suppress(OSError):  # a full disk: it is kept with the next start
                write_atomically(self._kept, "".join(f"{name}\n" for name in sorted(self._mounts)).encode())
        return mounted
