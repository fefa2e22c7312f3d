"""SIGKILL at random moments: of the service, of its worker, of the worker's ffmpeg.

The service comes back by being started again, as systemd would; worker and ffmpeg die inside a living daemon, which is
held still while it is looked at. Each trial is a kill; the invariants are checked after every one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from torture.report import Row
from torture.stream import Stream, Stuck, lives
from torture.workbench import Daemon, Workbench, kill

# ffmpeg lives about so long for one of our videos.
_ENCODER_SECONDS = 0.08

_PATIENCE_SECONDS = 180.0


def service_killed(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the service; start it again."""
    row = Row("service killed")
    stream = Stream(bench, bench.instance("service"), rng, row)
    for _ in bench.trials(trials):
        with lives(stream):
            stream.linger()
        stream.struck()
        if row.violations:
            return row
    stream.end()
    return row


def worker_killed(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the worker; the service starts another."""
    row = Row("worker killed")
    stream = Stream(bench, bench.instance("worker"), rng, row)
    with lives(stream) as daemon:
        for _ in bench.trials(trials):
            pid = _awaited(stream, daemon.workers)
            stream.linger()
            _strike(stream, daemon, pid)
            if row.violations:
                return row
    stream.end()
    return row


def ffmpeg_killed(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the ffmpeg that encodes; the worker's job fails and is tried again."""
    row = Row("ffmpeg killed")
    stream = Stream(bench, bench.instance("ffmpeg"), rng, row)
    with lives(stream) as daemon:
        for _ in bench.trials(trials):
            before = row.trials
            while row.trials == before:  # it may have ended before its kill
                pid = _awaited(stream, daemon.encoders)
                time.sleep(rng.uniform(0.0, _ENCODER_SECONDS))
                _strike(stream, daemon, pid)
            if row.violations:
                return row
    stream.end()
    return row


def _awaited(stream: Stream, processes: Callable[[], list[int]]) -> int:
    """The first of ``processes``, as soon as there is one. Raises Stuck."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not (found := processes()):
        stream.feed(0.005)
        if time.monotonic() > end:
            raise Stuck(f"no process came within {_PATIENCE_SECONDS:g} s")
    return found[0]


def _strike(stream: Stream, daemon: Daemon, pid: int) -> None:
    """Kill one process of a daemon, if it is still there, and look at what it left."""
    if kill(pid):
        with daemon.stopped():
            stream.struck()


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    "service killed": service_killed,
    "worker killed": worker_killed,
    "ffmpeg killed": ffmpeg_killed,
}
