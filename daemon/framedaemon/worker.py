"""The process that does the work: one for each device, started, watched and killed by the service.

It opens what strangers dropped, so it may die; nothing but its own job is lost then. It leads a process group: killing
that takes ffmpeg along. When the service goes away its socket closes, and the worker ends itself.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from framedaemon import keeping, messages, pipeline, receipt
from framedaemon.errors import DiskFull, Halted, JobRejected, OutOfMemory, StageFailed
from framedaemon.gpu import uuid_of
from framedaemon.ground import Ground
from framedaemon.halting import Halting
from framedaemon.instance import Instance
from framedaemon.log import get_log, job_log, set_up
from framedaemon.memory import oom_kills, this_machine
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
from framedaemon.offspring import MARK, kill_marked
from framedaemon.opening import Limits, open_ending, open_source
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.receipt import LastFile
from framedaemon.settings import Settings
from framedaemon.sources import Source
from framedaemon.stages import Machine
from framedaemon.standing import stand_back
from framedaemon.stream import sort_error
from framedaemon.weights import models_folder
from framedaemon.workspace import SHEET, write_atomically

BEAT_SECONDS = 1.0

# Frames advance faster than anyone reads; the service hears of it this often.
_REPORT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Ordered:
    """A job that is planned and held ready."""

    order: Order
    plan: Plan
    sha256: str
    last: LastFile | None


class Line:
    """The socket to the service; several threads may speak."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def say(self, message: messages.Message) -> None:
        """Send a message; when the service is gone, so are we."""
        try:
            with self._lock:
                self._connection.sendall(messages.encode(message))
        except OSError:
            end_group()


