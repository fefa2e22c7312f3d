"""What workers and their plugins print: one file, begun anew when it has grown, and the last words of who died."""

from __future__ import annotations

import os
import sys
from pathlib import Path

WORKER_OUTPUT = "worker.out"
"""In the folder of the logs."""
_MAX_BYTES = 1_000_000

# While a worker runs. It is looked at once a second; more than that is no use to anybody.
_MOST_BYTES = 10_000_000
_KEPT_BYTES = 100_000


class Printed:
    """The file, and where in it the worker that was started last began."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def open(self) -> int:
        """A handle for a worker to print to; where the log folder is full, gone or locked, what it prints is lost."""
        path = self._path
        try:
            if path.exists() and path.stat().st_size > _MAX_BYTES:
                path.replace(path.with_suffix(".out.1"))
            self._start = path.stat().st_size if path.exists() else 0
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError:
            self._start = sys.maxsize
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def bound(self) -> None:
        """Keep what a plugin prints without end from filling the disk: of a file that has grown the end stays."""
        try:
            size = self._path.stat().st_size
            if size <= _MOST_BYTES:
                return
            with self._path.open("r+b") as file:
                file.seek(size - _KEPT_BYTES)
                kept = file.read(_KEPT_BYTES)
                self._path.with_suffix(".out.1").write_bytes(kept)
                file.truncate(0)  # whoever prints appends, and goes on at the beginning
            self._start = 0
        except OSError:
            return  # it was never there, or the folder of the logs is full, gone or locked

    def last_words(self) -> str:
        """The last lines that this worker printed, to be put behind a reason."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(self._start, self._path.stat().st_size - 4000))
                lines = file.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return "; it said: " + " | ".join(lines[-5:]) if lines else ""
