"""The stopwatch of the contract tests, beside threads that want the processor too."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from framedaemon.testing.stopwatch import Stopwatch

needs_schedstat = pytest.mark.skipif(
    not Path("/proc/thread-self/schedstat").exists(), reason="the kernel does not tell"
)


@needs_schedstat
def test_it_stands_still_while_another_has_the_processor() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.1)
        began, watch = time.monotonic(), Stopwatch()
        worked = time.thread_time()
        while time.thread_time() - worked < 0.2:
            pass
        seconds, wall = watch.seconds, time.monotonic() - began
    finally:
        rival.kill()
        rival.wait()
        os.sched_setaffinity(0, allowed)

    assert 0.19 < seconds < wall - 0.05


def test_sleeping_counts() -> None:
    watch = Stopwatch()

    time.sleep(0.1)

    assert watch.seconds > 0.09


def test_it_runs_where_the_system_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framedaemon.testing.stopwatch._SCHEDULED", tmp_path / "schedstat")
    watch = Stopwatch()

    time.sleep(0.02)

    assert watch.seconds > 0.01
