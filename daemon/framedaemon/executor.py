"""Where planned jobs run: what the service asks of it, and the local one, a child process that it may kill.

Nothing above this module knows that a worker is a child of ours: jobs, folders on storage both sides see, and messages
are all that passes.
"""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Protocol, TypeAlias

from framedaemon import messages
from framedaemon.instance import Instance
from framedaemon.log import get_log
from framedaemon.memory import oom_kills
from framedaemon.messages import (
    Advanced,
    Beat,
    Ended,
    EndKind,
    Entered,
    Finished,
    Go,
    Halt,
    Order,
    Planned,
    Ready,
    Setup,
)
from framedaemon.offspring import end_marked, environment_less, how_it_ended, kill_group, start_marked
from framedaemon.printed import WORKER_OUTPUT, Printed
from framedaemon.settings import Settings
from framedaemon.standing import thread_counts
from framedaemon.trust import Trust

Report: TypeAlias = Ready | Planned | Advanced | Finished | Ended

# glibc keeps freed blocks of up to 32 MB for later once it has seen one, in an arena for each thread: the peak grows
# for minutes. With a fixed threshold a frame that is freed goes back to the system at once, and what is smaller shares
# two arenas.
_FRAMES_GO_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_ARENA_MAX": "2"}

# torch's threads wait for each other in a loop that keeps a core busy. Beside an encoder's threads the one that has the
# core then waits for the one that wants it: on 2 cores under load a network took 2 to 5 times as long as with sleepers.
_THREADS_SLEEP = {"OMP_WAIT_POLICY": "passive"}

# What a worker writes is told as its last words when it dies: bars and advice of libraries would drown the reason. And
# nothing is fetched for a job, whatever a pipeline's files ask for.
_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
}

FOR_NETWORKS = _THREADS_SLEEP | _QUIET
"""For the environment of a process that draws: libraries read it when a plugin loads them."""

# A worker that did not come up is tried again after 1, 2, 4 … seconds, at most this many.
_LONGEST_PAUSE = 60.0

# A worker whose line has closed is about to end; one that has not by then lives on, unheard.
_LAST_SECONDS = 1.0

# After these, what is left of the device, of the heap or of a plugin's own state is not to be trusted.
_SUSPECT: frozenset[EndKind] = frozenset({"failed", "memory"})


class Executor(Protocol):
    """Takes one job at a time."""

    settings: Settings
    """Replace them at any time: the next job has a worker that knows them."""

    @property
    def ready(self) -> bool:
        """Whether there is a worker, and it has answered."""

    def available(self, now: float) -> bool:
        """Whether a job may be ordered: none is at work, and the last start did not just fail."""

    def order(self, order: Order, now: float) -> None:
        """Have a job opened and planned; `Planned` or `Ended` will come of it. Starts the worker if need be."""

    def go(self, job: str, now: float) -> None:
        """Have the job run that was planned; `Finished` or `Ended` will come of it."""

    def put_off(self, job: str, now: float) -> None:
        """The job that was planned is not to run now; it will be ordered again."""

    def halt(self, now: float) -> None:
        """Have the job that runs end soon, where another can go on, and the worker with it: its memory is free then."""

    def poll(self, now: float) -> Sequence[Report]:
        """What has been heard since the last call. A worker that died or hangs has `Ended` its job."""

    def end(self) -> None:
        """End the worker, and the job it has, at once; nothing more is heard of it."""

    def handles(self) -> Sequence[int]:
        """File descriptors that become readable when there is something to `poll`."""

    def next_check(self) -> float | None:
        """When, on the clock of ``now``, `poll` should be called even if nothing is heard."""


