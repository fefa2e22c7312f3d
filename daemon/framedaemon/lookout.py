"""Finds the facts of an instance: from its ledger, from what its daemon says, and from its machine.

    ledger ─────────────────┐
    status.json, log ───────┼─▶ Lookout.look(now) ─▶ Overview
    /proc, disks, devices ──┘

Nothing is written and nobody is asked, so that it works while the daemon hangs, is gone, or is another user's. What was
read is kept for as long as its file stays the same: looking once a second costs next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from framedaemon.admission import Admission
from framedaemon.approval import waiting_in
from framedaemon.forecast import Forecast
from framedaemon.instance import Instance
from framedaemon.ledger import DropRow, JobRow, JobState, Ledger
from framedaemon.log import DAEMON_LOG
from framedaemon.logtail import LogLine, last_warnings
from framedaemon.naming import show
from framedaemon.overview import (
    VERSION,
    Count,
    Current,
    Daemon,
    Failure,
    Job,
    Overview,
    Preview,
    Queue,
    Queued,
    Room,
    Standing,
)
from framedaemon.requests import daemon_pid, read_pause
from framedaemon.settings import Settings
from framedaemon.status import Progress, Status, read_status
from framedaemon.summary import PlanSummary
from framedaemon.trouble import read_ledger
from framedaemon.turns import in_turn
from framedaemon.usage import read_disks, read_memory
from framedaemon.workspace import Workspace, bytes_below

SHOWN = 50
"""Of each list, at most."""

_FAILED: tuple[JobState, ...] = ("failed", "quarantined", "vanished")
_ENDED: tuple[JobState, ...] = ("done", *_FAILED, "cancelled")

# Failures are told by the ledger, with the reason and where the picture is.
_TOLD_ELSEWHERE = frozenset({"job_failed"})

# So often all is read again: files that went away, folders that grew.
_AGAIN_SECONDS = 15.0

# A daemon rewrites its status when it looks into input/; after this much more it is said to be silent.
_SILENT_SECONDS = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What the ledger says."""

    queue: tuple[tuple[JobRow, float | None], ...] = ()
    """With the seconds that each is expected to take."""
    at_work: tuple[tuple[JobRow, float | None], ...] = ()
    """The job at hand; where no daemon is there any more, it is the next one's first."""
    counts: dict[JobState, int] = field(default_factory=dict)
    ended: tuple[Job, ...] = ()
    failures: tuple[Failure, ...] = ()
    previews: tuple[Preview, ...] = ()
    breakers: tuple[Standing, ...] = ()
    folder: Path | None = None
    """Of the job at hand."""
    needed_bytes: int = 0
    """All that the job at hand will write there."""


