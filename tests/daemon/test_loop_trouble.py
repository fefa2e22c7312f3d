"""What may fail around a pass, for a moment or for good, and neither ends the daemon nor keeps it from ending."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import wait_until
from framedaemon.instance import Instance
from framedaemon.loop import _Loop
from framedaemon.observers import Observers
from framedaemon.plugins import new_registry
from framedaemon.service import Service
from framedaemon.settings import read_settings
from framedaemon.signals import Signals
from framedaemon.systemd import Notifier
from handles import no_handle_left
from living import CONFIG, drop, jobs_of, living, make_instance
from manager import Manager

STOPS_AT_ONCE = CONFIG.replace("[worker]", "[worker]\nhalt_seconds = 0") + "[service]\nstop_seconds = 0\n"


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = make_instance(tmp_path, STOPS_AT_ONCE)
    (made.plugins / "stages.py").unlink()  # so no process has to be started that tells it what happens
    return made


@contextmanager
def looping(instance: Instance, notifier: Notifier | None = None) -> Iterator[tuple[_Loop, Service, Signals]]:
    """The daemon's loop, to be driven by hand."""
    with living(instance) as service, Signals() as signals:
        observers = Observers(instance, new_registry())
        yield (
            _Loop(instance, read_settings(instance.config), service, signals, notifier or Notifier(), observers),
            service,
            signals,
        )
        observers.close()


def test_a_daemon_without_a_file_handle_left_sleeps_on(instance: Instance) -> None:
    with looping(instance) as (loop, _, signals):
        with no_handle_left():
            loop._sleep(time.monotonic() + 0.01)
            stopped = signals.stopped_within(0.01)

        assert not stopped


def test_a_ledger_that_cannot_be_read_for_a_moment_ends_no_daemon_that_says_what_it_does(
    instance: Instance, tmp_path: Path
) -> None:
    address = f"@{tmp_path}"
    manager, notifier = Manager(address), Notifier(address)

    with looping(instance, notifier) as (loop, service, _):
        service.holding = True
        service._ledger._db.execute("ALTER TABLE jobs RENAME TO away")
        loop._say()
        before = manager.heard()
        service._ledger._db.execute("ALTER TABLE away RENAME TO jobs")
        loop._say()

    assert "WATCHDOG=1" in before[0] and ["READY=1"] not in before
    assert ["READY=1"] in manager.heard()
    notifier.close()
    manager.close()


def test_a_daemon_ends_in_time_though_its_ledger_does_not_take_down_what_became_of_the_job(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framedaemon.loop._STOP_MARGIN_SECONDS", 0.2)
    drop(instance, "a.png")

    with looping(instance) as (loop, service, signals):
        loop._tick()
        service._ledger._db.execute("PRAGMA query_only = ON")
        signals.received.append(signal.SIGTERM)
        loop._obey()
        again = loop._halt_in_time()
        at_once = loop._ended(until_empty=False)
        wait_until(lambda: loop._ended(until_empty=False), "the end")
        busy, worker = service.busy, service.executor.pid
        service._ledger._db.execute("PRAGMA query_only = OFF")

    assert again < math.inf and not at_once
    assert busy and worker is None
    (job,) = jobs_of(instance)
    assert (job.state, job.strikes) == ("queued", 0)
