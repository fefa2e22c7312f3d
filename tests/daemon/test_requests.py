from __future__ import annotations

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.instance import Instance, create
from framedaemon.requests import (
    Pause,
    Request,
    ask_to_cancel,
    ask_to_prefer,
    ask_to_try,
    daemon_pid,
    pause,
    read_pause,
    resume,
    take_requests,
)
from framedaemon.status import Status, write_status


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance(tmp_path)
    create(instance)
    return instance


@pytest.fixture
def running(instance: Instance) -> Iterator[int]:
    """This very process holds the instance's lock, as its daemon would; its number."""
    with instance.lock.open("w+") as file:
        file.write(str(os.getpid()))
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        yield os.getpid()


def test_a_request_waits_for_a_daemon_and_is_given_once(instance: Instance) -> None:
    told = ask_to_cancel(instance, "20261122T124530-9f3a1c77-1")

    assert not told
    assert list(take_requests(instance)) == [Request("20261122T124530-9f3a1c77-1")]
    assert list(take_requests(instance)) == []


def test_a_request_that_is_not_carried_out_is_given_again(instance: Instance) -> None:
    """The ledger may be on a disk that is full just now, and who asked was told that it would be done."""
    ask_to_cancel(instance, "a-1")
    taken = take_requests(instance)
    next(taken)
    taken.close()

    assert list(take_requests(instance)) == [Request("a-1")]


def test_a_daemon_is_woken_by_a_pause_and_by_its_end(instance: Instance, running: int) -> None:
    woken: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: woken.append(number))

    told = pause(instance, now=True, wall=1.0), resume(instance)
    signal.signal(signal.SIGUSR1, before)

    assert told == (True, True)
    assert woken == [signal.SIGUSR1] * 2


def test_asking_twice_is_as_good_as_once(instance: Instance) -> None:
    ask_to_cancel(instance, "a-1")
    ask_to_cancel(instance, "a-1")

    assert list(take_requests(instance)) == [Request("a-1")]


def test_one_may_ask_that_all_that_waits_be_tried(instance: Instance) -> None:
    ask_to_cancel(instance, "a-1")

    assert not ask_to_try(instance)

    assert list(take_requests(instance)) == [Request("a-1"), Request(None)]


def test_one_may_ask_that_a_job_be_preferred_or_put_behind(instance: Instance) -> None:
    ask_to_prefer(instance, "a-1", 10)
    ask_to_prefer(instance, "b-1", -100)

    assert list(take_requests(instance)) == [Request("a-1", 10), Request("b-1", -100)]


def test_a_pause_lasts_until_it_is_taken_back(instance: Instance) -> None:
    assert read_pause(instance) is None

    assert not pause(instance, now=False, wall=10.0)
    pauses = [read_pause(instance), read_pause(instance)]
    resume(instance)

    assert pauses == [Pause(10.0, now=False)] * 2
    assert read_pause(instance) is None


def test_a_pause_may_become_one_that_halts_and_no_less(instance: Instance) -> None:
    pause(instance, now=False, wall=10.0)
    pause(instance, now=True, wall=20.0)
    pause(instance, now=False, wall=30.0)

    assert read_pause(instance) == Pause(10.0, now=True)


def test_a_pause_that_cannot_be_read_is_one_all_the_same(instance: Instance) -> None:
    instance.paused.write_text("half of it")

    assert read_pause(instance) == Pause(0.0, now=False)


def test_to_resume_what_is_not_paused_is_no_mistake(instance: Instance) -> None:
    assert not resume(instance)


def test_without_requests_there_are_none(instance: Instance) -> None:
    assert list(take_requests(instance)) == []


@pytest.mark.parametrize(
    "name",
    ["cancel", "cancel ", "cancel a b", "cancel .._x", "dance a-1", "try a-1", "cancel " + "a" * 65, "cancel a\n"],
)
def test_what_is_no_request_is_taken_away_and_not_heeded(instance: Instance, name: str) -> None:
    ask_to_cancel(instance, "a-1")
    (instance.tmp / "requests" / name).touch()

    assert list(take_requests(instance)) == [Request("a-1")]
    assert list((instance.tmp / "requests").iterdir()) == []


def test_a_folder_among_the_requests_stops_nobody(instance: Instance) -> None:
    ask_to_cancel(instance, "b-1")
    (instance.tmp / "requests" / "a folder").mkdir()

    assert list(take_requests(instance)) == [Request("b-1")]


def test_a_running_daemon_is_woken(instance: Instance, running: int) -> None:
    woken: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: woken.append(number))
    try:
        told = ask_to_cancel(instance, "a-1")
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert told
    assert woken == [signal.SIGUSR1]


def test_the_daemon_is_who_holds_the_lock(instance: Instance, running: int) -> None:
    assert daemon_pid(instance) == running


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_who_may_not_read_the_lock_hears_of_the_daemon_all_the_same() -> None:
    code = "; ".join(
        [
            "import os, sys; from pathlib import Path; from framedaemon.instance import Instance",
            "from framedaemon.requests import daemon_pid; here = Instance(Path(sys.argv[1]))",
            "daemon_pid(here)",  # what Python imports late must still be readable
            "os.setuid(65534); print(daemon_pid(here))",
        ]
    )

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        instance = Instance(Path(folder))
        create(instance)
        with instance.lock.open("w") as lock:
            lock.write("1")
            instance.lock.chmod(0o600)
            write_status(instance.status, Status(1, 0.0, False, None))
            said = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)

    assert (said.stdout, said.stderr) == ("1\n", "")


def test_a_lock_that_nobody_holds_is_of_a_daemon_that_is_gone(instance: Instance) -> None:
    instance.lock.write_text(str(os.getpid()))

    assert daemon_pid(instance) is None


def test_looking_for_the_daemon_leaves_the_lock_free(instance: Instance) -> None:
    instance.lock.touch()
    daemon_pid(instance)

    with instance.lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_instance_that_never_ran_has_no_daemon(instance: Instance) -> None:
    assert daemon_pid(instance) is None


def test_a_daemon_that_has_not_said_its_number_yet_is_not_known(instance: Instance) -> None:
    with instance.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        assert daemon_pid(instance) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose requests these are")
def test_what_root_asks_for_the_daemons_user_can_read_and_remove(instance: Instance) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(instance.tmp, nobody.pw_uid, nobody.pw_gid)
    before = os.umask(0o077)

    try:
        pause(instance, now=True, wall=5.0)
        ask_to_try(instance)
    finally:
        os.umask(before)

    left = [(path.stat().st_uid, path.stat().st_mode & 0o777) for path in (instance.paused, instance.tmp / "requests")]
    assert left == [(nobody.pw_uid, 0o644), (nobody.pw_uid, 0o755)]
    assert read_pause(instance) == Pause(5.0, True)


def test_a_pause_is_not_written_through_a_link(instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    instance.paused.with_suffix(".part").symlink_to(tmp_path / "precious")

    pause(instance, now=False, wall=5.0)

    assert (tmp_path / "precious").read_text() == "kept"
    assert read_pause(instance) == Pause(5.0, False)