class _Kept(Generic[T]):
    """What was read, for as long as what tells its age stays the same."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._kept: tuple[object, T] | None = None

    def get(self, age: object) -> T:
        if self._kept is None or self._kept[0] != age:
            self._kept = age, self._read()
        return self._kept[1]


class Lookout:
    """Looks at one instance, as often as one likes."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._settings = settings
        log = instance.logs / DAEMON_LOG
        self._log = log
        self._recorded = _Kept(self._read_ledger)
        self._warnings: _Kept[tuple[LogLine, ...]] = _Kept(lambda: last_warnings(log, SHOWN, _TOLD_ELSEWHERE))
        self._temporary = _Kept(lambda: bytes_below(instance.tmp))

    def look(self, now: float) -> Overview:
        """All the facts; ``now`` on the wall clock.

        Raises SettingsError where the ledger is damaged, FramedaemonError where it cannot be read.
        """
        here, again = self._instance, now // _AGAIN_SECONDS
        wal = here.ledger.with_name(f"{here.ledger.name}-wal")
        recorded = self._recorded.get((again, _age(here.ledger), _age(wal), _age(here.waiting)))
        said = self._status()
        daemon, progress = self._daemon(said), said.progress if said is not None else None
        current = _current(progress, now) if progress is not None else None
        queue = recorded.queue if daemon is not None else (*recorded.at_work, *recorded.queue)
        return Overview(
            version=VERSION,
            instance=show(here.root),
            at=now,
            daemon=daemon,
            current=current,
            queue=_queue(queue, current, bool(daemon and daemon.paused), now),
            counts=recorded.counts,
            ended=recorded.ended,
            failures=recorded.failures,
            warnings=self._warnings.get(_age(self._log)),
            previews=recorded.previews,
            breakers=recorded.breakers,
            problems=(*(said.problems if said is not None else ()), *self._held_back(daemon, now)),
            memory=read_memory(daemon.pid if daemon else None, daemon.worker if daemon else None),
            room=self._room(recorded, again),
        )

    def _status(self) -> Status | None:
        """What the daemon said last, if it runs."""
        return read_status(self._instance.status) if daemon_pid(self._instance) is not None else None

    def _daemon(self, said: Status | None) -> Daemon | None:
        if said is None:  # it is just coming up, or not there
            pid = daemon_pid(self._instance)
            return Daemon(pid) if pid is not None else None
        return Daemon(said.pid, said.since, said.worker, said.draining, said.paused, said.at)

    def _held_back(self, daemon: Daemon | None, now: float) -> Iterator[str]:
        """What a daemon cannot say itself."""
        if daemon is None and read_pause(self._instance) is not None:
            yield "paused by hand: a daemon that is started begins no job before `framedaemon resume`"
        patience = _SILENT_SECONDS + self._settings.inbox.rescan_seconds
        if daemon is not None and daemon.said is not None and now - daemon.said > patience:
            yield f"the daemon has said nothing for {now - daemon.said:.0f} s: it hangs, or tmp/ cannot be written"

    def _room(self, recorded: _Recorded, again: float) -> Room:
        folders = (self._instance.tmp, self._instance.output)
        temporary = self._temporary.get((again, recorded.folder))
        held = bytes_below(recorded.folder) if recorded.folder is not None else 0
        reserved = max(0, recorded.needed_bytes - held)
        return Room(read_disks(*folders), self._settings.disk.keep_free_bytes, temporary, reserved)

    def _read_ledger(self) -> _Recorded:
        here = self._instance
        with read_ledger(here.ledger) as ledger:
            if ledger is None:
                return _Recorded()
            forecast = Forecast(ledger.history, ledger.lookup.took())
            running = next(iter(ledger.jobs("running", limit=1)), None)
            queue = in_turn(ledger.lookup.queue(), running.alike if running is not None else "", SHOWN)
            return _Recorded(
                at_work=((running, forecast.seconds(running)),) if running is not None else (),
                queue=tuple((row, forecast.seconds(row)) for row in queue),
                counts=ledger.count(),
                ended=tuple(job_facts(row) for row in ledger.lookup.ended(_ENDED, SHOWN)),
                failures=tuple(self._failure(ledger, row) for row in ledger.lookup.ended(_FAILED, SHOWN)),
                previews=tuple(
                    Preview(show(one.name), tuple(map(show, one.previews))) for one in waiting_in(here, ledger)
                ),
                breakers=tuple(
                    Standing(b.place, b.reason, b.opened, b.until, b.describe()) for b in ledger.breaker.standing()
                ),
                folder=Workspace(here.jobs / running.drop_id).folder / str(running.number) if running else None,
                needed_bytes=_needed(here, ledger, running),
            )

    def _failure(self, ledger: Ledger, row: JobRow) -> Failure:
        drop = ledger.drop(row.drop_id)
        return Failure(
            job_facts(row), there(self._instance, place_of(drop)), there(self._instance, explanation_of(drop))
        )


def job_facts(row: JobRow) -> Job:
    """A row of the ledger for people and scripts."""
    output = show(row.output) if row.output else None
    reason = show(row.reason.partition("\n")[0])
    times = (row.created, row.started, row.ended)
    return Job(row.id, show(row.name), row.state, output, row.attempts, reason, *times, row.priority)


def place_of(drop: DropRow) -> PurePosixPath:
    """Where a picture is, relative to the instance: put away, or held for its jobs."""
    if drop.state == "closed" and drop.rests is not None:
        return PurePosixPath("input", drop.rests)
    return PurePosixPath("tmp", "jobs", drop.id, "source", PurePosixPath(drop.name).name)


def explanation_of(drop: DropRow) -> PurePosixPath:
    """Where its .error.txt is, if it has one."""
    place = place_of(drop)
    return place.with_name(f"{place.name.removesuffix(PurePosixPath(drop.name).suffix)}.error.txt")


def there(instance: Instance, path: PurePosixPath) -> str | None:
    """``path`` for people, or None where nothing is there."""
    return show(path) if os.path.lexists(instance.root / path) else None


def _age(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _needed(instance: Instance, ledger: Ledger, running: JobRow | None) -> int:
    if running is None or running.plan is None:
        return 0
    need = Admission(instance, ledger).need(PlanSummary.model_validate_json(running.plan))
    return need.temporary + need.copies * need.video


def _current(progress: Progress, now: float) -> Current:
    return Current(
        job=progress.job,
        name=progress.name,
        attempt=progress.attempt,
        started=progress.started,
        seconds=max(0.0, now - progress.started),
        remaining_seconds=progress.remaining_seconds(now),
        frames_per_second=progress.frames_per_second(now),
        step=show(progress.step),
        stages={stage: Count(*frames) for stage, frames in progress.stages.items()},
    )


def _queue(rows: tuple[tuple[JobRow, float | None], ...], current: Current | None, paused: bool, now: float) -> Queue:
    """When each of ``rows`` begins: after those before it, and not before its own time."""
    clock = None if paused else current.remaining_seconds if current is not None else 0.0
    queued = []
    for row, seconds in rows[:SHOWN]:
        starts = max(clock, row.not_before - now) if clock is not None else None
        queued.append(Queued(job_facts(row), seconds, starts))
        clock = starts + seconds if starts is not None and seconds is not None else None
    known = [seconds for _, seconds in rows if seconds is not None]
    if current is not None and current.remaining_seconds is not None:
        known.append(current.remaining_seconds)
    return Queue(len(rows), sum(known) if known else None, len([None for _, s in rows if s is None]), tuple(queued))
