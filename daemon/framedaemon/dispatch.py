"""The job at hand: from its place in the queue to its end, whatever the worker makes of it.

next job ─▶ attempt recorded ─▶ order ─▶ planned ─▶ no obstacle? ─▶ go ─▶ finished ─▶ published
                 ▲                └────▶ rejected: failed                └▶ failed, crashed, stalled: again, at most
                 └─────────────── waits ◀── disk, memory: again, uncounted ┘  max_attempts times, then quarantined

Failures that jobs of different files have in common are the machine's and not theirs: a breaker opens, see `breaker`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framedaemon.admission import ROOM_SECONDS, Admission
from framedaemon.breaker import LONGEST_WAIT_SECONDS, OPENING, START, Failure, Fault, OpenBreaker
from framedaemon.closing import Closing
from framedaemon.errors import JobRejected, StageFailed
from framedaemon.events import (
    BreakerClosed,
    BreakerOpened,
    Event,
    JobFailed,
    JobPublished,
    JobRetried,
    JobStarted,
    StageSeconds,
    WorkerReady,
)
from framedaemon.executor import Executor, Report
from framedaemon.instance import Instance
from framedaemon.ledger import STRIKES, JobRow, JobState, Ledger, Outcome
from framedaemon.log import get_log
from framedaemon.messages import Advanced, Ended, Finished, Planned, Ready
from framedaemon.naming import show
from framedaemon.orders import order_for
from framedaemon.settings import Settings
from framedaemon.status import Progress
from framedaemon.summary import PlanSummary
from framedaemon.turns import Turns
from framedaemon.waits import Waits
from framedaemon.workspace import size_of

# A memory policy ends by raising OutOfMemory. A plugin's that never does must not keep a job for ever.
_MOST_SHRINKS = 20


@dataclass(slots=True)
class AtWork:
    """The job that the worker has."""

    row: JobRow
    attempt: int
    plan: PlanSummary | None = None


class Dispatch:
    """Brings jobs to the executor and back. Times are wall-clock seconds, ``now`` monotonic ones."""

    def __init__(
        self, instance: Instance, settings: Settings, ledger: Ledger, executor: Executor, tell: Callable[[Event], None]
    ) -> None:
        self.settings = settings
        self.progress: Progress | None = None
        """How far the job at hand is."""
        self.broken: dict[str, str] = {}
        """Plugins that were said to be broken, and why: every worker that starts would say it again."""
        self.worker: Ready | None = None
        """What the last worker said that came up."""
        self._instance = instance
        self._ledger = ledger
        self._executor = executor
        self._closing = Closing(instance, ledger)
        self._admission = Admission(instance, ledger)
        self._tell = tell
        self._at_work: AtWork | None = None
        self._waits = Waits(tell)
        self._turns = Turns(ledger)
        self._said_unclosed: set[str] = set()
        self._log = get_log()

    @property
    def busy(self) -> bool:
        """Whether a job is at work."""
        return self._at_work is not None

    def start_next(self, now: float, wall: float) -> None:
        """Order the next job, if there is one and the worker is free."""
        if self._at_work is not None or not self._executor.available(now):
            return
        job = self._turns.next(wall)
        if job is None:
            return
        obstacle = self._admission.obstacle(_plan_of(job), self.settings.disk.keep_free_bytes, wall, job)
        if obstacle is not None:  # known from an earlier attempt, without bothering the worker
            self._ledger.wait(job.id, obstacle.reason, obstacle.until)
            self._waits.say_obstacle(job, obstacle)
            return
        try:
            order = order_for(job, job.attempts + 1, self._instance, self._ledger)  # before anything is recorded
        except JobRejected as error:
            self.fail(job, "failed", str(error), wall)
            return
        self._turns.began(job, wall)
        number = self._ledger.start(job.id, wall)
        self._at_work = AtWork(job, number)
        self.progress = Progress(job.id, show(job.name), number, wall)
        self._tell(JobStarted(job.id, show(job.name), number))
        self._executor.order(order, now)

    def hear(self, report: Report, now: float, wall: float) -> None:
        """Act on what the executor said. Where the ledger cannot be written and this raises, say it again."""
        if isinstance(report, Ready):
            self._log.info("worker_ready", pid=report.pid, device=report.device)
            self._tell(WorkerReady(report.pid, report.device))
            self.worker = report
            for plugin, reason in report.broken.items():
                if self.broken.get(plugin) != reason:
                    self._log.warning("plugin_broken", plugin=plugin, reason=reason)
            self.broken.update(report.broken)
            self._passed(START, wall)
            self._ledger.history.forget_other_machines(report.machine)
        elif self._at_work is None or report.job != self._at_work.row.id:
            return  # of a job that was cancelled meanwhile
        elif isinstance(report, Planned):
            self._admit(self._at_work, report, now, wall)
        elif isinstance(report, Advanced):
            self._advance(self._at_work, report, wall)
        elif isinstance(report, Finished):
            self._finished(self._at_work, report, wall)
        else:
            self._ended(self._at_work, report, wall)

    def cancel(self, job_id: str, wall: float) -> None:
        """End a job that is wanted no more, wherever it is."""
        job = self._ledger.job(job_id)
        if job is None or job.ended is not None or job.state == "publishing":
            return
        if self._at_work is not None and self._at_work.row.id == job_id:
            self._executor.end()
            self._rest()
        self.fail(job, "cancelled", "cancelled by hand", wall)

    def stop(self, wall: float, reason: str = "the daemon was stopped") -> None:
        """End the worker at once; its job goes on later."""
        self._executor.end()
        if self._at_work is not None:
            self._put_back(self._at_work, reason, wall)
            self._rest()

    def halt(self, now: float, wall: float) -> None:
        """End the worker soon, where its job can go on later; where nothing was done yet, at once."""
        if self._at_work is not None and self._at_work.plan is not None:
            self._executor.halt(now)
        else:
            self.stop(wall, "halted before it had begun")

    def fail(self, job: JobRow, state: JobState, reason: str, wall: float, outcome: Outcome | None = None) -> None:
        """End a job for good, without a video; ``outcome`` is how its last attempt ended."""
        self._ledger.finish(job.id, state, reason, wall, outcome)
        self._log.warning("job_failed", job=job.id, name=show(job.name), state=state, reason=reason)
        self._tell(JobFailed(job.id, show(job.name), state, reason, wall))
        self.close_if_ended(job.drop_id)

    def retry(
        self, job: JobRow, outcome: Outcome, reason: str, wall: float, breaker: OpenBreaker | None = None
    ) -> None:
        """An attempt ended without a video: another one later, or no more. ``breaker``: what it opened, or met open."""
        job = self._ledger.job(job.id) or job
        excused = breaker is not None and self._ledger.breaker.excuses(job.id, breaker, wall)
        given_up = outcome in STRIKES and not excused and job.strikes >= self.settings.worker.max_attempts
        if given_up or (outcome == "memory" and job.shrinks >= _MOST_SHRINKS):
            self.fail(job, "quarantined", reason, wall, outcome)
            return
        pause = 0.0
        if breaker is not None:
            pause = breaker.until - wall
        elif outcome == "disk":
            pause = ROOM_SECONDS
        elif outcome in STRIKES:
            pause = min(LONGEST_WAIT_SECONDS, self.settings.worker.retry_seconds * 2 ** (job.strikes - 1))
        self._ledger.again(job.id, outcome, reason, wall, wall + pause, excused)
        if breaker is not None:
            self._ledger.wait(job.id, breaker.describe(), breaker.until)
        self._log.warning("job_retried", job=job.id, name=show(job.name), outcome=outcome, reason=reason, seconds=pause)
        self._tell(JobRetried(job.id, show(job.name), job.attempts, reason, outcome))

    def publish(self, job: JobRow, wall: float, took: Mapping[str, float] | None = None) -> None:
        """Make a finished video visible, now or, where output/ is full or gone, when that is mended.

        ``took``: seconds of each stage, where they are known.
        """
        job = self._ledger.job(job.id) or job
        try:
            target = self._closing.publish(job, wall)
        except StageFailed as error:
            self.retry(job, "failed", str(error), wall)
            return
        except OSError as error:
            self._ledger.hold_publication(job.id, f"cannot publish: {error}", wall + ROOM_SECONDS)
            self._waits.say(job, f"the finished video cannot be put into output/: {error.strerror or error}")
            return
        self._waits.over(job.id)
        plan = _plan_of(job)
        frames, seconds = plan.frames if plan is not None else 0, max(0.0, wall - (job.started or wall))
        size = _size_of_published(target)
        name = str(target.relative_to(self._instance.output))
        self._log.info(
            "job_published", job=job.id, name=show(job.name), output=show(name), frames=frames,
            seconds=round(seconds, 1), bytes=size, attempts=job.attempts,
        )  # fmt: skip
        self._tell(JobPublished(job.id, show(job.name), name, frames, seconds, size, _stages(plan, took or {}), wall))
        self.close_if_ended(job.drop_id)

    def publish_held(self, wall: float, every: bool = False) -> None:
        """Try again to publish what could not be published, where its time has come, or all of it."""
        for job in self._ledger.jobs("publishing"):
            if every or job.due(wall):
                self.publish(job, wall)

    def close_if_ended(self, drop_id: str) -> None:
        """Put a drop's picture away once all its jobs have ended, now or, where input/ does not take it, later."""
        if any(job.ended is None for job in self._ledger.jobs_of(drop_id)):
            return
        drop = self._ledger.drop(drop_id)
        try:
            self._closing.close_drop(drop)
        except OSError as error:
            if drop_id not in self._said_unclosed:
                self._log.warning("picture_not_put_away", name=show(drop.name), reason=str(error))
            self._said_unclosed.add(drop_id)
        else:
            self._said_unclosed.discard(drop_id)

    def close_held(self) -> None:
        """Put away what could not be put away, or what a full disk kept from being tried."""
        for drop_id in self._ledger.unclosed():
            self.close_if_ended(drop_id)

    def _admit(self, work: AtWork, planned: Planned, now: float, wall: float) -> None:
        """Let a planned job run if there is room for what it will write."""
        work.plan = planned.plan
        self._ledger.set_plan(work.row.id, planned.plan.model_dump_json(), planned.plan.place)
        if self.progress is not None:
            self.progress.expect(planned.plan, self._ledger.history)
        self._passed(OPENING, wall)
        obstacle = self._admission.obstacle(planned.plan, self.settings.disk.keep_free_bytes, wall, work.row)
        if obstacle is not None:
            self._ledger.again(work.row.id, obstacle.outcome, obstacle.reason, wall, obstacle.until)
            self._waits.say_obstacle(work.row, obstacle)
            self._executor.put_off(work.row.id, now)
            self._rest()
            return
        self._waits.over(work.row.id)
        self._executor.go(work.row.id, now)

    def _advance(self, work: AtWork, report: Advanced, wall: float) -> None:
        if self.progress is None or work.plan is None:
            return
        if report.stage in {step.stage for step in work.plan.steps}:
            self.progress.advance(report.stage, report.done, report.total, wall)
        else:
            self.progress.step = f"{report.stage} {100 * report.done // max(1, report.total)} %"

    def _finished(self, work: AtWork, report: Finished, wall: float) -> None:
        job = self._ledger.job(work.row.id)
        if job is not None and job.ended is None:
            self.publish(job, wall, report.seconds)
        self._log.debug("stages_timed", job=work.row.id, **report.seconds)
        if work.plan is not None:
            self._passed(work.plan.place, wall)
            self._learn(work.plan, report, wall)
        self._rest()

    def _learn(self, plan: PlanSummary, report: Finished, wall: float) -> None:
        """Keep what the job took, for the next one like it."""
        history = self._ledger.history
        for stage, seconds in report.seconds.items():
            history.measure(stage, plan.megapixels, seconds, 0, 0, wall)
        history.measure(plan.video_kind, 0.0, 0.0, plan.video_bytes, report.bytes, wall)
        for step in plan.steps:
            if step.rung:
                history.remember_fit(step.fit_key, step.rung)

    def _ended(self, work: AtWork, ended: Ended, wall: float) -> None:
        if ended.kind == "rejected":
            self._passed(OPENING, wall)
            self.fail(work.row, "failed", ended.reason, wall, "memory" if ended.cause == "OutOfMemory" else "rejected")
        elif ended.kind == "failed" or ended.kind == "crashed" or ended.kind == "stalled":
            self._strike(work, ended.kind, ended, wall)
        elif ended.kind == "memory" and work.plan is None:  # opening it took too much: no placement is smaller
            self._strike(work, "crashed", ended, wall)
        elif ended.kind == "stopped":
            self._put_back(work, ended.reason, wall)
        else:
            self.retry(work.row, ended.kind, ended.reason, wall)
        self._rest()

    def _put_back(self, work: AtWork, reason: str, wall: float) -> None:
        """An attempt was ended through no fault of anyone's: its job is as it was, and goes on with what was done."""
        self._ledger.again(work.row.id, "stopped", reason, wall, wall)
        self._log.info("job_halted", job=work.row.id, name=show(work.row.name), reason=reason)

    def _strike(self, work: AtWork, outcome: Failure, ended: Ended, wall: float) -> None:
        """An attempt failed: through the job's fault, or the machine's, if other jobs fail so too."""
        place = START if not ended.came_up else OPENING if work.plan is None else work.plan.place
        fault, worker = Fault(outcome, ended.cause, place), self.settings.worker
        breaker = self._ledger.breaker.failed(
            work.row.id, work.attempt, fault, worker.breaker_jobs, worker.breaker_seconds, wall
        )
        self.retry(work.row, outcome, ended.reason, wall, breaker)
        if breaker is not None:
            self._log.error("breaker_opened", place=breaker.place, reason=breaker.reason, seconds=breaker.seconds)
            self._tell(BreakerOpened(breaker.place, breaker.reason, breaker.seconds))
        else:
            job = self._ledger.job(work.row.id)
            self._ledger.to_the_end(work.row.id, job.not_before if job is not None else wall)

    def _passed(self, place: str, wall: float) -> None:
        """An attempt came well through ``place``: whatever was wrong there is over."""
        breaker = self._ledger.breaker.passed(place, wall)
        if breaker is not None:
            self._log.info("breaker_closed", place=place, seconds=round(wall - breaker.opened, 1))
            self._tell(BreakerClosed(place, wall - breaker.opened))

    def _rest(self) -> None:
        self._at_work = None
        self.progress = None


def _plan_of(job: JobRow) -> PlanSummary | None:
    """The plan of an earlier attempt, if there is one; that of another version of framedaemon may not be readable."""
    with suppress(ValueError):
        return PlanSummary.model_validate_json(job.plan) if job.plan is not None else None
    return None


def _stages(plan: PlanSummary | None, took: Mapping[str, float]) -> tuple[StageSeconds, ...]:
    """What a job took, stage by stage; what no stage of its plan did is the quality gate."""
    kinds = {step.stage: step.kind for step in plan.steps} if plan is not None else {}
    return tuple(StageSeconds(kinds.get(name, "check"), name, seconds) for name, seconds in took.items())


def _size_of_published(video: Path) -> int:
    """Bytes of a video that others may take away, or move, as soon as they see it: 0 then."""
    with suppress(OSError):
        return size_of(video)
    return 0
