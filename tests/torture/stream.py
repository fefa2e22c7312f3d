"""Pictures that keep coming into an instance, as fast as its daemon works them off; what ended well is cleared away.

So one instance serves hundreds of trials, and looking at it after each costs no more than after the first.
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from framedaemon.instance import Instance
from torture.invariants import Dropped, Violation, after_a_crash, closed, in_the_end, unended_states, unexplained
from torture.report import Row
from torture.workbench import Daemon, Workbench, once

# How many pictures wait in line, so that the worker never has to.
_AHEAD = 4

# A daemon that publishes nothing for so long has stopped working.
_PATIENCE_SECONDS = 180.0

SIDECAR = "[generate]\nframes = 6\n"
"""Asks for what the settings say anyway: the video is the same."""


class Stuck(Exception):
    """The daemon works no more."""


@dataclass(slots=True)
class Stream:
    """Feeds one instance. Counts into ``row``."""

    bench: Workbench
    instance: Instance
    rng: random.Random
    row: Row
    mix: Callable[[int, random.Random], Dropped | None] | None = None
    """Drops file number so and so, if another is wanted; without it, pictures with and without sidecars."""
    cleared: int = 0
    """How many ended well."""
    drops: list[Dropped] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def drop(self, with_sidecar: bool = False) -> None:
        """One more picture."""
        number = next(self._numbers)
        sidecar = SIDECAR if with_sidecar else None
        self.drops.append(self.bench.drop(self.instance, f"picture{number}.png", number, sidecar))

    def drop_any(self) -> None:
        """One more picture, with or without a sidecar, or a file that is none."""
        chance = self.rng.random()
        if self.mix is not None:
            drop = self.mix(next(self._numbers), self.rng)
            self.drops += [drop] if drop is not None else []
        elif chance < 0.1:
            self.drops.append(self.bench.refuse(self.instance, f"picture{next(self._numbers)}.png"))
        else:
            self.drop(with_sidecar=chance < 0.3)

    def finished(self) -> int:
        """How many of `drops` were put away."""
        folders = (self.instance.done, self.instance.failed)
        return sum(any((folder / drop.name).exists() for folder in folders) for drop in self.drops)

    def feed(self, seconds: float) -> None:
        """Keep the queue filled for so long."""
        end = time.monotonic() + seconds
        while True:
            for _ in range(_AHEAD - len(self.drops) + self.finished()):
                self.drop_any()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, self.rng.uniform(0.0, 0.05)))

    def feed_until_finished(self) -> None:
        """Keep the queue filled until one more picture was put away, or there are no more. Raises Stuck."""
        before, end = self.finished(), time.monotonic() + _PATIENCE_SECONDS
        self.feed(0.0)
        while before == self.finished() < len(self.drops):
            self.feed(0.01)
            if time.monotonic() > end:
                raise Stuck(f"nothing was finished within {_PATIENCE_SECONDS:g} s")

    def linger(self) -> None:
        """Feed until a random moment: sometimes of the daemon's start, mostly of its work. Raises Stuck."""
        if self.rng.random() < 0.3:
            self.feed(self.rng.uniform(0.0, 2.0))
        else:
            self.feed_until_finished()
            self.feed(self.rng.uniform(0.0, 0.4))

    def at_rest(self) -> bool:
        """Whether every picture was put away, and its folder removed."""
        return self.finished() == len(self.drops) and not any(self.instance.jobs.iterdir())

    def rest(self) -> None:
        """Wait until the daemon has nothing left to do. Raises Stuck."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not self.at_rest():
            time.sleep(0.01)
            if time.monotonic() > end:
                raise Stuck(f"{len(self.drops) - self.finished()} pictures were not finished")

    def rested(self) -> None:
        """Check that all has ended well, while the daemon is held, and clear it away."""
        self.row.add(in_the_end(self.instance, self.drops), trials=0)
        self._clear()

    def struck(self, place: str | None = None) -> None:
        """Count a trial at ``place``, check the invariants while nothing runs, and clear away what ended well."""
        self.row.add(after_a_crash(self.instance, self.drops))
        self.row.states.update([place] if place is not None else unended_states(self.instance) or ["none"])
        self._clear()

    def end(self) -> None:
        """Let a daemon work off what is left, and check that all has ended well."""
        code = once(self.instance)
        self.row.add(in_the_end(self.instance, self.drops), trials=0)
        if code not in (0, 1):
            self.row.add([Violation("ledger", f"the last daemon ended with {code}")], trials=0)

    def _clear(self) -> None:
        """Remove what belongs to pictures that were put away, once it was seen to be all there."""
        names = closed(self.instance)
        over = [drop for drop in self.drops if drop.name in names]
        self.row.add(unexplained(self.instance, over), trials=0)
        if self.row.violations:
            return  # to be looked at
        self.cleared += len(over)
        for drop in over:
            for folder in (self.instance.done, self.instance.failed, self.instance.output):
                for path in folder.glob(f"{drop.stem}.*"):
                    path.unlink()
        self.drops = [drop for drop in self.drops if drop.name not in names]


@contextmanager
def lives(stream: Stream, environment: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon that is killed at the end; one that is stuck, or leaves processes behind, is a violation."""
    daemon = Daemon(stream.instance, environment=environment)
    try:
        yield daemon
    except Stuck as stuck:
        stream.row.add([Violation("lost", str(stuck))], trials=0)
    finally:
        code = daemon.process.poll()
        if code not in (None, -signal.SIGKILL):
            stream.row.add([Violation("lost", f"the daemon ended by itself, with {code}")], trials=0)
        try:
            daemon.kill()
        except AssertionError as error:
            stream.row.add([Violation("litter", f"a process outlived the service: {error}")], trials=0)