def end_group() -> None:
    """End this process and everything it started."""
    if MARK in os.environ:
        kill_marked(os.environ[MARK])
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main(handle: int) -> None:
    """Serve the service at the other end of the socket ``handle`` until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the service, which decides
    connection = socket.socket(fileno=handle)
    line = Line(connection)
    orders: queue.Queue[Order | Go | Setup] = queue.Queue()
    halting = Halting()
    threading.Thread(target=_listen, args=(connection, orders, halting), name="listen", daemon=True).start()
    setup = orders.get()
    assert isinstance(setup, Setup)
    threading.Thread(target=_beat, args=(line,), name="beat", daemon=True).start()
    worker = Worker(setup, line, halting)
    while True:
        order = orders.get()
        if isinstance(order, Order):
            worker.prepare(order)
        elif isinstance(order, Go):
            worker.run(order)


class Worker:
    """Plans and runs one job after the other."""

    def __init__(self, setup: Setup, line: Line, halting: Halting) -> None:
        self._instance = Instance(Path(setup.root))
        self._settings: Settings = setup.settings
        stand_back(self._settings.worker.nice, self._settings.worker.io)
        set_up(self._settings.log, folder=None, stream=None)
        self._line = line
        self._halting = halting
        self._ground = Ground()
        self._registry: Registry = load_plugins(
            self._instance.plugins, self._settings.plugins.disabled, setup.aside, self._say_entered
        )
        models = models_folder(self._settings.models.folder, self._instance.root, os.environ)
        self._machine: Machine = this_machine(self._settings.worker.device, self._settings.worker.threads, models)
        self._held: Ordered | None = None
        self._alike: object = None
        keeping.keep_between_jobs()
        broken = {plugin.name: plugin.reason for plugin in self._registry.broken()}
        device, machine = self._machine.device, self._machine.known_as
        line.say(Ready(pid=os.getpid(), device=device, machine=machine, uuid=uuid_of(device), broken=broken))

    def _say_entered(self, plugin: str) -> None:
        self._line.say(Entered(plugin=plugin))

    def prepare(self, order: Order) -> None:
        """Open and plan a job; say what it will take, or why it cannot be."""
        receipt.forget_peak()
        with job_log(self._log_path(order), order.job, order.name):
            failure = self._guarded(order, lambda: self._prepare(order))
        self._say_failure(order, failure)

    def run(self, go: Go) -> None:
        """Run the job that is held."""
        held = self._held
        self._held = None
        if held is None or held.order.job != go.job:
            self._line.say(Ended(job=go.job, kind="failed", reason="the worker was not told of this job"))
            return
        with job_log(self._log_path(held.order), held.order.job, held.order.name):
            failure = self._guarded(held.order, lambda: self._run(held))
        self._say_failure(held.order, failure)

    def _prepare(self, order: Order) -> None:
        inbox = self._settings.inbox
        limits = Limits(inbox.max_pixels, inbox.min_side, inbox.background_rgb)
        source = open_source(Path(order.source), order.name, limits)
        sha256, last = receipt.hash_file(Path(order.source)), None
        if order.last is not None:
            path = Path(order.last)
            name = str(PurePosixPath(order.name).with_name(path.name))
            source, last = open_ending(source, path, name, limits), LastFile(name, receipt.hash_file(path))
        plan = self._plan_with_room(order, source, receipt.seed_from(sha256, order.number))
        get_log().info("job_planned", **plan.summary().model_dump(mode="json"))
        self._held = Ordered(order, plan, sha256, last)
        self._line.say(Planned(job=order.job, plan=plan.summary()))

    def _plan_with_room(self, order: Order, source: Source, seed: int) -> Plan:
        """The job's plan; what the one before left loaded goes first where that is no use to it, or in its way."""
        plan = self._plan(order, source, seed)
        step = plan.interpolate
        between = (step.task.name, step.options) if step is not None else None
        alike = between, plan.drawn.width, plan.drawn.height
        if keeping.holds() and (alike != self._alike or any(step.rung for step in plan.summary().steps)):
            keeping.release()
            plan = self._plan(order, source, seed)
        self._alike = alike
        return plan

    def _plan(self, order: Order, source: Source, seed: int) -> Plan:
        machine = this_machine(self._machine.device, self._settings.worker.threads, self._machine.models)
        try:
            return make_plan(source, order.recipe, self._registry, machine, seed, order.shrinks, order.fits)
        except OutOfMemory as error:  # no smaller placement is left
            raise JobRejected(str(error)) from error

    def _run(self, held: Ordered) -> None:
        order, plan = held.order, held.plan
        folder = Path(order.folder)
        comment = receipt.comment(plan, held.sha256, held.last)
        made = pipeline.run(plan, folder, self._registry, comment, self._reporter(order.job), self._halting)
        named = {"name": order.name, "sha256": held.sha256, "job": order.job}
        facts = receipt.describe(plan, made, **named, attempt=order.attempt, last=held.last)
        if plan.preview:
            facts["sheet"] = self._sheet(plan, made.video, folder / SHEET, order.job)
        write_atomically(folder / "receipt.json", receipt.encode(facts))
        get_log().info("video_made", bytes=made.bytes, seconds=made.seconds, gate=made.gate.to_json())
        seconds = made.seconds if not made.resumed_at else {}  # of a part: nothing to learn from for whole videos
        worn = self._ground.wear()
        self._line.say(Finished(job=order.job, video=made.video.name, bytes=made.bytes, seconds=seconds, worn=worn))

    def _sheet(self, plan: Plan, video: Path, sheet: Path, job: str) -> dict[str, str]:
        """Make a preview's contact sheet; what the receipt says of it."""
        from framedaemon.sheet import make_sheet

        report = self._reporter(job)
        make_sheet(video, plan.video, sheet, lambda done, total: report("contact sheet", done, total))
        return {"file": sheet.name, "sha256": receipt.hash_file(sheet)}

    def _guarded(self, order: Order, work: Callable[[], None]) -> Ended | None:
        """Do ``work``; whatever it raises becomes the end of this attempt: Ctrl-C too is a plugin's word here."""
        kills = oom_kills()
        try:
            self._ground.restore()
            work()
        except Halted as halted:
            get_log().info("attempt_halted", reason=str(halted))
            return Ended(job=order.job, kind="stopped", reason=str(halted))
        except BaseException as error:  # noqa: BLE001  (the one broad except around a job)
            reason = sort_error(error)
            if isinstance(reason, StageFailed) and oom_kills() > kills:  # an encoder of its own process, say
                reason = OutOfMemory(f"{reason}; meanwhile the kernel ended a process because memory ran out")
            traceback = None if isinstance(reason, JobRejected) else error
            get_log().warning("attempt_failed", kind=type(reason).__name__, reason=str(reason), exc_info=traceback)
            kind = _KIND_OF.get(type(reason), "failed")
            return Ended(job=order.job, kind=kind, reason=str(reason), cause=_cause_of(error))
        return None

    def _say_failure(self, order: Order, failure: Ended | None) -> None:
        """Say it outside the except block, whose traceback pins the stage's memory."""
        if failure is not None:
            gc.collect()
            self._line.say(failure)

    def _reporter(self, job: str) -> pipeline.Report:
        last: dict[str, float] = {}

        def report(stage: str, done: int, total: int) -> None:
            now = time.monotonic()
            if done >= total or now - last.get(stage, 0.0) >= _REPORT_SECONDS:
                last[stage] = now
                self._line.say(Advanced(job=job, stage=stage, done=done, total=total))

        return report

    def _log_path(self, order: Order) -> Path:
        return self._instance.logs / "jobs" / f"{order.job}.jsonl"


def _cause_of(error: BaseException) -> str:
    """The class of the error that all came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


_KIND_OF: dict[type[BaseException], EndKind] = {JobRejected: "rejected", OutOfMemory: "memory", DiskFull: "disk"}


def _listen(connection: socket.socket, orders: queue.Queue[Setup | Order | Go], halting: Halting) -> None:
    """Queue what the service says; when it goes away, or says what this version does not know, end.

    To halt is for whoever is at work already.
    """
    try:
        with connection.makefile("rb") as lines:
            for text in lines:
                order = messages.read_order(text)
                if isinstance(order, Halt):
                    halting.ask(order.seconds)
                    continue
                if isinstance(order, Order):
                    halting.forget()
                orders.put(order)
    finally:
        end_group()


def _beat(line: Line) -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        line.say(Beat())


if __name__ == "__main__":
    main(int(sys.argv[1]))
