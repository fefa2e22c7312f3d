"""Limits that are used up for real, and clocks that cannot be right."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.doctor.machine import (
    Inotify,
    examine_clock,
    examine_limits,
    judge_clock,
    judge_inotify,
    judge_memory,
    look_at_inotify,
)
from framedaemon.doctor.patient import admit
from framedaemon.ledger import Ledger
from living import make_instance

MIB = 2**20
NOW = 1_800_000_000.0


@pytest.fixture
def exhausted() -> Iterator[None]:
    """Every inotify instance of this user is taken."""
    libc, taken = ctypes.CDLL(None), list[int]()
    while (handle := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
        taken.append(handle)
    yield
    [os.close(handle) for handle in taken]


def test_used_up_inotify_instances_are_a_warning_with_the_command_that_allows_more(
    exhausted: None, tmp_path: Path
) -> None:
    found = [*examine_limits(admit(make_instance(tmp_path), NOW))]

    one = next(one for one in found if one.name == "inotify")
    assert one.state == "warning"
    assert "inotify instances of this user are taken: what comes into input/ is found every 1 s only" in one.said
    assert one.mend.startswith("sudo sysctl fs.inotify.max_user_instances=")


def test_what_is_watched_is_counted() -> None:
    libc = ctypes.CDLL(None)
    handle = libc.inotify_init1(os.O_CLOEXEC)
    before = look_at_inotify()

    libc.inotify_add_watch(handle, b"/", 0x100)
    after = look_at_inotify()
    os.close(handle)

    assert after.watches_used - before.watches_used == 1
    assert after.instances_used >= 1
    assert after.opens


def test_an_input_with_more_folders_than_watches_is_a_warning() -> None:
    one = judge_inotify(Inotify(8192, 8000, 128, 3, True), 500, 30.0)

    assert one.state == "warning"
    assert one.mend.startswith("sudo sysctl fs.inotify.max_user_watches=32768 ")


@pytest.mark.parametrize(("free", "state"), [(400 * MIB, "error"), (1000 * MIB, "warning"), (3000 * MIB, "ok")])
def test_little_memory_is_said(free: int, state: str) -> None:
    assert judge_memory(4000 * MIB, free, 0).state == state


def test_a_clock_behind_the_ledger_is_an_error(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    ledger = Ledger(instance.ledger)
    ledger.claiming([("id", "cat.png", None, None)], NOW)
    ledger.add_job("id", 1, "{}", "cat", 0, NOW)

    (behind,) = examine_clock(admit(instance, NOW - 86_400), ledger)
    (right,) = examine_clock(admit(instance, NOW), ledger)
    ledger.close()

    assert (behind.state, "the clock is behind, or was ahead" in behind.said) == ("error", True)
    assert behind.mend.startswith("sudo timedatectl set-ntp true")
    assert right.state != "error"


@pytest.mark.parametrize("year", [1970, 2016, 2107])
def test_a_year_that_cannot_be_is_an_error(year: int) -> None:
    one = judge_clock(time.mktime((year, 6, 1, 12, 0, 0, 0, 0, 0)), 0.0, True)

    assert (one.state, "that cannot be" in one.said) == ("error", True)


@pytest.mark.parametrize(("kept_right", "state"), [(True, "ok"), (False, "warning"), (None, "ok")])
def test_a_clock_that_nothing_keeps_right_is_a_warning(kept_right: bool | None, state: str) -> None:
    assert judge_clock(NOW, NOW, kept_right).state == state
