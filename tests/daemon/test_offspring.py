"""Whatever came of a worker is found by its mark and ended, wherever it went."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framedaemon.offspring import MARK, end_marked, kill_marked
from handles import no_handle_left

SLEEPS = (sys.executable, "-c", "import time; print(flush=True); time.sleep(600)")


def sleeping(mark: str, *before: str) -> subprocess.Popen[bytes]:
    """A process with ``mark`` that has come up and sleeps."""
    process = subprocess.Popen(
        [*before, *SLEEPS], env=os.environ | {MARK: mark}, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_marked_process_is_ended_though_it_leads_a_session_of_its_own(tmp_path: Path) -> None:
    process = sleeping(str(tmp_path))

    kill_marked(str(tmp_path))

    assert process.wait(60) == -9
    process.communicate()


def test_a_child_of_a_marked_process_is_ended_too(tmp_path: Path) -> None:
    parent = sleeping(str(tmp_path), "sh", "-c", '"$0" "$@" & wait; exec "$0" "$@"')  # it outlives its child

    kill_marked(str(tmp_path))

    said, _ = parent.communicate(timeout=60)  # returns when nobody holds the pipe any more
    assert parent.returncode == -9
    assert said == b""


def test_a_process_of_another_instance_lives_on(tmp_path: Path) -> None:
    other = sleeping(f"{tmp_path}/other")

    kill_marked(str(tmp_path))

    assert other.poll() is None
    other.kill()
    other.communicate()


def test_who_is_held_fast_in_the_kernel_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = sleeping(str(tmp_path))
    monkeypatch.setattr("framedaemon.offspring._END_SECONDS", 0.1)

    with monkeypatch.context() as held:
        held.setattr("os.kill", lambda pid, number: None)
        held.setattr("os.killpg", lambda pid, number: None)
        end_marked(process, str(tmp_path))

    assert process.poll() is None
    end_marked(process, str(tmp_path))
    assert process.communicate()[0] == b""
    assert process.returncode == -9


def test_the_one_who_asks_is_spared(tmp_path: Path) -> None:
    asks = f"from framedaemon.offspring import kill_marked; kill_marked({str(tmp_path)!r}); print('alive')"

    done = subprocess.run(
        [sys.executable, "-c", asks], env=os.environ | {MARK: str(tmp_path)}, capture_output=True, check=True
    )

    assert done.stdout == b"alive\n"


def test_without_a_file_handle_nobody_is_found_and_nothing_is_raised(tmp_path: Path) -> None:
    process = sleeping(str(tmp_path))

    with no_handle_left():
        kill_marked(str(tmp_path))

    assert process.poll() is None
    kill_marked(str(tmp_path))
    assert process.wait(60) == -9
    process.communicate()
