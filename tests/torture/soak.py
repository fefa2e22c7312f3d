"""Hundreds of mixed jobs through one instance: good ones, and all that strangers and plugins do wrong.

Once with a service that is killed every few seconds, once within one life of it, whose memory, files and children are
counted. Every input must be accounted for either way.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from framedaemon.instance import Instance
from living import STAGES
from torture.invariants import Dropped, Violation, frames_digest
from torture.report import Row
from torture.stream import Stream, lives
from torture.workbench import Daemon, Workbench, descendants, kill, once

_JOBS = 500
_KILL_SECONDS = (0.0, 4.0)

# Memory is compared with what it was when the daemon had made so many; by then it has loaded all that it needs.
_WARM = 50
_GROWTH = 1.1

# A job is struck by kills that are none of its making, too: more attempts than usual.
_CONFIG = ("max_attempts = 100", "max_attempts = 6")

# Name, share in the mix, and how the stage `faulty` is to fail; good, again and noise become videos.
_FAULTS = {
    "again": (6, 'fault = "raise"\ntimes = 1'),
    "noise": (6, 'fault = "noise"'),
    "raises": (4, 'fault = "raise"'),
    "outofmemory": (5, 'fault = "memory"'),
    "memoryerror": (3, 'fault = "memoryerror"'),
    "exits": (2, 'fault = "exit"'),
    "killed": (2, 'fault = "kill"'),
    "short": (3, 'fault = "short"'),
    "shape": (3, 'fault = "shape"'),
}
_MADE = {"again", "noise"}

# Name, share in the mix, and bytes that are not the picture they say.
_HOSTILE = {
    "text": (4, b"not a picture"),
    "cut": (3, b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x40\x00\x00\x00\x30\x08\x02\x00\x00\x00"),
    "huge": (
        3,
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x7f\xff\xff\xff" * 2 + b"\x08\x02\x00\x00\x00\xda\x4c\x6b\xa5",
    ),
    "jpeg": (3, b"\xff\xd8\xff\xe0" + b"\0" * 2000),
}
_SIDECARS = {
    "deep": (3, "a = " + "[" * 500 + "]" * 500),
    "typo": (3, "[generate]\nframez = 3\n"),
    "wrong": (3, "[encode]\nbit_depth = 9\n"),
}
_SHARES = {
    "good": 45,
    **{kind: share for kind, (share, _) in _FAULTS.items()},
    **{kind: share for kind, (share, _) in _HOSTILE.items()},
    **{kind: share for kind, (share, _) in _SIDECARS.items()},
}


@dataclass(slots=True)
class Mix:
    """Drops one of everything, at random."""

    bench: Workbench
    instance: Instance
    left: int
    dropped: dict[str, int] = field(default_factory=dict)
    _digest: str = ""

    def __post_init__(self) -> None:
        self.instance.config.write_text(self.bench.config.replace(*_CONFIG), encoding="utf-8")
        (self.instance.plugins / "stages.py").write_text(STAGES, encoding="utf-8")
        undisturbed = self.bench.instance(f"{self.instance.root.name}-undisturbed")
        (undisturbed.plugins / "stages.py").write_text(STAGES, encoding="utf-8")
        self.bench.drop(undisturbed, "faulty.png", sidecar=_faulty(""))
        once(undisturbed)
        self._digest = frames_digest(undisturbed.output / "faulty.mp4")

    def drop(self, number: int, rng: random.Random) -> Dropped | None:
        """One more file, unless there were enough."""
        if self.left == 0:
            return None
        self.left -= 1
        (kind,) = rng.choices(list(_SHARES), list(_SHARES.values()))
        self.dropped[kind] = self.dropped.get(kind, 0) + 1
        name = f"{kind}{number}.png"
        if kind in _FAULTS:
            drop = self.bench.drop(self.instance, name, number, _faulty(_FAULTS[kind][1]))
            return replace(drop, frames=self._digest if kind in _MADE else None)
        if kind in _HOSTILE:
            return self.bench.refuse(self.instance, name, _HOSTILE[kind][1] + name.encode())
        if kind in _SIDECARS:
            return replace(self.bench.drop(self.instance, name, number, _SIDECARS[kind][1]), frames=None)
        return self.bench.drop(self.instance, name, number)


def _faulty(how: str) -> str:
    return f'[generate]\nuse = "faulty"\nframes = 3\n{how}\n'


def service_killed(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the service every few seconds until all jobs have ended."""
    row = Row("soak, service killed")
    mix = Mix(bench, bench.instance("soak"), _jobs(trials))
    stream = Stream(bench, mix.instance, rng, row, mix.drop)
    for _ in bench.trials(1_000_000):
        with lives(stream):
            stream.feed_until_finished()
            stream.feed(rng.uniform(*_KILL_SECONDS))
        stream.struck()
        if row.violations or (mix.left == 0 and stream.at_rest()):
            break
    if not row.violations:
        stream.end()
    row.said.append(f"jobs: {mix.dropped}")
    return row


def one_life(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill only workers, every few seconds; the service must end as it was after its first jobs."""
    row = Row("soak, one life")
    mix = Mix(bench, bench.instance("life"), _jobs(trials))
    stream = Stream(bench, mix.instance, rng, row, mix.drop)
    early: _Size | None = None
    with lives(stream) as daemon:
        for _ in bench.trials(1_000_000):
            stream.feed_until_finished()
            stream.feed(rng.uniform(*_KILL_SECONDS))
            for worker in daemon.workers():
                kill(worker)
                with daemon.stopped():
                    stream.struck()
            if early is None and stream.cleared >= _WARM:
                early = _measured(stream, daemon)
            if row.violations or (mix.left == 0 and stream.at_rest()):
                break
        if not row.violations:
            late = _measured(stream, daemon)
            with daemon.stopped():
                stream.rested()
            row.said.append(f"service after {_WARM} jobs: {early}; at the end: {late}")
            row.add(_grown(early or late, late), trials=0)
    if not row.violations:
        stream.end()
    row.said.append(f"jobs: {mix.dropped}")
    return row


@dataclass(frozen=True, slots=True)
class _Size:
    """What a service holds."""

    memory_bytes: int
    files: int
    children: int

    @classmethod
    def of(cls, daemon: Daemon) -> _Size:
        process = Path(f"/proc/{daemon.process.pid}")
        pages = int((process / "statm").read_text().split()[1])
        return cls(pages * 4096, len(list((process / "fd").iterdir())), len(descendants(daemon.process.pid)))


def _measured(stream: Stream, daemon: Daemon) -> _Size:
    """What the service holds at rest, with a worker that has just made a video."""
    stream.rest()
    stream.drop()
    stream.rest()
    sizes = []
    for _ in range(10):  # now and then a file is open for a moment
        time.sleep(0.1)
        sizes.append(_Size.of(daemon))
    return min(sizes, key=lambda size: size.files)


def _grown(early: _Size, late: _Size) -> list[Violation]:
    found = []
    if late.memory_bytes > _GROWTH * early.memory_bytes:
        found.append(Violation("litter", f"the service grew from {early.memory_bytes} to {late.memory_bytes} bytes"))
    if late.files > early.files:
        found.append(Violation("litter", f"the service has {late.files} files open, and had {early.files}"))
    if late.children > 1:
        found.append(Violation("litter", f"the resting service has {late.children} children, not just its worker"))
    return found


def _jobs(trials: int) -> int:
    return min(_JOBS, trials * 5 // 2)


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    "soak, service killed": service_killed,
    "soak, one life": one_life,
}
