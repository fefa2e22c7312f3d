"""The daemon's loop: `tick(now)` is one pass over everything, and nothing in it waits.

    input/ ─ scan ─▶ intake ─▶ ledger ─▶ dispatch ─▶ executor's worker ─▶ dispatch ─▶ output/, input/done/

The service opens no picture and runs no stage: what strangers dropped can at most end a worker.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from pathlib import PurePosixPath

from framedaemon.dispatch import Dispatch
from framedaemon.errors import JobRejected
from framedaemon.events import Event, JobClaimed, PluginMuted
from framedaemon.executor import LocalExecutor, Report
from framedaemon.gate import Closed, Gate
from framedaemon.inbox import Inbox, Scan
from framedaemon.instance import Instance
from framedaemon.intake import Intake
from framedaemon.ledger import DropRow, Ledger
from framedaemon.log import get_log
from framedaemon.naming import show
from framedaemon.plugins import Registry
from framedaemon.requests import take_requests
from framedaemon.retrying import put_back_orphan
from framedaemon.settings import Settings
from framedaemon.sidecars import is_last
from framedaemon.status import Status, describe, write_status
from framedaemon.upkeep import Upkeep
from framedaemon.workspace import Workspace, orphans, sweep_copies

# While a job runs, `status` is written this often.
_STATUS_SECONDS = 1.0

# So often it is asked whether a day has passed and old files may go.
_PRUNE_SECONDS = 3600.0

# Ten thousand files that come at once send ten thousand events: scanning takes at most a third of the time.
_SCAN_SHARE = 3.0

# A job that became due is looked at no sooner than this after the pass before: a guard against spinning.
_SHORTEST_PAUSE = 0.02

# A wall clock that moves by more than this between two passes was set; clocks that are kept right move by less.
_CLOCK_SET_SECONDS = 1.0


class Service:
    """One instance's daemon. ``now`` is monotonic, for patience; wall-clock times go into the ledger."""

    def __init__(self, instance: Instance, settings: Settings, ledger: Ledger, registry: Registry) -> None:
        self.executor = LocalExecutor(instance, settings)
        self.woken = True
        """Set it when something may lie in input/."""
        self.draining = False
        """Set it to finish the job at hand and begin no other."""
        self.holding = False
        """Set it to leave input/ and the queue alone."""
        self.problems: tuple[str, ...] = ()
        """What keeps files in input/ from being taken."""
        self.upkeep = Upkeep(instance)
        self._instance = instance
        self._settings = settings
        self._ledger = ledger
        self._registry = registry
        self._inbox = Inbox(instance.input, settings.inbox)
        self._intake = Intake(instance, settings, ledger)
        self._dispatch = Dispatch(instance, settings, ledger, self.executor, self._tell)
        self._dispatch.broken = {plugin.name: plugin.reason for plugin in registry.broken()}
        self._log = get_log()
        self._scan_due = self._scan_allowed = 0.0
        self._status_due = self._prune_due = 0.0
        self._since = time.time()
        self._wall_ahead = self._since - _awake_or_not()
        self._gate = Gate(instance, self._tell)
        self._closed: Closed | None = None
        self._scan: Scan | None = None
        self._reports: deque[Report] = deque()

    @property
    def busy(self) -> bool:
        """Whether a job is at work."""
        return self._dispatch.busy

    @property
    def ready(self) -> bool:
        """Whether a worker has answered yet, so that jobs can be done at all."""
        return self._dispatch.worker is not None

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to do: no job at work or in the queue, no file settling, nothing to remove."""
        settled = self._scan is not None and self._scan.settling == 0 and not self.woken
        return (
            settled
            and not (self.busy or self.upkeep.busy)
            and (self._ledger.next_due() is None or self._held_back or bool(self.paused))
        )

    @property
    def paused(self) -> str:
        """Why no job is begun now, for people; empty when jobs are begun."""
        return self._closed.reason if self._closed is not None else ""

    @property
    def _held_back(self) -> bool:
        """Whether all that is left waits for a machine that seems to be at fault."""
        return self._ledger.breaker.holds_all(time.time())

    def recover(self) -> bool:
        """Put right what a crash left half done, before the first tick; True. Where it raises, call it again."""
        wall = time.time()
        for folder in (self._instance.output, self._instance.input):
            sweep_copies(folder)
        self._resume_claims(wall)
        for drop in self._ledger.drops("open"):
            adopted = self._intake.resume_adoption(drop, wall) if self._untried(drop) else None
            if adopted is not None:
                self._welcome(*adopted, wall)
        for job in self._ledger.jobs("running"):
            self._dispatch.retry(job, "crashed", "the daemon or the machine stopped in the middle of it", wall)
        self._dispatch.publish_held(wall, every=True)
        self._dispatch.close_held()
        known = {drop.id for drop in self._ledger.drops("claiming", "open", "closing")}
        for folder in orphans(self._instance.jobs, known):
            try:
                back = put_back_orphan(self._instance, Workspace(folder))
            except OSError as error:
                self._log.error("orphan_kept", folder=str(folder), reason=str(error))
                continue
            Workspace(folder).remove()
            self._log.warning("orphan_removed", folder=str(folder), put_back=show(back) if back is not None else None)
        return True

    def tick(self, now: float) -> float:
        """Do all that can be done now; returns when, on the clock of ``now``, the next pass is due."""
        wall = time.time()
        self._follow_clock(wall)
        self._reports += self.executor.poll(now)
        while self._reports:
            self._dispatch.hear(self._reports[0], now, wall)
            self._reports.popleft()  # only now: while the disk is full the ledger cannot be written
        self._obey(wall)
        if not self._resting and now >= (self._scan_allowed if self.woken else self._scan_due):
            self._take_in(now, wall)
        if not self.holding:
            self._dispatch.publish_held(wall)
        if not self._resting:
            self._begin(now, wall)
        if not self._resting and now >= self._prune_due:
            self._prune_due = now + _PRUNE_SECONDS
            self.upkeep.once_a_day(self._ledger, self._settings.retention, wall)
        if now >= self._status_due:
            self.write_status()
            self._status_due = now + _STATUS_SECONDS
        return self._next_pass(now, wall)

    def _obey(self, wall: float) -> None:
        for request in take_requests(self._instance):
            if request.job is None:
                self._ledger.try_now(wall)
            elif request.priority is not None:
                self._ledger.prefer(request.job, request.priority)
            else:
                self._dispatch.cancel(request.job, wall)

    def _begin(self, now: float, wall: float) -> None:
        """Begin the next job, unless none is to be begun now: then the worker ends, so that its memory is free."""
        due = self._ledger.next_due()
        self._closed = self._gate.ask(
            self._settings, self._dispatch.worker, now, wall, busy=self.busy, due=due is not None and due <= wall
        )
        if self._closed is None:
            self._dispatch.start_next(now, wall)
        elif self._closed.halts and self.busy:
            self._dispatch.halt(now, wall)
        elif self.executor.ready and not self.busy:
            self.executor.end()

    def reload(self, settings: Settings) -> None:
        """Take new settings: at once for what is claimed from now on, for the worker when its job is over."""
        self._settings = self._dispatch.settings = self.executor.settings = settings
        self._inbox = Inbox(self._instance.input, settings.inbox)
        self._intake = Intake(self._instance, settings, self._ledger)
        self.woken = True
        if not self.busy:
            self.executor.end()

    def halt(self, now: float) -> None:
        """End the worker soon, its job where it can go on later: it is asked, and killed after `halt_seconds`.

        Call `tick` on until nothing is `busy`. Set `draining` before, or the next job begins.
        """
        self._dispatch.halt(now, time.time())

    def start_worker(self, now: float) -> None:
        """Start the worker though there is no job: `ready` says when it has answered."""
        self.executor.start(now)

    def stop(self) -> None:
        """End the worker at once; its job goes on at the next start."""
        self._dispatch.stop(time.time())
        self._instance.status.unlink(missing_ok=True)

    def describe(self) -> str:
        """What the daemon does right now, in one line for people."""
        counts = self._ledger.count()
        waiting = sum(counts.get(state, 0) for state in ("queued", "waiting", "publishing"))
        stuck = self._ledger.jobs("waiting", "publishing", limit=1) if waiting and not self.busy else []
        return describe(self._status(), waiting, stuck[0].reason if stuck else "")

    def write_status(self) -> None:
        """Say how far the job at hand is."""
        write_status(self._instance.status, self._status())

    def _status(self) -> Status:
        return Status(
            os.getpid(), time.time(), self.draining, self._dispatch.progress, self.problems,
            since=self._since, worker=self.executor.pid, paused=self.paused,
        )  # fmt: skip

    @property
    def _resting(self) -> bool:
        return self.draining or self.holding

    def _next_pass(self, now: float, wall: float) -> float:
        due = [now + self._settings.inbox.rescan_seconds]
        if self.busy or self.upkeep.busy or self._status_due < now + _STATUS_SECONDS:  # it was said before this pass
            due.append(self._status_due)
        check = self.executor.next_check()
        if check is not None:
            due.append(check)
        if not self._resting:
            due.append(self._scan_allowed if self.woken else self._scan_due)
            waiting = self._ledger.next_due()
            if self._closed is not None:
                due.append(now + self._closed.until - wall)
            elif waiting is not None and not self.busy and self.executor.available(now):
                due.append(now + waiting - wall)
        return max(now + _SHORTEST_PAUSE, min(due))

    def _follow_clock(self, wall: float) -> None:
        """Move along what waits for a time of the wall clock, where that was set."""
        ahead = wall - _awake_or_not()
        moved = ahead - self._wall_ahead
        if abs(moved) > _CLOCK_SET_SECONDS:
            self._ledger.shift(moved)
            self._log.warning("clock_set", seconds=round(moved))
        self._wall_ahead = ahead

    def _take_in(self, now: float, wall: float) -> None:
        started = time.monotonic()
        self.woken, self._scan, self._scan_due = False, None, 0.0  # where it raises, there is all of it to do again
        self._resume_claims(wall)
        scan = self._inbox.scan(now)
        self._scan_allowed = now + _SCAN_SHARE * (time.monotonic() - started)
        for drop, rejected in self._intake.claim(scan.arrivals, wall):
            self._welcome(drop, rejected, wall)
        settled = [orphan for orphan in scan.orphans if orphan.settled]
        waiting = self._open_to_late_files() if settled else {}
        stuck: list[str] = []
        for orphan in settled:
            ends = is_last(orphan.path.name)
            late = waiting.get((orphan.owner, ends))
            late = self._ledger.drop(late.id) if late is not None else None  # it may have got another one just now
            if late is not None and (late.last if ends else late.sidecar) is None and self._untried(late):
                try:
                    rejected = self._intake.adopt(late, orphan.path, wall)
                except OSError as error:
                    stuck.append(f"input/{show(orphan.name)}: cannot be taken: {error.strerror or error}")
                    continue
                self._log.info("sidecar_adopted", name=show(orphan.name), drop=late.id)
                self._welcome(late, rejected, wall)
            elif orphan.wanting is not None:
                stuck.append(orphan.wanting)
        before, self.problems = self.problems, (*scan.problems, *self._intake.problems, *stuck[:20])
        for problem in self.problems:
            if problem not in before:
                self._log.warning("input_unreadable", problem=problem)
        self._dispatch.close_held()
        self._scan, self._scan_due = scan, now + self._settings.inbox.rescan_seconds
        if scan.next_due is not None:
            self._scan_due = min(self._scan_due, scan.next_due)

    def _resume_claims(self, wall: float) -> None:
        """Bring claims to their end that a crash, or a full disk, cut short."""
        for drop in self._ledger.drops("claiming"):
            with suppress(OSError):  # what belongs to it cannot go back into input/ now; the next scan tries again
                resumed = self._intake.resume(drop, wall)
                if resumed is not None:
                    self._welcome(*resumed, wall)

    def _welcome(self, drop: DropRow, rejected: JobRejected | None, wall: float) -> None:
        for job in self._ledger.jobs_of(drop.id):
            self._log.info("job_claimed", job=job.id, name=show(drop.name), sidecar=drop.sidecar, last=drop.last)
            self._tell(JobClaimed(job.id, show(drop.name)))
            if rejected is not None:
                self._dispatch.fail(job, "failed", str(rejected), wall)

    def _open_to_late_files(self) -> dict[tuple[str, bool], DropRow]:
        """The drops that were taken without a sidecar or a last picture (True), by name with and without suffix."""
        drops: dict[tuple[str, bool], DropRow] = {}
        for drop in self._ledger.drops("open"):
            name = PurePosixPath(drop.name)
            for called in (str(name), str(name.with_name(name.stem))):
                if drop.sidecar is None:
                    drops.setdefault((called, False), drop)
                if drop.last is None:
                    drops.setdefault((called, True), drop)
        return drops

    def _untried(self, drop: DropRow) -> bool:
        return all(job.attempts == 0 and job.ended is None for job in self._ledger.jobs_of(drop.id))

    def _tell(self, event: Event) -> None:
        for muted in self._registry.tell(event):
            self._log.warning("plugin_muted", plugin=muted.name, reason=muted.reason)
            self._registry.tell(PluginMuted(muted.name, muted.reason))


def _awake_or_not() -> float:
    """Seconds that nobody can set, and that go on while the machine sleeps, as `time.monotonic` does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
