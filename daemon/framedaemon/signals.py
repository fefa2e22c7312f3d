"""Signals as notes that the loop reads when it gets to it, and that wake it up."""

from __future__ import annotations

import os
import selectors
import signal
import time
from contextlib import suppress

from framedaemon.pulse import beat

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """Signals only leave a note and wake whoever sleeps on ``handle``; a lease that a writer breaks says nothing.

    Held from before the lock to after it: whoever sees the lock may send SIGUSR1, and that must not end the daemon.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self.handle, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Signals:
        self._old = {number: signal.signal(number, lambda n, frame: self.received.append(n)) for number in _SIGNALS}
        self._old[signal.SIGIO] = signal.signal(signal.SIGIO, signal.SIG_IGN)
        self._old_handle = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.set_wakeup_fd(self._old_handle)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        os.close(self.handle)
        os.close(self._waking)

    def stopped_within(self, seconds: float) -> bool:
        """Sleep so long, or until a signal says to end; whether one did. It stays in `received`."""
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            with selectors.PollSelector() as selector:
                selector.register(self.handle, selectors.EVENT_READ)
                selector.select(max(0.0, end - time.monotonic()))
            beat()
            self.drain()
        return self.stopping

    @property
    def stopping(self) -> bool:
        """Whether a signal came that says to end."""
        return signal.SIGTERM in self.received or signal.SIGINT in self.received

    def wake(self) -> None:
        """From any thread."""
        with suppress(OSError):  # full: it will wake anyway
            os.write(self._waking, b"w")

    def drain(self) -> None:
        """Forget that we were woken."""
        with suppress(BlockingIOError):
            while os.read(self.handle, 4096):
                pass
