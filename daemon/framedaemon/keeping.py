"""What a stage leaves loaded for the next job like it: a network, compiled and in its place.

    with kept(key, make) as network:      job 1: made      job 2, with an equal key: the same again      else: made anew

One thing at most is kept, and only in a process that does one job after the other and says so by `keep_between_jobs`:
a worker, which lets go of it before it plans another kind of job or where memory is short. Elsewhere, and after an
error, it is closed where the ``with`` ends. What is handed out twice must not remember the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Slot:
    keeps: bool = False
    held: tuple[Hashable, Any, ExitStack] | None = None


_SLOT = _Slot()


def keep_between_jobs() -> None:
    """From now on keep what `kept` hands out until it is wanted again, or `release` is called."""
    _SLOT.keeps = True


def holds() -> bool:
    """Whether something is kept."""
    return _SLOT.held is not None


def release() -> None:
    """Let go of what is kept."""
    held, _SLOT.held = _SLOT.held, None
    if held is not None:
        held[2].close()


@contextmanager
def kept(key: Hashable, make: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """What ``make`` gives, or gave to the job before under an equal ``key``.

    key: all that it depends on; weights by their hash.
    """
    held, _SLOT.held = _SLOT.held, None
    if held is not None and held[0] == key:
        _, value, stack = held
    else:
        if held is not None:
            held[2].close()
        stack = ExitStack()
        value = stack.enter_context(make())
    try:
        yield value
    except BaseException:
        stack.close()
        raise
    if not _SLOT.keeps:
        stack.close()
        return
    release()  # two stages of one job, say: the last one is kept
    _SLOT.held = key, value, stack
