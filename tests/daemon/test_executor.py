"""The local executor: clocks, deaths and back-off, with real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.executor import LocalExecutor
from framedaemon.messages import Ended, Order, Ready
from framedaemon.recipe import Recipe
from framedaemon.settings import read_settings
from living import CONFIG, make_instance

ORDER = Order(
    job="j", name="a.png", source="/nowhere/a.png", folder="/nowhere", recipe=Recipe(), attempt=1, number=1, shrinks=0
)


def executor_in(folder: Path, extra: str = "") -> LocalExecutor:
    instance = make_instance(folder, CONFIG.replace("[worker]", f"[worker]\n{extra}"))
    return LocalExecutor(instance, read_settings(instance.config))


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    made = executor_in(tmp_path)
    yield made
    made.end()


def poll_until(executor: LocalExecutor, kind: type[Ready] | type[Ended]) -> Ready | Ended:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for report in executor.poll(time.monotonic()):
            if isinstance(report, kind):
                return report
        time.sleep(0.02)
    raise AssertionError("nothing was heard")


def test_a_worker_comes_up_when_a_job_is_ordered_and_is_kept(executor: LocalExecutor) -> None:
    assert executor.handles() == []

    executor.order(ORDER, time.monotonic())
    ready = poll_until(executor, Ready)
    ended = poll_until(executor, Ended)

    assert isinstance(ready, Ready)
    assert isinstance(ended, Ended)
    assert ended.job == "j"
    assert executor.available(time.monotonic())
    assert len(executor.handles()) == 1


def test_a_killed_worker_ends_its_job_as_crashed_and_says_by_what(executor: LocalExecutor) -> None:
    executor.start(time.monotonic())
    ready = poll_until(executor, Ready)
    assert isinstance(ready, Ready)
    executor._job = "j"

    os.kill(ready.pid, signal.SIGKILL)
    ended = poll_until(executor, Ended)

    assert isinstance(ended, Ended)
    assert (ended.kind, ended.job) == ("crashed", "j")
    assert "SIGKILL" in ended.reason


def test_a_stopped_worker_gives_no_sign_of_life_and_is_replaced(tmp_path: Path) -> None:
    executor = executor_in(tmp_path, "heartbeat_seconds = 2.0")
    executor.start(time.monotonic())
    ready = poll_until(executor, Ready)
    assert isinstance(ready, Ready)
    executor._job = "j"

    os.kill(ready.pid, signal.SIGSTOP)
    ended = poll_until(executor, Ended)

    assert isinstance(ended, Ended)
    assert ended.kind == "stalled"
    assert "no sign of life" in ended.reason
    assert not Path(f"/proc/{ready.pid}").exists()


def test_a_worker_that_cannot_start_is_tried_again_later_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "cv2.py").write_text("raise RuntimeError('this OpenCV is broken')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    executor = executor_in(tmp_path / "instance")

    executor.order(ORDER, time.monotonic())
    ended = poll_until(executor, Ended)

    assert isinstance(ended, Ended)
    assert ended.kind == "crashed"
    assert "this OpenCV is broken" in ended.reason
    assert not executor.available(time.monotonic())
    assert executor.available(time.monotonic() + 2)


def test_a_worker_that_hangs_before_it_is_ready_is_replaced_although_its_heart_beats(tmp_path: Path) -> None:
    executor = executor_in(tmp_path, "start_seconds = 4.0")
    (tmp_path / "plugins" / "hangs.py").write_text("import time\ntime.sleep(3600)")

    executor.order(ORDER, time.monotonic())
    ended = poll_until(executor, Ended)

    assert isinstance(ended, Ended)
    assert ended.kind == "stalled"
    assert "not ready within 4 s" in ended.reason


def test_an_idle_worker_is_let_go(tmp_path: Path) -> None:
    executor = executor_in(tmp_path, "idle_unload_seconds = 0.0")
    executor.start(time.monotonic())
    ready = poll_until(executor, Ready)
    assert isinstance(ready, Ready)

    executor.poll(time.monotonic() + 1)

    assert executor.handles() == []
    assert not Path(f"/proc/{ready.pid}").exists()
