"""Signs of life from honest slow work: whoever waits for the loop can tell a long copy from a loop that hangs.

    with felt_by(listener):  …  beat() in the middle of whatever may take minutes

Nobody listens in workers and commands; there a beat does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LISTENER: ContextVar[Callable[[], None] | None] = ContextVar("framedaemon_pulse", default=None)


def beat() -> None:
    """Say that the work at hand goes on; cheap enough for each megabyte copied and each folder looked through."""
    listener = _LISTENER.get()
    if listener is not None:
        listener()


@contextmanager
def felt_by(listener: Callable[[], None]) -> Iterator[None]:
    """Have ``listener`` called at each beat of this thread."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
