"""A model of the daemon's memory: whatever comes, in whatever order, and wherever it dies, nothing is lost or doubled.

The service, its ledger and its folders are real; the worker is played, so that a life takes a moment, and death comes
between any two steps. Safety holds after every rule, also while the daemon lies dead; liveness in the end: once nothing
breaks any more, every job ends within a bounded number of passes.

``FRAMEDAEMON_EXAMPLES=400`` plays as many lives as the full run wants.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes import machine, picture, registry_of
from framedaemon import service as service_module
from framedaemon.executor import Report
from framedaemon.instance import Instance
from framedaemon.ledger import ENDED, JobRow, Ledger
from framedaemon.messages import Ended, EndKind, Finished, Order, Planned
from framedaemon.plan import make_plan
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.requests import ask_to_prefer, pause, resume
from framedaemon.service import Service
from framedaemon.settings import Settings, read_settings
from framedaemon.summary import PlanSummary
from framedaemon.workspace import SHEET
from living import make_instance
from torture.mortal import Death, Mortal, mortality

TWO = "[[job]]\n[[job]]\n[job.encode]\ncrf = 20\n"
PREVIEW = "[generate]\npreview = true\n"

# Passes in which a daemon that nothing disturbs must end all that is left; each moves the clocks on by a minute.
_PASSES = 300
_MINUTE = 60.0
_CLOCKS = (-400 * 86_400, -3600, -1, 1, 3600, 400 * 86_400)


def _plan() -> PlanSummary:
    recipe = Recipe(
        generate=StageChoice(use="squares"), interpolate=InterpolateChoice(use="blend"), encode=StageChoice(use="raw")
    )
    return make_plan(picture(), recipe, registry_of(), machine(), seed=1).summary()


PLAN = _plan()


class Played:
    """An executor that works when the model says so."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self.settings = settings
        self.held: Order | None = None
        self.going = False
        self.heard: deque[Report] = deque()

    @property
    def ready(self) -> bool:
        return True

    @property
    def pid(self) -> int | None:
        return None

    def available(self, now: float) -> bool:
        return self.held is None

    def order(self, order: Order, now: float) -> None:
        assert self.held is None, "two jobs at once"
        self.held, self.going = order, False
        self.heard.append(Planned(job=order.job, plan=PLAN))

    def go(self, job: str, now: float) -> None:
        self.going = True

    def put_off(self, job: str, now: float) -> None:
        self.held = None

    def halt(self, now: float) -> None:
        if self.held is not None:
            self.fail("stopped")

    def poll(self, now: float) -> Sequence[Report]:
        heard, self.heard = list(self.heard), deque()
        return heard

    def end(self) -> None:
        self.held = None
        self.heard.clear()

    def handles(self) -> Sequence[int]:
        return []

    def next_check(self) -> float | None:
        return None

    def finish(self) -> None:
        """Make the video of the job at hand, which says whose it is."""
        order, self.held = self.held, None
        assert order is not None
        folder = Path(order.folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "video.mp4").write_text(order.job)
        facts: dict[str, object] = {"job": order.job, "video": {"file": "", "sha256": _hash(folder / "video.mp4")}}
        if order.recipe.preview:
            (folder / SHEET).write_text(order.job)
            facts["sheet"] = {"file": "", "sha256": _hash(folder / SHEET)}
        (folder / "receipt.json").write_text(json.dumps(facts))
        self.heard.append(Finished(job=order.job, video="video.mp4", bytes=1, seconds={}))

    def fail(self, kind: EndKind) -> None:
        order, self.held = self.held, None
        assert order is not None
        self.heard.append(Ended(job=order.job, kind=kind, reason=f"played: {kind}"))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Steps after which a pass ends in death; None: it does not. What matters most comes early in a pass.
STEPS = st.one_of(st.none(), st.none(), st.integers(0, 12), st.integers(0, 40))


