"""What frames go through between stages: meters that count and time them, and names for those who break.

Each function here takes an iterator and gives one, and closes what it takes when it is closed itself.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice

from framedaemon.clip import Frame
from framedaemon.errors import DiskFull, FramedaemonError, OutOfMemory, StageFailed

Frames = Generator[Frame, None, None]
"""A stream that can be closed."""


@dataclass(slots=True)
class Meter:
    """Counts frames through a point of the stream, and the time it takes to get them."""

    frames: int = 0
    seconds: float = 0.0
    watch: Callable[[int], None] = field(default=lambda count: None)

    def through(self, source: Iterator[Frame]) -> Frames:
        """``source``, metered."""
        try:
            while True:
                started = time.perf_counter()
                frame = next(source, None)
                self.seconds += time.perf_counter() - started
                if frame is None:
                    return
                self.frames += 1
                self.watch(self.frames)
                yield frame
        finally:
            close(source)


def sort_error(error: BaseException, raised_by: str = "") -> FramedaemonError:
    """The error as one that says what to do next: our own unchanged, others by what they mean."""
    if isinstance(error, FramedaemonError):
        return error
    if isinstance(error, MemoryError) or _is_torch_memory(error):
        return OutOfMemory(f"out of memory: {error}".rstrip(": "))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"the disk is full: {error}")
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return StageFailed(f"{raised_by}: {said}" if raised_by else said)


@contextmanager
def blaming(stage: str) -> Iterator[None]:
    """Name the stage in what it raises. What comes to it from another is named already."""
    try:
        yield
    except (Exception, SystemExit) as error:
        reason = sort_error(error, stage)
        if reason is error:
            raise
        raise reason from error


def blamed(frames: Iterator[Frame], stage: str) -> Frames:
    """``frames``, the stage named in what it raises while it makes them."""
    try:
        with blaming(stage):
            yield from frames
    finally:
        close(frames)


def watched(frames: Iterator[Frame], see: Callable[[Frame], None]) -> Frames:
    """``frames``, each seen before it goes on."""
    try:
        for frame in frames:
            see(frame)
            yield frame
    finally:
        close(frames)


def drawn_from(draw: Callable[[int], Frames], meter: Meter, source: int, seeks: bool, closes: bool) -> Frames:
    """The frames of a generator from number ``source`` on, metered; with ``closes``, frame 0 once more behind them.

    draw: gives the frames from a number on, which is 0 unless the generator ``seeks``. One that does not is let draw
    what is not wanted.
    """
    if not seeks or source == 0:
        yield from _dropping(meter.through(draw(0)), source, closes and source > 0)
        return
    meter.frames = source
    yield from meter.through(draw(source))
    if closes:
        with closing(draw(0)) as again:
            yield next(again)


def _dropping(frames: Frames, count: int, closes: bool) -> Frames:
    first = None
    with closing(frames):
        for frame in islice(frames, count):
            first = frame if closes and first is None else first
        yield from frames
        if first is not None:
            yield first


def taken(frames: Iterator[Frame], count: int) -> Frames:
    """The next ``count`` of ``frames``, which is not closed with it: others take what follows."""
    yield from islice(frames, count)


def close(frames: Iterator[Frame]) -> None:
    """End a stream early, where it can be."""
    closer = getattr(frames, "close", None)
    if closer is not None:
        closer()


def _is_torch_memory(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    kind = getattr(torch, "OutOfMemoryError", None)
    return kind is not None and isinstance(error, kind)
