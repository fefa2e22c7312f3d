"""SIGKILL right before each system call by which a job changes something: of the service, its worker, its ffmpeg.

An undisturbed job under strace says which calls there are. Then each of them is struck once, in random order, in a job
of its own; the invariants are checked at once, and again when the next daemon, or worker, has ended that job.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from framedaemon.instance import Instance
from framedaemon_ffmpeg.binary import ffmpeg_binary
from torture.invariants import Dropped, Violation, after_a_crash, in_the_end
from torture.report import Row
from torture.strace import CALLS, Moment, moments, traced
from torture.stream import Stream, Stuck, lives
from torture.workbench import Daemon, Workbench, descendants, is_alive, once, wait_until

REFUSED = "[encode]\nbit_depth = 9\n"
"""A sidecar for which a picture is refused when it is claimed: no worker has to start."""

_KILLED = (-9, 137)
_LEDGER_WRITE = "pwrite64"
_STEPS = {"fsync", "fdatasync", "syncfs", "renameat2", "rename", "renameat", "unlink", "unlinkat", "rmdir"}
_PATIENCE_SECONDS = 180.0

# So long after its picture was put away, nothing of a job is still to come.
_REST_SECONDS = 0.3

# Runs ffmpeg under strace, with the arguments that the file names, once for each time that the file is made.
_WRAPPER = """#!/bin/sh
if mv "{orders}" "{orders}.taken" 2>/dev/null; then
    exec strace -f -q -y -o "{log}" $(cat "{orders}.taken") "{ffmpeg}" "$@"
fi
exec "{ffmpeg}" "$@"
"""


def service_flushes(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the service before each flush, rename and removal: between what has happened and what is to follow it."""
    return _service(bench, trials, rng, Row("service: each flush and rename"), lambda moment: moment.call in _STEPS)