class Lives(RuleBasedStateMachine):
    """One instance, and the daemons that come and go in it."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.instance = make_instance(self.folder)
        self.mortal = Mortal()
        self.dropped: dict[str, str] = {}
        self.ended: dict[str, JobRow] = {}
        self.now, self.ahead = 1000.0, 0.0
        self.patch = pytest.MonkeyPatch()
        clock = SimpleNamespace(
            time=lambda: 1.7e9 + self.now + self.ahead,
            monotonic=lambda: self.now,
            clock_gettime=lambda _: self.now,
            CLOCK_BOOTTIME=0,
        )
        self.patch.setattr(service_module, "time", clock)
        self.patch.setattr(service_module, "LocalExecutor", Played)
        self.mortality = mortality(self.mortal)
        self.mortality.__enter__()
        self.ledger: Ledger | None = None
        self.rise()
        self.drop("")

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            self.live_on()
        finally:
            self.bury()
            self.mortality.__exit__(None, None, None)
            self.patch.undo()
            shutil.rmtree(self.folder)

    # --- life and death

    def rise(self, steps: int | None = None) -> None:
        """A daemon starts; with ``steps`` to live it may die again before it has recovered."""
        self.bury()
        self.mortal.left = steps

        def start() -> None:
            self.ledger = Ledger(self.instance.ledger)
            self.service = Service(self.instance, read_settings(self.instance.config), self.ledger, registry_of())
            self.service.recover()

        self.do(start)

    def bury(self) -> None:
        if self.ledger is not None:
            self.ledger.close()
            self.ledger = None
        self.mortal.rise()

    def do(self, act: Callable[[], object]) -> None:
        """What the daemon does, unless it dies over it."""
        self.mortal.acting = True
        try:
            act()
        except Death:
            assert self.mortal.dead
        except sqlite3.OperationalError:
            assert self.mortal.dead  # its ROLLBACK did not come
        finally:
            self.mortal.acting = False

    @property
    def played(self) -> Played:
        assert isinstance(self.service.executor, Played)
        return self.service.executor

    def alive(self) -> bool:
        return self.ledger is not None and not self.mortal.dead

    def working(self) -> bool:
        return self.alive() and self.played.held is not None and self.played.going

    # --- what may happen

    @rule(sidecar=st.sampled_from(["", "", TWO, "wrong = 1\n", "late", PREVIEW, PREVIEW, f"{PREVIEW}{TWO}"]))
    def drop(self, sidecar: str) -> None:
        name = f"p{len(self.dropped)}"
        if sidecar not in ("", "late"):
            (self.instance.input / f"{name}.toml").write_text(sidecar)
        (self.instance.input / f"{name}.png").write_text(name)
        self.dropped[name] = sidecar

    @precondition(lambda self: "late" in self.dropped.values())
    @rule()
    def bring_late_sidecar(self) -> None:
        name = next(name for name, sidecar in self.dropped.items() if sidecar == "late")
        (self.instance.input / f"{name}.toml").write_text("priority = 1\n")
        self.dropped[name] = "came"

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), alone=st.booleans(), folder=st.sampled_from(["approved", "approved", "approved", "."]))
    def decide(self, data: st.DataObject, alone: bool, folder: str) -> None:
        """A person approves a preview, with or without its sidecar, or has another one made."""
        name = data.draw(st.sampled_from(self.waiting()))
        for file in [name] if alone else [name.with_suffix(".toml"), name]:
            if file.exists() and not (self.instance.input / folder / file.name).exists():
                file.rename(self.instance.input / folder / file.name)

    def waiting(self) -> list[Path]:
        return sorted(self.instance.waiting.glob("*.png"))

    @precondition(lambda self: self.alive())
    @rule(passes=st.integers(1, 3), steps=STEPS)
    def tick(self, passes: int, steps: int | None) -> None:
        self.mortal.left = steps
        for _ in range(passes):
            self.now += 2.0
            self.do(lambda: self.service.tick(self.now))

    @precondition(lambda self: self.alive())
    @rule(steps=STEPS)
    def finish(self, steps: int | None) -> None:
        if self.brought_to_work():
            self.played.finish()
            self.tick(1, steps)

    @precondition(lambda self: self.alive())
    @rule(kind=st.sampled_from(["rejected", "failed", "crashed", "stalled", "disk", "memory"]), steps=STEPS)
    def fail(self, kind: EndKind, steps: int | None) -> None:
        if self.brought_to_work():
            self.played.fail(kind)
            self.tick(1, steps)

    def brought_to_work(self) -> bool:
        """Whether a job is at work, after a few passes that bring one there if they can."""
        for _ in range(4):
            if self.alive() and not self.working():
                self.tick(1, None)
        return self.working()

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        jobs = self.rows()
        if jobs:
            job = data.draw(st.sampled_from(jobs))
            self.do(lambda: self.service._dispatch.cancel(job.id, service_module.time.time()))

    @rule(now=st.sampled_from([False, True, None]))
    def pause_or_resume(self, now: bool | None) -> None:
        """By hand, with or without halting the job at work; None: go on."""
        if now is None:
            resume(self.instance)
        else:
            pause(self.instance, now, service_module.time.time())

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), priority=st.integers(-1, 1))
    def prefer(self, data: st.DataObject, priority: int) -> None:
        jobs = self.rows()
        if jobs:
            ask_to_prefer(self.instance, data.draw(st.sampled_from(jobs)).id, priority)

    @rule(seconds=st.sampled_from(_CLOCKS))
    def set_clock(self, seconds: float) -> None:
        self.ahead += seconds

    @precondition(lambda self: not self.alive())
    @rule(steps=STEPS)
    def start_again(self, steps: int | None) -> None:
        self.rise(steps)

    @precondition(lambda self: self.alive())
    @rule()
    def stop_and_start(self) -> None:
        self.do(self.service.stop)
        if self.alive():
            self.rise()

    # --- what must hold

    def rows(self) -> list[JobRow]:
        with suppress(sqlite3.OperationalError):
            ledger = Ledger(self.instance.ledger, read_only=True)
            try:
                return ledger.jobs()
            finally:
                ledger.close()
        return []

    @invariant()
    def each_picture_lies_in_one_place(self) -> None:
        found = Counter(
            path.name for folder in (self.instance.input, self.instance.jobs) for path in folder.rglob("*.png")
        )
        assert found == Counter(f"{name}.png" for name in self.dropped)

    @invariant()
    def each_job_has_one_video_at_most_and_what_ended_stays_ended(self) -> None:
        owners = Counter(path.read_text() for path in self.instance.output.rglob("*.mp4"))
        assert not owners or max(owners.values()) == 1
        rows = {job.id: job for job in self.rows()}
        ended = {id: job for id, job in rows.items() if job.ended is not None}
        assert all(ended[id] == job for id, job in self.ended.items())
        assert all(rows[owner].state in ("done", "publishing") for owner in owners if owner in rows)
        assert owners.keys() <= rows.keys()
        self.ended = ended

    def live_on(self) -> None:
        """Nothing breaks any more: everything comes to its end."""
        if not self.alive():
            self.rise()
        self.mortal.rise()
        resume(self.instance)
        for _ in range(_PASSES):
            self.now += _MINUTE
            self.service.tick(self.now)
            if self.working():
                self.played.finish()
            if self.service.idle:
                break
        assert self.service.idle, [(job.id, job.state, job.reason) for job in self.rows() if job.ended is None]
        self.each_picture_lies_in_one_place()
        self.each_job_has_one_video_at_most_and_what_ended_stays_ended()
        rows = self.rows()
        assert all(job.state in ENDED for job in rows)
        videos = {path.read_text() for path in self.instance.output.rglob("*.mp4")}
        done = {job.id for job in rows if job.state == "done"}
        previews = {job.id for job in rows if Recipe.from_json(job.recipe).preview}
        wholes = {Recipe.from_json(job.recipe).finishes for job in rows if job.id in done}
        assert done - previews <= videos <= done - wholes
        assert {path.with_suffix(".mp4") for path in self.instance.output.rglob("*.jpg")} == {
            path for path in self.instance.output.rglob("*.mp4") if path.read_text() in previews
        }
        assert list(self.instance.jobs.iterdir()) == []
        folders = self.instance.done, self.instance.failed, self.instance.waiting
        resting = {path.name for folder in folders for path in folder.glob("*")}
        assert {f"{name}.png" for name in self.dropped} <= resting


Lives.TestCase.settings = settings(
    max_examples=int(os.environ.get("FRAMEDAEMON_EXAMPLES", "25")), stateful_step_count=30
)
TestLives = Lives.TestCase
