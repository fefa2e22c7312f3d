"""The local executor: clocks, deaths and back-off, with real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from commands import wait_until
from framedaemon.executor import LocalExecutor
from framedaemon.instance import Instance
from framedaemon.messages import Ended, Order, Planned, Ready
from framedaemon.offspring import MARK
from framedaemon.recipe import Recipe
from framedaemon.settings import read_settings
from living import CONFIG, drop, make_instance

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
    end = time.monotonic() + 180
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


def test_settings_that_came_while_a_job_was_at_work_count_for_the_next(executor: LocalExecutor) -> None:
    executor.order(ORDER, time.monotonic())
    before = poll_until(executor, Ready)
    poll_until(executor, Ended)
    executor.settings = executor.settings.model_copy(
        update={"worker": executor.settings.worker.model_copy(update={"nice": 11})}
    )

    executor.order(ORDER, time.monotonic())
    after = poll_until(executor, Ready)

    assert isinstance(before, Ready)
    assert isinstance(after, Ready)
    assert after.pid != before.pid
    assert os.getpriority(os.PRIO_PROCESS, after.pid) >= 11


def test_a_killed_worker_ends_its_job_as_crashed_and_says_by_what(executor: LocalExecutor) -> None:
    executor.start(time.monotonic())
    ready = poll_until(executor, Ready)
    assert isinstance(ready, Ready)
    executor._job = "j"

    os.kill(ready.pid, signal.SIGKILL)
    ended = poll_until(executor, Ended)

    assert isinstance(ended, Ended)
    assert (ended.kind, ended.job, ended.cause, ended.came_up) == ("crashed", "j", "SIGKILL", True)
    assert "SIGKILL" in ended.reason
    assert "memory" not in ended.reason, "nobody knows that"


def test_a_worker_that_died_right_behind_its_plan_takes_no_daemon_with_it(tmp_path: Path) -> None:
    """Both are heard at once: the plan is to be run, and the worker is buried already."""
    executor = executor_in(tmp_path)
    source = drop(Instance(tmp_path), "a.png")
    executor.start(time.monotonic())
    ready = poll_until(executor, Ready)
    assert isinstance(ready, Ready)
    executor.order(ORDER.model_copy(update={"source": str(source), "folder": str(tmp_path)}), time.monotonic())
    wait_until(lambda: _has_said(executor, b'"planned"'), "the plan")

    os.kill(ready.pid, signal.SIGKILL)
    os.waitid(os.P_PID, ready.pid, os.WEXITED | os.WNOWAIT)
    *_, planned, ended = executor.poll(time.monotonic())
    executor.go("j", time.monotonic())

    assert isinstance(planned, Planned)
    assert isinstance(ended, Ended)
    assert executor.available(time.monotonic())


def test_a_worker_comes_up_where_there_is_no_output_folder_and_does_not_make_one(tmp_path: Path) -> None:
    executor = executor_in(tmp_path)
    (tmp_path / "output").rename(tmp_path / "gone")

    executor.start(time.monotonic())
    poll_until(executor, Ready)
    executor.end()

    assert not (tmp_path / "output").exists()


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
    assert (ended.kind, ended.cause, ended.came_up) == ("crashed", "exit code 1", False)
    assert "this OpenCV is broken" in ended.reason
    assert not executor.available(time.monotonic())
    assert executor.available(time.monotonic() + 2)


def test_a_worker_that_cannot_even_be_forked_ends_its_job_and_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python is gone for a moment while a package is replaced; so it is where no process is left for us."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    executor = executor_in(tmp_path / "instance")
    before = len(list(Path("/proc/self/fd").iterdir()))

    now = time.monotonic()
    executor.order(ORDER, now)
    due = executor.next_check()
    ended = poll_until(executor, Ended)

    assert due is not None
    assert due <= now, "nothing will wake us"
    assert isinstance(ended, Ended)
    assert (ended.job, ended.kind, ended.cause, ended.came_up) == ("j", "crashed", "not started", False)
    assert ended.reason == f"the worker could not be started: No such file or directory: {tmp_path}/python"
    assert not executor.available(time.monotonic())
    assert executor.available(time.monotonic() + 2)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    monkeypatch.undo()
    executor.order(ORDER, time.monotonic())
    poll_until(executor, Ready)
    executor.end()


def test_a_worker_that_hangs_in_a_plugin_is_replaced_by_one_without_it_although_its_heart_beats(
    tmp_path: Path,
) -> None:
    executor = executor_in(tmp_path, "start_seconds = 4.0")
    (tmp_path / "plugins" / "hangs.py").write_text("import time\ntime.sleep(3600)")

    executor.order(ORDER, time.monotonic())
    ready = poll_until(executor, Ready)
    executor.end()

    assert isinstance(ready, Ready)
    assert "not ready within 4 s" in ready.broken["hangs"]


def test_a_job_that_does_not_halt_in_time_is_ended_with_its_worker_and_may_go_on(tmp_path: Path) -> None:
    executor = executor_in(tmp_path, "halt_seconds = 0.1")
    executor.start(time.monotonic())
    poll_until(executor, Ready)
    executor._job = "j"  # as one that hangs
    pid = executor.pid

    executor.halt(time.monotonic())
    ended = poll_until(executor, Ended)

    assert isinstance(ended, Ended)
    assert ended.kind == "stopped"
    assert executor.pid is None
    assert pid is not None and not Path(f"/proc/{pid}").exists()


def test_an_idle_worker_is_let_go(tmp_path: Path) -> None:
    executor = executor_in(tmp_path, "idle_unload_seconds = 0.0")
    executor.start(time.monotonic())
    ready = poll_until(executor, Ready)
    assert isinstance(ready, Ready)

    executor.poll(time.monotonic() + 1)

    assert executor.handles() == []
    assert not Path(f"/proc/{ready.pid}").exists()


def test_a_worker_that_an_order_does_not_reach_is_replaced_at_once(executor: LocalExecutor) -> None:
    executor.start(time.monotonic())
    ready = poll_until(executor, Ready)
    assert isinstance(ready, Ready)
    os.kill(ready.pid, signal.SIGSTOP)

    executor.order(ORDER.model_copy(update={"source": "/nowhere/" + "a" * 1_000_000}), time.monotonic())
    ended = poll_until(executor, Ended)

    assert isinstance(ended, Ended)
    assert ended.job == "j"


def test_a_worker_whose_line_a_plugin_closes_is_replaced_at_once_by_one_without_it(tmp_path: Path) -> None:
    executor = executor_in(tmp_path)
    (tmp_path / "plugins" / "closes.py").write_text(
        "import ctypes, os, signal, sys\n"
        "if 'framedaemon.worker' in ' '.join(sys.orig_argv):\n"
        "    ctypes.PyDLL(None).shutdown(int(sys.orig_argv[-1]), 2)  # no other thread gets to see it\n"
        "    os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    executor.order(ORDER, time.monotonic())

    ready = poll_until(executor, Ready)
    executor.end()

    assert isinstance(ready, Ready)
    assert "closed its line" in ready.broken["closes"]


def test_a_worker_of_another_version_that_cannot_be_understood_is_replaced(tmp_path: Path) -> None:
    executor = executor_in(tmp_path)
    speaks = "import os, sys\nif 'framedaemon.worker' in ' '.join(sys.orig_argv):\n"
    (tmp_path / "plugins" / "speaks.py").write_text(
        speaks + '    os.write(int(sys.orig_argv[-1]), b\'{"say": "hello"}\\n\')\n'
    )
    executor.order(ORDER, time.monotonic())

    ready = poll_until(executor, Ready)
    executor.end()

    assert isinstance(ready, Ready)
    assert '{"say": "hello"}' in ready.broken["speaks"]


def test_after_a_run_that_failed_the_next_attempt_comes_to_a_fresh_worker(executor: LocalExecutor) -> None:
    executor.start(time.monotonic())
    poll_until(executor, Ready)
    executor._job = "j"
    executor.go("j", time.monotonic())

    executor._note(Ended(job="j", kind="failed", reason="CUDA error"), time.monotonic())

    assert executor.handles() == []
    assert executor.available(time.monotonic())


def test_a_process_that_left_the_worker_s_session_ends_with_the_worker(tmp_path: Path) -> None:
    executor = executor_in(tmp_path)
    (tmp_path / "plugins" / "leaves.py").write_text(
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "pathlib.Path(__file__).with_suffix('.pid').write_text(str(child.pid))\n"
    )
    executor.start(time.monotonic())
    poll_until(executor, Ready)
    child = int((tmp_path / "plugins" / "leaves.pid").read_text())
    assert Path(f"/proc/{child}").exists()

    executor.end()

    assert _gone_soon(child)


def test_a_worker_of_another_instance_lives_on_when_its_folder_takes_the_place_of_ours(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    other.mkdir()
    executor = executor_in(ours)
    executor.start(time.monotonic())
    mine = poll_until(executor, Ready)
    theirs = subprocess.Popen(["sleep", "600"], env={MARK: str(other), "PATH": os.environ["PATH"]})

    ours.rename(tmp_path / "moved")
    ours.symlink_to(other)
    executor.end()

    assert isinstance(mine, Ready)
    assert not Path(f"/proc/{mine.pid}").exists()
    assert theirs.poll() is None
    theirs.kill()
    theirs.wait()


def _has_said(executor: LocalExecutor, word: bytes) -> bool:
    """Whether ``word`` is among what the worker said and nobody has polled."""
    assert executor._socket is not None
    with suppress(BlockingIOError):
        return word in executor._socket.recv(1 << 16, socket.MSG_PEEK)
    return False


def _gone_soon(pid: int) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
                continue
        return True
    return False
