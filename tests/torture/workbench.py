"""Instances to be tortured: pictures whose videos are known, and a daemon as a real process to be killed.

The stages are the shipped ones, camera, flow and ffmpeg, on pictures so small that a job takes a moment. What a video
must look like was seen once, in an instance that nobody disturbed.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from torture.invariants import Dropped, frames_digest

PROGRAM = (sys.executable, "-m", "framedaemon")

# No job is given up because it was killed often, and no machine held to be at fault: those are other trials.
CONFIG = """
[inbox]
settle_seconds = 0.0
rescan_seconds = 1.0
[disk]
keep_free_bytes = 0
ballast_bytes = 100_000
[worker]
threads = 1
nice = 0
max_attempts = 100
retry_seconds = 0
breaker_jobs = 1000
breaker_seconds = 0.1
[defaults.generate]
frames = 6
fps = 8
width = 64
height = 48
[defaults.interpolate]
fps = 16
"""

# How many pictures there are that differ; more jobs are made of copies under other names.
_DIFFERENT = 4


@dataclass(slots=True)
class Workbench:
    """Makes instances below ``folder``, and knows what their videos must look like."""

    folder: Path
    config: str = CONFIG
    until: float = math.inf
    """No trial begins after this, on the monotonic clock."""
    _digests: dict[int, str] = field(default_factory=dict)

    def instance(self, name: str, root: Path | None = None) -> Instance:
        """A new instance; ``root``: elsewhere, as on a filesystem of its own."""
        instance = Instance(root or self.folder / name)
        create(instance)
        instance.config.write_text(self.config, encoding="utf-8")
        return instance

    def trials(self, number: int) -> Iterator[int]:
        """0, 1, 2 … below ``number``, for as long as there is time."""
        return itertools.takewhile(lambda _: time.monotonic() < self.until, range(number))

    def drop(self, instance: Instance, name: str, kind: int = 0, sidecar: str | None = None) -> Dropped:
        """Put a picture of ``kind`` (any number) into input/, whole at once; ``name``: letters and digits."""
        if sidecar is not None:
            put((instance.input / name).with_suffix(".toml"), sidecar.encode())
        data = _picture(kind % _DIFFERENT)
        put(instance.input / name, data)
        beside = hashlib.sha256(sidecar.encode()).hexdigest() if sidecar is not None else None
        return Dropped(name, hashlib.sha256(data).hexdigest(), self.expected(kind), beside)

    def refuse(self, instance: Instance, name: str, data: bytes | None = None, sidecar: str | None = None) -> Dropped:
        """Put a file into input/ that no job can be made of: ``data``, which no other has, or plain words."""
        if sidecar is not None:
            put((instance.input / name).with_suffix(".toml"), sidecar.encode())
        data = data or f"not a picture: {name}".encode()
        put(instance.input / name, data)
        beside = hashlib.sha256(sidecar.encode()).hexdigest() if sidecar is not None else None
        return Dropped(name, hashlib.sha256(data).hexdigest(), None, beside)

    def expected(self, kind: int) -> str:
        """`frames_digest` of the video that an undisturbed daemon makes of a picture of ``kind``."""
        kind %= _DIFFERENT
        if kind not in self._digests:
            instance = self.instance(f"undisturbed{kind}")
            (instance.input / "seen.png").write_bytes(_picture(kind))
            code = once(instance)
            assert code == 0, f"an undisturbed daemon ended with {code}, see {instance.root / 'said.txt'}"
            self._digests[kind] = frames_digest(instance.output / "seen.mp4")
        return self._digests[kind]


def _picture(kind: int) -> bytes:
    from io import BytesIO

    pixels = np.random.default_rng(kind).integers(0, 255, (9, 12, 3), np.uint8)
    with BytesIO() as file:
        Image.fromarray(pixels).resize((96, 72), Image.Resampling.BICUBIC).save(file, "PNG")
        return file.getvalue()


def put(path: Path, data: bytes) -> None:
    """Make a file, whole at once and safe from a power cut."""
    hidden = path.with_name(f".{path.name}")
    with hidden.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    hidden.rename(path)
    _flush(path.parent)


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def once(instance: Instance, *before: str, seconds: float = 300.0) -> int:
    """Run the daemon until nothing is left to do, under ``before`` (strace, say); returns its exit code."""
    daemon = Daemon(instance, *before, command="once")
    try:
        return daemon.process.wait(seconds)
    finally:
        daemon.kill()


class Daemon:
    """A daemon as a process, in a session of its own so that nothing of it outlives a kill."""

    def __init__(
        self, instance: Instance, *before: str, command: str = "run", environment: Mapping[str, str] | None = None
    ) -> None:
        self.instance = instance
        said = (instance.root / "said.txt").open("ab")
        self.process = subprocess.Popen(
            [*before, *PROGRAM, command, "--instance", str(instance.root)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        said.close()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        return [pid for pid in descendants(self.process.pid) if b"framedaemon.worker" in _command(pid)]

    def encoders(self) -> list[int]:
        """Process ids of the ffmpeg children of its workers."""
        return [pid for pid in descendants(self.process.pid) if b"ffmpeg" in _command(pid).partition(b"\0")[0]]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Hold it, its worker and their ffmpeg: what stands on disk meanwhile is what a crash would leave now."""
        held: list[int] = []
        while new := [pid for pid in (self.process.pid, *descendants(self.process.pid)) if pid not in held]:
            held += new
            for pid in new:
                kill(pid, signal.SIGSTOP)
                wait_until(lambda pid=pid: _resting(pid), "a process to stop")  # type: ignore[misc]  # mypy 11030
        try:
            yield
        finally:
            for pid in held:
                kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the service alone: its worker has to see that by itself. Returns when all are gone."""
        pids = descendants(self.process.pid)
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        wait_until(lambda: not [pid for pid in pids if is_alive(pid)], "the end of what the daemon started")


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal to one process; whether it was there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def unended(instance: Instance) -> int:
    """How many jobs have not ended, and files are still to be taken."""
    ledger = Ledger(instance.ledger, read_only=True)
    try:
        jobs = sum(job.ended is None for job in ledger.jobs())
        return jobs + len(ledger.drops("claiming", "open", "closing"))
    finally:
        ledger.close()


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Poll until ``condition`` holds; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    """Process ids of all that ``pid`` started, and they in turn."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    return any(state != "Z" for state in _states(pid))


def _resting(pid: int) -> bool:
    """Whether each thread of a process is stopped, or at its end."""
    return all(state in "TtZX" for state in _states(pid))


def _states(pid: int) -> list[str]:
    """The letter that says what each thread of a process does; see proc(5)."""
    states = []
    for file in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            states.append(file.read_text().rpartition(")")[2].split()[0])
    return states
