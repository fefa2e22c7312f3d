"""Times an answer, by a watch that stands still while others have the processor."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDULED = Path("/proc/thread-self/schedstat")


class Stopwatch:
    """Runs from when it is made, for the thread that made it.

    A limit in seconds is about the code under test: on a machine that ten others use, it may wait a minute for its
    turn. Sleeping, and waiting for a disk or an answer, count.
    """

    def __init__(self) -> None:
        self._waited = _waited_seconds()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it was made, less what this thread was ready to run and was not let."""
        return time.monotonic() - self._began - (_waited_seconds() - self._waited)


def _waited_seconds() -> float:
    """How long this thread has waited for a processor in all its life; 0 where the system does not tell."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
