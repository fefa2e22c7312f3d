"""Hands items from one thread to the next, a few at a time, so that stages overlap without piling up.

    producer thread ─▶ at most ``depth`` items ─▶ whoever iterates

The producer waits when the hand-over is full (back-pressure); the consumer waits when it is empty. An exception in
the producer arrives at the consumer in its place. Closing ends the producer and joins its thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

# Two let the next frame be made while this one is used; a third evens out what each one takes.
DEPTH = 3


class HandOver(Generic[T]):
    """Iterates ``source`` in a thread of its own, at most ``depth`` items ahead."""

    def __init__(self, source: Iterator[T], name: str, depth: int = DEPTH) -> None:
        self._source = source
        self._depth = depth
        self._ready: deque[T] = deque()
        self._change = Condition()
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._produce, name=name, daemon=True)

    def __enter__(self) -> HandOver[T]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        self._thread.start()
        try:
            while True:
                with self._change:
                    self._change.wait_for(lambda: self._ready or self._ended)
                    if not self._ready:
                        break
                    item = self._ready.popleft()
                    self._change.notify_all()
                yield item
            if self._error is not None:
                raise self._error
        finally:
            self.close()

    def close(self) -> None:
        """Stop the producer after the item it is making, and wait until it has cleaned up."""
        with self._change:
            self._closed = True
            self._ready.clear()
            self._change.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        else:
            self._finish()  # never iterated: nobody else closes the source

    def _produce(self) -> None:
        try:
            for item in self._source:
                with self._change:
                    self._change.wait_for(lambda: self._closed or len(self._ready) < self._depth)
                    if self._closed:
                        break
                    self._ready.append(item)
                    self._change.notify_all()
        except BaseException as error:  # noqa: BLE001  (handed to the consumer, whatever it is)
            self._error = error
        finally:
            self._finish()

    def _finish(self) -> None:
        try:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        except BaseException as error:  # noqa: BLE001  (handed to the consumer, whatever it is)
            self._error = self._error or error
        with self._change:
            self._ended = True
            self._change.notify_all()
