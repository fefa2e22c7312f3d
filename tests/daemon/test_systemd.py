"""What reaches the socket of a service manager, here one of the test's own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.systemd import Notifier, notifier_from
from manager import Manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def notifier(manager: Manager, tmp_path: Path) -> Iterator[Notifier]:
    made = Notifier(str(tmp_path / "notify"), watchdog_seconds=300.0)
    yield made
    made.close()


def test_each_turn_of_a_services_life_is_said(manager: Manager, notifier: Notifier) -> None:
    before = time.monotonic_ns() // 1000

    notifier.ready()
    notifier.reloading()
    notifier.ready()
    notifier.stopping()

    up, reloading, again, stopping = manager.heard()
    assert up == again == ["READY=1"]
    assert stopping == ["STOPPING=1"]
    assert reloading[0] == "RELOADING=1"
    assert before <= int(reloading[1].removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_is_one_short_line_and_said_when_it_changes(manager: Manager, notifier: Notifier) -> None:
    notifier.status("12 of 30 frames")
    notifier.status("12 of 30 frames")
    notifier.status("two\nlines" + "x" * 1000)

    first, second = manager.heard()
    assert first == ["STATUS=12 of 30 frames"]
    assert second[0].startswith("STATUS=two lines") and len(second[0]) < 400


def test_beats_are_told_ten_times_in_an_interval_at_most(manager: Manager, tmp_path: Path) -> None:
    often = Notifier(str(tmp_path / "notify"), watchdog_seconds=300.0)
    often.ready()
    manager.heard()

    often.beat()
    often.beat()
    often.close()

    assert manager.heard() == [["WATCHDOG=1"]]


def test_a_start_and_an_end_that_go_on_are_given_more_time(manager: Manager, tmp_path: Path) -> None:
    unthrottled = Notifier(str(tmp_path / "notify"), watchdog_seconds=1e-5)

    unthrottled.beat()
    unthrottled.ready()
    time.sleep(1e-4)
    unthrottled.beat()
    unthrottled.stopping()
    time.sleep(1e-4)
    unthrottled.beat()
    unthrottled.close()

    starting, _, running, _, ending = manager.heard()
    assert starting == ending == ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=10"]
    assert running == ["WATCHDOG=1"]


def test_a_start_is_given_no_more_time_once_patience_has_ended(manager: Manager, notifier: Notifier) -> None:
    notifier.patient = False

    notifier.beat()

    assert manager.heard() == [["WATCHDOG=1"]]


def test_an_abstract_address_is_understood() -> None:
    address = f"@framedaemon-test-{os.getpid()}"
    manager, notifier = Manager(address), Notifier(address)

    notifier.ready()
    heard = manager.heard()
    notifier.close()
    manager.close()

    assert heard == [["READY=1"]]


def test_what_systemd_left_in_the_environment_is_taken_out_of_it(tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "300000000", "WATCHDOG_PID": str(os.getpid())}

    notifier = notifier_from(environ)
    notifier.close()

    assert environ == {}
    assert notifier.watchdog_seconds == 300.0


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "300000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}],
)
def test_a_watchdog_that_is_not_ours_is_left_alone(environ: dict[str, str]) -> None:
    notifier = notifier_from(environ)

    assert notifier.watchdog_seconds is None
    assert not notifier.listened_to


def test_started_by_hand_nothing_is_said_and_nothing_fails() -> None:
    alone = notifier_from({})

    alone.ready()
    alone.beat()
    alone.status("idle")
    alone.stopping()
    alone.close()

    assert not alone.listened_to


def test_a_manager_that_went_away_does_not_stop_the_service(manager: Manager, notifier: Notifier) -> None:
    manager.close()

    notifier.ready()
    notifier.beat()

    assert notifier.listened_to
