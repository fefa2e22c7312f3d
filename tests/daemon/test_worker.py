"""The worker process, spoken to as the service does."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from framedaemon import messages
from framedaemon.instance import Instance
from framedaemon.messages import Beat, Ended, Finished, Go, Order, Planned, Ready, Setup
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.settings import read_settings
from living import drop, make_instance


class Spoken:
    """A worker at the other end of a socket."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "framedaemon.worker", str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        self.lines = self.socket.makefile("rb")
        self.say(Setup(root=str(instance.root), settings=read_settings(instance.config)))

    def say(self, message: messages.Message) -> None:
        self.socket.sendall(messages.encode(message))

    def hear(self, *kinds: type[messages.Message]) -> messages.Message:
        """The next message of one of ``kinds``."""
        while True:
            assert select.select([self.socket], [], [], 60)[0], "the worker is silent"
            report = messages.read_report(self.lines.readline())
            if isinstance(report, kinds):
                return report

    def order(self, name: str, recipe: Recipe) -> Order:
        folder = self.instance.jobs / name / "1"
        folder.mkdir(parents=True)
        source = drop(self.instance, name)
        return Order(
            job=name, name=name, source=str(source), folder=str(folder), recipe=recipe, attempt=1, number=1, shrinks=0
        )


@contextmanager
def spoken_to(instance: Instance) -> Iterator[Spoken]:
    """A worker of the instance's, killed in the end."""
    spoken = Spoken(instance)
    yield spoken
    spoken.lines.close()
    spoken.socket.close()
    spoken.process.kill()
    spoken.process.wait()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Spoken]:
    with spoken_to(make_instance(tmp_path)) as spoken:
        yield spoken


PLAIN = Recipe(generate=StageChoice(use="camera", options={"frames": 3}), interpolate=InterpolateChoice(use="none"))


def test_a_worker_beats_plans_and_finishes_one_job_after_the_other(worker: Spoken) -> None:
    ready = worker.hear(Ready)
    assert isinstance(ready, Ready)
    assert ready.pid == worker.process.pid
    worker.hear(Beat)

    for name in ("a.png", "b.png"):
        worker.say(worker.order(name, PLAIN))
        planned = worker.hear(Planned, Ended)
        assert isinstance(planned, Planned)
        assert planned.plan.frames == 3
        worker.say(Go(job=name))
        finished = worker.hear(Finished, Ended)
        assert isinstance(finished, Finished)
        assert (worker.instance.jobs / name / "1" / finished.video).stat().st_size == finished.bytes


# An interpolator that keeps what it made, and writes down when it makes something, and when that is closed.
KEEPING = """
from contextlib import contextmanager
from pathlib import Path

from framedaemon import Estimate, InterpolatorOptions, hookimpl, kept

SAID = Path(__file__).parent.parent / "tmp" / "said"


@contextmanager
def network():
    with SAID.open("a") as file:
        file.write("made ")
    yield
    with SAID.open("a") as file:
        file.write("closed ")


class Keeping:
    name = "keeping"
    summary = "keeps"
    options = InterpolatorOptions
    preference = -1

    def unready(self, machine):
        return None

    def estimate(self, takes, gives, options):
        return Estimate()

    @contextmanager
    def load(self, placement, options):
        with kept(("keeping", options), network):
            yield lambda gaps: ([gap.x0 for _ in gap.times] for gap in gaps)


@hookimpl
def interpolators():
    return [Keeping()]
"""


def test_what_a_stage_keeps_serves_the_next_job_like_it_and_goes_before_another_kind(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    (instance.plugins / "keeping.py").write_text(KEEPING)
    recipe = PLAIN.model_copy(update={"interpolate": InterpolateChoice(use="keeping")})
    smaller = PLAIN.model_copy(
        update={
            "generate": StageChoice(use="camera", options={"frames": 3, "width": 16}),
            "interpolate": InterpolateChoice(use="keeping"),
        }
    )

    with spoken_to(instance) as worker:
        said = [
            _made(worker, worker.order(name, asked), instance.tmp / "said")
            for name, asked in (("a.png", recipe), ("b.png", recipe), ("c.png", smaller), ("d.png", PLAIN))
        ]

    assert said == ["made ", "made ", "made closed made ", "made closed made closed "]


def test_a_picture_that_is_none_is_rejected_and_the_worker_goes_on(worker: Spoken) -> None:
    order = worker.order("a.png", PLAIN)
    Path(order.source).write_text("no picture")

    worker.say(order)

    ended = worker.hear(Ended)
    assert isinstance(ended, Ended)
    assert ended.kind == "rejected"
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    ("fault", "kind", "cause"),
    [("raise", "failed", "RuntimeError"), ("short", "failed", "StageFailed"), ("memoryerror", "memory", "MemoryError")],
)
def test_what_a_failure_came_from_is_told_by_its_class(worker: Spoken, fault: str, kind: str, cause: str) -> None:
    faulty = Recipe(generate=StageChoice(use="faulty", options={"fault": fault}))
    worker.say(worker.order("cat.png", faulty))
    worker.hear(Planned)

    worker.say(Go(job="cat.png"))
    ended = worker.hear(Ended)

    assert isinstance(ended, Ended)
    assert (ended.kind, ended.cause, ended.came_up) == (kind, cause, True)


def test_a_worker_whose_service_is_gone_ends_with_all_it_started(worker: Spoken) -> None:
    recipe = PLAIN.model_copy(update={"generate": StageChoice(use="faulty", options={"fault": "hang"})})
    worker.say(worker.order("a.png", recipe))
    worker.hear(Planned)
    worker.say(Go(job="a.png"))
    worker.hear(messages.Advanced)
    group = _members(worker.process.pid)

    worker.lines.close()
    worker.socket.close()

    worker.process.wait(timeout=20)
    assert len(group) >= 2, "ffmpeg should have been running"
    assert _gone(group)


def test_a_worker_that_is_told_what_it_does_not_know_ends(worker: Spoken) -> None:
    """As after an upgrade under a running daemon: a worker that went on beating would keep its job waiting."""
    worker.hear(messages.Ready)

    worker.socket.sendall(b'{"say": "dance"}\n')

    assert worker.process.wait(timeout=20) == -signal.SIGKILL


def _made(worker: Spoken, order: Order, said: Path) -> str:
    """What stands in the file once the job is done."""
    worker.say(order)
    worker.hear(Planned)
    worker.say(Go(job=order.job))
    worker.hear(Finished)
    return said.read_text()


def _members(group: int) -> list[int]:
    """Processes of a process group."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _group(pid) == group]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _gone(pids: list[int]) -> bool:
    end = time.monotonic() + 20
    while any(_state(pid) not in ("gone", "Z") for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"