class LocalExecutor:
    """One worker process on this machine."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._mark = str(instance.root.resolve())  # once: another folder may stand there when the worker is ended
        self.settings = settings
        self._told = settings.for_worker()
        self._printed = Printed(instance.logs / WORKER_OUTPUT)
        self._trust = Trust(instance.plugins)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._received = b""
        self._hung_up = ""
        self._unborn = ""
        self._ready = False
        self._job: str | None = None
        self._order: Order | None = None
        self._running = False
        self._oom_kills = 0
        self._started = 0.0
        self._heard = 0.0
        self._advanced = 0.0
        self._idle_since = 0.0
        self._failed_starts = 0
        self._not_before = 0.0
        self._halt_by: float | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a worker, and it has answered."""
        return self._process is not None and self._ready

    @property
    def pid(self) -> int | None:
        """The worker's process, while there is one."""
        return self._process.pid if self._process is not None else None

    def order(self, order: Order, now: float) -> None:
        if self._told != self.settings.for_worker() or self._trust.outdated:
            self.end()
        self.start(now)
        self._order, self._job, self._running = order, order.job, False
        self._oom_kills = oom_kills()
        self._advanced = now
        self._send(order)

    def go(self, job: str, now: float) -> None:
        self._advanced, self._running = now, True
        self._send(Go(job=job))

    def put_off(self, job: str, now: float) -> None:
        self._job, self._idle_since = None, now

    def halt(self, now: float) -> None:
        if self._job is not None and self._halt_by is None:
            seconds = self.settings.worker.halt_seconds
            self._halt_by = now + seconds
            self._send(Halt(seconds=seconds))

    def start(self, now: float) -> None:
        """Start the worker if there is none. What it needs to come up is waited for in `poll`."""
        if self._process is not None:
            return
        own = environment_less(self.settings.notify.variables)
        environment = {**_FRAMES_GO_BACK, **FOR_NETWORKS, **own, **thread_counts(self.settings.worker.threads)}
        aside = self._trust.begin()
        self._unborn, self._ready, self._started = "", False, now
        try:
            self._process, ours = start_marked(
                "worker", self._mark, self._instance.root, self._printed.open(), environment
            )
        except OSError as error:  # no memory or no process left for one, or Python is being replaced
            self._unborn = f"could not be started: {error.strerror}: {error.filename or sys.executable}"
            return
        ours.setblocking(False)
        self._socket, self._received, self._hung_up = ours, b"", ""
        self._heard = self._advanced = self._idle_since = now
        self._oom_kills = oom_kills()
        self._told = self.settings.for_worker()
        self._send(Setup(root=str(self._instance.root), settings=self._told, aside=aside))

    def available(self, now: float) -> bool:
        """Whether a job may be ordered: none is at work, and the last start did not just fail."""
        return self._job is None and now >= self._not_before

    def poll(self, now: float) -> Sequence[Report]:
        reports = [report for report in self._receive(now) if not isinstance(report, Beat)]
        for report in reports:
            self._note(report, now)
        if now >= self._not_before:
            self._not_before = 0.0  # a time that has come asks for no more checks
        self._printed.bound()
        if self._unborn:
            return [*reports, *self._buried("crashed", f"the worker {self._unborn}", "not started", now)]
        if self._process is not None:
            end = self._clocks(now)
            if end is not None:
                return [*reports, *self._buried(*end, now)]
            if self._ready and self._job is None and now - self._idle_since > self.settings.worker.idle_unload_seconds:
                self.end()
        return reports

    def end(self) -> None:
        if self._process is not None:
            end_marked(self._process, self._mark)
        if self._socket is not None:
            self._socket.close()
        self._process = self._socket = self._job = self._halt_by = None
        self._unborn = ""

    def handles(self) -> Sequence[int]:
        return [self._socket.fileno()] if self._socket is not None else []

    def next_check(self) -> float | None:
        if self._unborn:
            return self._started
        if self._process is None:
            return self._not_before or None
        worker = self.settings.worker
        if not self._ready:
            return min(self._started + worker.start_seconds, self._trust.due or math.inf)
        if self._job is None:
            return self._idle_since + worker.idle_unload_seconds
        clocks = [self._heard + worker.heartbeat_seconds, self._advanced + worker.stall_seconds]
        return min(clock for clock in (*clocks, self._halt_by, self._trust.due) if clock is not None)

    def _send(self, message: messages.Message) -> None:
        if self._socket is None or self._process is None:
            return  # it died right behind what it said last; that it ended its job is the next report
        try:
            self._socket.sendall(messages.encode(message))
        except OSError:
            kill_group(self._process)  # it died, or would wait for ever for what it was not told; poll will find out

    def _receive(self, now: float) -> list[Report | Beat]:
        if self._socket is None:
            return []
        try:
            while block := self._socket.recv(1 << 16):
                self._received += block
            self._hung_up = "closed its line to the service"
        except BlockingIOError:
            pass
        except OSError as error:
            self._hung_up = f"broke its line to the service: {error.strerror}"
        *lines, self._received = self._received.split(b"\n")
        if lines:
            self._heard = now
        return list(self._understood(lines))

    def _understood(self, lines: Sequence[bytes]) -> Iterator[Report | Beat]:
        for line in lines:
            try:
                report = messages.read_report(line)
            except ValueError:  # another version's worker, when framedaemon was upgraded while this daemon ran
                self._hung_up = f"said what this daemon does not understand: {line[:200]!r}"
                return
            if isinstance(report, Entered):
                self._trust.entered(report.plugin, self._heard)
            else:
                yield report

    def _note(self, report: Report, now: float) -> None:
        self._advanced = now
        if isinstance(report, Ready):
            self._ready, self._failed_starts, self._not_before = True, 0, 0.0
        elif isinstance(report, (Finished, Ended)):
            self._job, self._idle_since = None, now
            suspect = isinstance(report, Ended) and report.kind in _SUSPECT and self._running
            worn = report.worn if isinstance(report, Finished) else ""
            if worn:
                get_log().warning("worker_replaced", reason=f"its jobs have left {worn} behind")
            if suspect or worn or self._halt_by is not None:
                self.end()

    def _clocks(self, now: float) -> tuple[EndKind, str, str] | None:
        """How the worker failed, if it did: the kind, for a person, and `Ended.cause`."""
        assert self._process is not None
        worker, code, last_words = self.settings.worker, self._process.poll(), self._printed.last_words
        if code is None and self._hung_up:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_LAST_SECONDS)
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            return "memory", f"the worker was ended by the kernel: memory ran out{last_words()}", "out of memory"
        if code is not None:
            said, cause = how_it_ended(code)
            return "crashed", f"the worker {said}{last_words()}", cause
        if self._hung_up:
            return "crashed", f"the worker {self._hung_up}{last_words()}", "line lost"
        if not self._ready and now - self._started > worker.start_seconds:
            return "stalled", f"the worker was not ready within {worker.start_seconds:g} s{last_words()}", "not ready"
        if self._ready and now - self._heard > worker.heartbeat_seconds:
            return "stalled", f"the worker gave no sign of life for {worker.heartbeat_seconds:g} s", "no sign of life"
        if self._trust.hangs(now):
            return "stalled", f"the worker hung{last_words()}", "plugin hangs"
        if self._halt_by is not None and now >= self._halt_by:
            return "stopped", "it was to halt, did not in time, and was ended; what it left lets it go on", "halted"
        if self._job is not None and self._ready and now - self._advanced > worker.stall_seconds:
            return "stalled", f"the job made no progress for {worker.stall_seconds:g} s", "no progress"
        return None

    def _buried(self, kind: EndKind, reason: str, cause: str, now: float) -> list[Report]:
        """Clear away a worker that failed, and say what that means for its job."""
        job, came_up = self._job, self._ready
        blamed = self._trust.blame(reason)
        if not self._ready and not blamed:
            self._failed_starts += 1
            self._not_before = now + min(_LONGEST_PAUSE, 2.0 ** (self._failed_starts - 1))
        self.end()
        if blamed and job is not None and self._order is not None and not self._running:
            self.order(self._order, now)  # it has not begun, and is not to wait for others' faults
            return []
        if job is None:  # else its end tells
            get_log().warning("worker_failed", reason=reason)
            return []
        return [Ended(job=job, kind=kind, reason=reason, cause=cause, came_up=came_up)]
