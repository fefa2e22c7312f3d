"""Whether the work is asked to end at its next safe point, and by when.

    service ─ Halt ─▶ worker's listener ─ ask ─▶ Halting ◀─ asked ─ stages and pipeline, between two steps

Asking interrupts nothing: who works looks, leaves what another attempt goes on with, and raises `Halted`.
"""

from __future__ import annotations

import threading
import time

# Of the time that is given, what goes into closing files once the work has ended.
_CLOSING_SHARE = 0.2


class Halting:
    """Asked for by one thread and looked at by others. Times are those of `time.monotonic`."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._until = 0.0

    def ask(self, seconds: float) -> None:
        """Have the work end within ``seconds``."""
        self._until = time.monotonic() + seconds * (1 - _CLOSING_SHARE)
        self._asked.set()

    def forget(self) -> None:
        """Another job is at work from now on."""
        self._asked.clear()

    def asked(self) -> bool:
        """Whether the work is to end."""
        return self._asked.is_set()

    def too_long(self, seconds: float) -> bool:
        """Whether the work is to end, and what takes so long would not be done in time."""
        return self.asked() and time.monotonic() + seconds > self._until
