"""A time after which code that is not ours is interrupted, where it runs in the main thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

# Code that catches everything hears it again after this long, until it gives up.
_AGAIN_SECONDS = 1.0


class Overdue(BaseException):
    """It took too long. No Exception: what is interrupted must not take it for one of its own."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise Overdue in what runs here once ``seconds`` are over; code in C is interrupted when it comes back.

    In other threads than the main one nothing is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def strike(number: int, frame: object) -> NoReturn:
        raise Overdue(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
