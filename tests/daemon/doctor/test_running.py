"""Daemons that run, one too many of them, and what systemd says of units."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import wait_until
from framedaemon.doctor.finding import Finding
from framedaemon.doctor.patient import admit
from framedaemon.doctor.running import _names as names
from framedaemon.doctor.running import examine_running, judge_unit, parse_units
from framedaemon.instance import Instance
from framedaemon.loop import lock
from framedaemon.requests import daemon_pid
from framedaemon.status import Status, write_status
from living import make_instance

HOLDS = """
import sys, time; from pathlib import Path; from framedaemon.instance import Instance; from framedaemon.loop import lock
with lock(Instance(Path(sys.argv[1]))): time.sleep(600)
"""
ACTIVE = {"Id": "framedaemon.service", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}


@contextmanager
def held(instance: Instance) -> Iterator[int]:
    """Another process holds the instance, as its daemon does."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, instance.root])
    try:
        wait_until(lambda: daemon_pid(instance) == process.pid, "the lock")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def found(instance: Instance, name: str) -> list[Finding]:
    return [one for one in examine_running(admit(instance, time.time())) if one.name == name]


def test_no_daemon_is_no_fault(tmp_path: Path) -> None:
    (one,) = found(make_instance(tmp_path), "daemon")

    assert (one.state, one.said) == ("ok", "no daemon runs")


def test_another_daemon_at_the_same_input_is_an_error(tmp_path: Path) -> None:
    one, other = make_instance(tmp_path / "one"), make_instance(tmp_path / "other")
    other.input.rename(tmp_path / "away")
    other.input.symlink_to(one.input)

    with held(other) as pid:
        (twice,) = found(one, "twice")
        alone = found(other, "twice")

    assert twice.state == "error"
    assert twice.said == f"another daemon (process {pid}, of {other.root}) takes pictures from the same input/"
    assert twice.mend.startswith(f"kill {pid}")
    assert alone == []


def test_a_daemon_that_says_nothing_any_more_is_an_error_and_what_it_said_last_too(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)

    with lock(instance):
        write_status(instance.status, Status(os.getpid(), time.time() - 600, False, None, ("input/ cannot be read",)))
        said = [(one.state, one.said) for one in found(instance, "daemon")]

    assert said == [
        ("error", f"a daemon runs, process {os.getpid()}, and has said nothing for 10 min"),
        ("error", "input/ cannot be read"),
    ]


@pytest.mark.parametrize(
    ("unit", "pid", "name", "state", "said"),
    [
        ({"MainPID": "7"}, 7, "service", "ok", "framedaemon.service runs"),
        ({"MainPID": "7", "NRestarts": "3"}, 7, "service", "warning", "had to be started again 3 times"),
        ({"MainPID": "0", "ActiveState": "failed", "Result": "watchdog"}, None, "service", "error", "failed (watchdog"),
        ({"MainPID": "0", "ActiveState": "activating"}, 9, "service", "error", "process 9 holds this instance"),
        ({"MainPID": "0", "ActiveState": "inactive"}, None, "service", "warning", "does not run (inactive"),
        ({"MainPID": "7", "UnitFileState": "disabled"}, 7, "boot", "warning", "does not start with the machine"),
    ],
)
def test_what_a_unit_is_up_to_is_said(unit: dict[str, str], pid: int | None, name: str, state: str, said: str) -> None:
    one = next(one for one in judge_unit("--system", ACTIVE | unit, pid, True) if one.name == name)

    assert (one.state, said in one.said) == (state, True)


def test_a_users_service_that_ends_with_the_session_is_a_warning() -> None:
    (_, boot) = judge_unit("--user", ACTIVE | {"MainPID": "7"}, 7, lingers=False)

    assert (boot.name, boot.state) == ("boot", "warning")
    assert boot.mend.startswith("sudo loginctl enable-linger ")


def test_a_unit_with_another_python_is_a_warning() -> None:
    start = "{ path=/opt/old/bin/framedaemon ; argv[]=/opt/old/bin/framedaemon run ; }"

    python = [*judge_unit("--system", ACTIVE | {"MainPID": "7", "ExecStart": start}, 7, True)][-1]

    assert (python.name, python.state) == ("python", "warning")


def test_a_unit_is_known_by_the_instance_that_it_names(tmp_path: Path) -> None:
    root = tmp_path / "my videos"
    root.mkdir()
    ours = {"Environment": f'OTHER=1 "FRAMEDAEMON_INSTANCE={root}"', "ExecStart": "{ path=/usr/bin/python ; }"}

    assert names(ours, root)
    assert names({"ExecStart": f"{{ argv[]=framedaemon run --instance '{root}' ; }}"}, root)
    assert not names(ours, tmp_path)


def test_units_that_are_not_there_are_none() -> None:
    said = "Id=framedaemon.service\nLoadState=not-found\n\nId=framedaemon@a.service\nLoadState=loaded\nExecStart=a=b\n"

    assert parse_units(said) == [{"Id": "framedaemon@a.service", "LoadState": "loaded", "ExecStart": "a=b"}]