def service_writes(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the service before all else that it does: new files and folders, what it writes there, what it tells."""
    chosen = _STEPS | {_LEDGER_WRITE}
    return _service(bench, trials, rng, Row("service: each write"), lambda moment: moment.call not in chosen)


def service_ledger_writes(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the service before each piece that it writes into the ledger."""
    return _service(bench, trials, rng, Row("service: each ledger write"), lambda moment: moment.call == _LEDGER_WRITE)


def service_between_disks(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the service before each call where tmp/jobs/ is on another filesystem, and each move is a copy."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    row = Row("service: each call, 2 disks")
    try:
        return _service(bench, trials, rng, row, lambda moment: moment.call != _LEDGER_WRITE, folder)
    finally:
        shutil.rmtree(folder)


def _service(
    bench: Workbench,
    trials: int,
    rng: random.Random,
    row: Row,
    chosen: Callable[[Moment], bool],
    jobs: Path | None = None,
) -> Row:
    """Kill the service before each chosen call that a picture with a sidecar costs; ``jobs``: in place of tmp/jobs/."""
    instance = bench.instance("service")
    if jobs is not None:
        instance.jobs.rmdir()
        instance.jobs.symlink_to(jobs)
    stream = Stream(bench, instance, rng, row)
    log = instance.root / "strace.txt"
    found: list[Moment] = []
    with lives(stream) as daemon:
        stream.feed_until_finished()
        stream.rest()
        with traced(daemon.process.pid, log, "-e", f"trace={CALLS}"):
            stream.drop(with_sidecar=True)
            stream.rest()
            time.sleep(_REST_SECONDS)
        found = [moment for moment in moments(log) if chosen(moment)]
    for moment in _shuffled(found, bench, trials, rng):
        struck = False
        with lives(stream) as daemon:
            stream.rest()
            if not daemon.workers():
                stream.drop()  # so that the worker is there
                stream.rest()
            with daemon.stopped():
                stream.rested()
            with traced(daemon.process.pid, log, *moment.kill()):
                stream.drop(with_sidecar=True)
                struck = _dies(daemon, stream)
        if struck:
            stream.struck(moment.call)
        if row.violations:
            return row
    stream.end()
    return row


def worker_calls(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the worker before each call of its main thread."""
    row = Row("worker: each call")
    stream = Stream(bench, bench.instance("worker"), rng, row)
    log = stream.instance.root / "strace.txt"
    with lives(stream) as daemon:
        stream.feed_until_finished()  # now the worker has loaded all that it needs
        stream.rest()
        with traced(daemon.workers()[0], log, "-e", f"trace={CALLS}"):
            stream.drop(with_sidecar=True)
            stream.rest()
            time.sleep(_REST_SECONDS)
        for moment in _shuffled(moments(log), bench, trials, rng):
            stream.rest()
            worker = daemon.workers()[0]
            with traced(worker, log, *moment.kill()):
                stream.drop(with_sidecar=True)
                wait_until(lambda pid=worker: not is_alive(pid) or stream.at_rest(), "the worker's death")  # type: ignore[misc]
                struck = not is_alive(worker)
            with daemon.stopped():
                if struck:
                    stream.struck(moment.call)
            stream.rest()
            with daemon.stopped():
                stream.rested()
            if row.violations:
                return row
    return row


def ffmpeg_calls(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill ffmpeg before each of its calls."""
    row = Row("ffmpeg: each call")
    stream = Stream(bench, bench.instance("ffmpeg"), rng, row)
    root = stream.instance.root
    wrapper, orders, log = root / "ffmpeg.sh", root / "orders.txt", root / "strace.txt"
    wrapper.write_text(_WRAPPER.format(orders=orders, log=log, ffmpeg=ffmpeg_binary()))
    wrapper.chmod(0o755)
    with lives(stream, {"IMAGEIO_FFMPEG_EXE": str(wrapper)}) as daemon:
        stream.feed_until_finished()
        stream.rest()
        _order(orders, "-e", f"trace={CALLS}")
        stream.drop(with_sidecar=True)
        stream.rest()
        for moment in _shuffled(moments(log), bench, trials, rng):
            _order(orders, *moment.kill())
            stream.drop(with_sidecar=True)
            wait_until(lambda: log.read_text("utf-8", "replace").count("+++") or stream.at_rest(), "ffmpeg's end")
            with daemon.stopped():
                if "killed by SIGKILL" in log.read_text("utf-8", "replace"):
                    stream.struck(moment.call)
            stream.rest()
            with daemon.stopped():
                stream.rested()
            if row.violations:
                return row
    return row


def strike_once(instance: Instance, drop: Dropped, moment: Moment) -> tuple[bool, list[Violation]]:
    """Kill the service at a moment, counted from its start, and let another end its work.

    Returns whether it came to that moment, and what was broken right after it or in the end.
    """
    died = once(instance, "strace", "-q", "-o", "/dev/null", *moment.kill()) in _KILLED
    found = after_a_crash(instance, [drop])
    once(instance)
    return died, found + in_the_end(instance, [drop])


def first_start(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Kill the first daemon of a new instance before each of its calls, one folder for each trial.

    The picture it finds there is refused for its sidecar, so that no worker has to start.
    """
    row = Row("first start: each call")
    counted = bench.instance("counted")
    log = counted.root / "strace.txt"
    bench.refuse(counted, "picture.png", sidecar=REFUSED)
    once(counted, "strace", "-q", "-y", "-o", str(log), "-e", f"trace={CALLS}")
    for moment in _shuffled(moments(log), bench, trials, rng):
        instance = bench.instance(f"{moment.call}-{moment.number}")
        died, violations = strike_once(instance, bench.refuse(instance, "picture.png", sidecar=REFUSED), moment)
        row.add(violations, trials=died)
        row.states[moment.call] += died
        if row.violations:
            return row
        shutil.rmtree(instance.root)
    return row


def _shuffled(found: list[Moment], bench: Workbench, trials: int, rng: random.Random) -> Iterator[Moment]:
    """At most ``trials`` of the moments, for as long as there is time."""
    return (moment for moment, _ in zip(rng.sample(found, len(found)), bench.trials(trials), strict=False))


def _dies(daemon: Daemon, stream: Stream) -> bool:
    """Wait for the death of the service, and of all that it started; False when its job came to an end before."""
    pids: list[int] = []
    end = time.monotonic() + _PATIENCE_SECONDS
    while daemon.running:
        pids = descendants(daemon.process.pid) or pids
        if stream.at_rest():
            time.sleep(_REST_SECONDS)
            break
        if time.monotonic() > end:
            raise Stuck("a job came to no end")
        time.sleep(0.005)
    if daemon.running:
        return False
    wait_until(lambda: not any(map(is_alive, pids)), "the end of what the service started")
    return True


def _order(orders: Path, *arguments: str) -> None:
    """Have the next ffmpeg run under strace."""
    orders.with_name("written.txt").write_text(" ".join(arguments))
    orders.with_name("written.txt").rename(orders)


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    "service: each flush and rename": service_flushes,
    "service: each write": service_writes,
    "service: each ledger write": service_ledger_writes,
    "service: each call, 2 disks": service_between_disks,
    "worker: each call": worker_calls,
    "ffmpeg: each call": ffmpeg_calls,
    "first start: each call": first_start,
}
