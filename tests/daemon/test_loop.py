"""Real daemons: signals, locks, folders that go away, and rest when there is nothing to do."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import av
import pytest

from commands import PATIENT, PROGRAM, SIDECAR, daemon, drawing, wait_until
from framedaemon.errors import FramedaemonError, SettingsError
from framedaemon.inbox import Inbox
from framedaemon.instance import Instance
from framedaemon.intake import Intake
from framedaemon.ledger import Ledger
from framedaemon.loop import _Loop, lock, serve
from framedaemon.observers import Observers
from framedaemon.plugins import new_registry
from framedaemon.requests import ask_to_cancel, daemon_pid
from framedaemon.service import Service
from framedaemon.settings import read_settings
from framedaemon.signals import Signals
from framedaemon.systemd import Notifier
from living import CONFIG, drop, files_below, jobs_of, living, make_instance

RARELY = CONFIG.replace("rescan_seconds = 1.0", "rescan_seconds = 3600.0")


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = make_instance(tmp_path, RARELY)
    (made.plugins / "patient.py").write_text(PATIENT, encoding="utf-8")
    return made


def test_sigterm_ends_an_idle_daemon_at_once(instance: Instance) -> None:
    with daemon(instance) as running:
        assert daemon_pid(instance) == running.process.pid
        running.signal(signal.SIGTERM)

        assert running.wait(60) == 0
        assert running.said("daemon_stopped")
    assert daemon_pid(instance) is None
    assert not instance.status.exists()


def test_sigterm_lets_the_job_at_hand_finish_and_begins_no_other(instance: Instance) -> None:
    drop(instance, "a.png", SIDECAR)
    drop(instance, "b.png", SIDECAR)

    with daemon(instance) as running:
        wait_until(lambda: drawing(instance), "the first job")
        running.signal(signal.SIGTERM)
        running.wait_for("daemon_draining")
        assert running.process.poll() is None
        (instance.tmp / "go").touch()

        assert running.wait() == 0

    assert {job.name: job.state for job in jobs_of(instance)} == {"a.png": "done", "b.png": "queued"}
    assert files_below(instance.output) >= {"a.mp4", "a.json"}


def test_a_daemon_that_drains_sleeps_while_the_job_goes_on(tmp_path: Path) -> None:
    """Its next look at input/ is overdue all the while, and must not keep it awake."""
    instance = make_instance(tmp_path)
    (instance.plugins / "patient.py").write_text(PATIENT, encoding="utf-8")
    drop(instance, "a.png", SIDECAR)

    with daemon(instance) as running:
        wait_until(lambda: drawing(instance), "the job")
        running.signal(signal.SIGTERM)
        running.wait_for("daemon_draining")
        _let_pass(running.process, 1.5)  # longer than rescan_seconds
        before = running.sleeps()
        _let_pass(running.process, 2.0)

        assert running.sleeps() - before < 30, "two status reports and two heartbeats are due"


def test_a_second_sigterm_stops_now_and_the_job_goes_on_at_the_next_start(instance: Instance) -> None:
    drop(instance, "a.png", SIDECAR)
    with daemon(instance) as running:
        wait_until(lambda: drawing(instance), "the job")
        running.signal(signal.SIGTERM)
        running.wait_for("daemon_draining")
        running.signal(signal.SIGTERM)
        assert running.wait(20) == 0
    (stopped,) = jobs_of(instance)
    (instance.tmp / "go").touch()

    serve(instance, until_empty=True)

    (job,) = jobs_of(instance)
    assert (stopped.state, stopped.strikes) == ("queued", 0)
    assert (job.state, job.attempts, job.strikes) == ("done", 2, 1)


def test_a_killed_daemon_leaves_a_lock_that_the_next_one_takes(instance: Instance) -> None:
    drop(instance, "a.png", SIDECAR)
    with daemon(instance) as running:
        wait_until(lambda: drawing(instance), "the job")
        running.signal(signal.SIGKILL)
        running.wait()
    assert int(instance.lock.read_text()) == running.process.pid
    (instance.tmp / "go").touch()

    serve(instance, until_empty=True)

    (job,) = jobs_of(instance)
    assert (job.state, job.attempts) == ("done", 2)
    assert files_below(instance.input) == {"done/a.png", "done/a.toml"}


def test_a_second_daemon_is_refused_and_told_who_runs(instance: Instance) -> None:
    with daemon(instance) as running:
        command = [*PROGRAM, "run", "--instance", str(instance.root)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)

        assert second.returncode == 1
        assert f"process {running.process.pid}" in second.stderr
        assert running.process.poll() is None


def test_settings_are_read_again_on_sighup_unless_they_are_broken(instance: Instance) -> None:
    with daemon(instance) as running:
        instance.config.write_text(RARELY + "[nonsense]\n")
        running.signal(signal.SIGHUP)
        running.wait_for("settings_refused")
        drop(instance, "old.png")
        running.wait_for("job_published")

        instance.config.write_text(RARELY.replace("frames = 3", "frames = 2"))
        running.signal(signal.SIGHUP)
        running.wait_for("settings_reloaded")
        drop(instance, "new.png")
        running.wait_for("job_published", 2)

        assert "nonsense" in str(running.said("settings_refused")[0]["problems"])
    assert (_frames(instance.output / "old.mp4"), _frames(instance.output / "new.mp4")) == (5, 3)


def test_a_daemon_that_holds_leaves_input_and_queue_alone_and_sleeps(instance: Instance) -> None:
    queued = _claim(instance, "queued.png")
    drop(instance, "dropped.png")

    with daemon(instance, "--hold") as running:
        wait_until(instance.status.exists, "the first pass")
        before = running.sleeps()
        _let_pass(running.process, 2.0)

        assert running.sleeps() - before < 20, "a hundred if it spins"
        assert [(job.id, job.state) for job in jobs_of(instance)] == [(queued, "queued")]
        assert (instance.input / "dropped.png").exists()


def test_a_request_wakes_the_daemon(instance: Instance) -> None:
    queued = _claim(instance, "queued.png")

    with daemon(instance, "--hold"):
        assert ask_to_cancel(instance, queued)
        wait_until((instance.failed / "queued.png").exists, "the picture")

    assert jobs_of(instance)[0].state == "cancelled"


def test_an_idle_daemon_sleeps(instance: Instance) -> None:
    with daemon(instance) as running:
        wait_until(instance.status.exists, "the first pass")
        before, cpu = running.sleeps(), _cpu_seconds(running.process.pid)
        _let_pass(running.process, 3.0)

        assert running.sleeps() - before < 20, "a hundred and fifty if it spins"
        assert _cpu_seconds(running.process.pid) - cpu < 0.05


def test_a_signal_before_the_daemon_is_up_does_not_end_it(instance: Instance) -> None:
    """`cancel` sends SIGUSR1 to whoever holds the lock; plugins may take seconds to load behind it."""
    (instance.plugins / "slow.py").write_text("import time\ntime.sleep(1)\n", encoding="utf-8")
    command = [*PROGRAM, "run", "--hold", "--instance", str(instance.root)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: daemon_pid(instance), "the lock")
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == 0
    finally:
        process.kill()


def test_asking_whether_a_daemon_runs_does_not_keep_one_from_starting(instance: Instance) -> None:
    with instance.lock.open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        release = threading.Timer(0.1, fcntl.flock, (asking, fcntl.LOCK_UN))
        release.start()
        with lock(instance):
            held = daemon_pid(instance)
        release.join()

    assert held == os.getpid()


def test_a_lock_that_is_held_names_its_holder(instance: Instance) -> None:
    with lock(instance), pytest.raises(FramedaemonError, match=f"process {os.getpid()}") as caught, lock(instance):
        pass
    assert not isinstance(caught.value, SettingsError), "the other will end: a service is to try again"


def test_an_input_folder_that_vanishes_is_said_once_and_found_again(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    away = tmp_path / "away"

    with daemon(instance) as running:
        instance.input.rename(away)
        running.wait_for("input_unreadable")
        _let_pass(running.process, 2.5)  # two more scans
        away.rename(instance.input)
        drop(instance, "a.png")
        running.wait_for("job_published")

        assert len(running.said("input_unreadable")) == 1
        assert "a mount missing" in running.said("input_unreadable")[0]["problem"]


def test_an_input_folder_that_comes_back_is_looked_through_whatever_the_next_scans_time(instance: Instance) -> None:
    away, picture = instance.root / "away", drop(Instance(instance.root / "elsewhere"), "a.png")

    with daemon(instance) as running:
        instance.input.rename(away)
        running.signal(signal.SIGUSR1)
        running.wait_for("input_unwatched")
        shutil.copy(picture, away)
        away.rename(instance.input)
        running.signal(signal.SIGUSR1)
        running.wait_for("job_published")

    assert files_below(instance.output) >= {"a.mp4"}


def test_an_input_folder_that_lets_go_of_nothing_is_said_once_and_stops_nothing_else(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    locked = drop(instance, "locked/a.png").parent
    locked.chmod(0o555)

    with daemon(instance, plain=True) as running:
        running.wait_for("input_unreadable")
        drop(instance, "b.png")
        running.wait_for("job_published")
        assert (locked / "a.png").exists()
        assert len(running.said("input_unreadable")) == 1
        assert "Permission denied" in running.said("input_unreadable")[0]["problem"]
        locked.chmod(0o755)
        wait_until((instance.done / "locked" / "a.png").exists, "the picture")

    assert files_below(instance.input) == {"done/b.png", "done/locked/a.png"}


def test_a_picture_that_cannot_be_put_away_is_kept_until_it_can(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    instance.done.chmod(0o555)
    drop(instance, "a.png")

    with daemon(instance, plain=True) as running:
        running.wait_for("picture_not_put_away")
        drop(instance, "bad.png").write_text("no picture")
        wait_until((instance.failed / "bad.png").exists, "the next job's end")
        kept = next(job.drop_id for job in jobs_of(instance) if job.name == "a.png")
        assert (instance.jobs / kept / "source" / "a.png").exists()
        instance.done.chmod(0o755)
        wait_until((instance.done / "a.png").exists, "the picture")

        assert len(running.said("picture_not_put_away")) == 1
        assert {job.name: job.state for job in jobs_of(instance)} == {"a.png": "done", "bad.png": "failed"}


def test_a_daemon_without_events_says_so(tmp_path: Path) -> None:
    instance = make_instance(tmp_path, CONFIG.replace("[inbox]", '[inbox]\nwatch = "poll"'))

    with daemon(instance) as running:
        running.wait_for("input_unwatched")

        assert "poll" in running.said("input_unwatched")[0]["reason"]


def test_a_ledger_lost_and_begun_anew_costs_no_picture(instance: Instance) -> None:
    drop(instance, "sub/a.png", SIDECAR)
    with daemon(instance) as running:
        wait_until(lambda: drawing(instance), "the job")
        running.signal(signal.SIGKILL)
        running.wait()
    for file in instance.tmp.glob("ledger*"):
        file.unlink()
    instance.ledger.write_bytes(b"garbled")
    with pytest.raises(SettingsError, match="damaged"):
        serve(instance)
    instance.ledger.unlink()
    (instance.tmp / "go").touch()

    assert serve(instance, until_empty=True).ended == {"done": 1}

    assert files_below(instance.input) == {"done/a.png", "done/a.toml"}
    assert not any(instance.jobs.iterdir())


def test_a_start_waits_for_room_on_the_disk_and_goes_on(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    drop(instance, "a.png")
    tries = iter([OSError(28, "No space left on device"), sqlite3.OperationalError("disk I/O error")])
    recover = Service.recover

    def crowded(service: Service) -> bool:
        for error in tries:
            raise error
        return recover(service)

    monkeypatch.setattr(Service, "recover", crowded)
    monkeypatch.setattr("framedaemon.trouble.free_bytes", lambda folder: 0)
    monkeypatch.setattr("framedaemon.trouble.RETRY_SECONDS", 0.01)

    assert serve(instance, until_empty=True).ended == {"done": 1}

    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["reason"] for line in said if line["event"] == "start_waits"] == ["[Errno 28] No space left on device"]


def test_a_daemon_that_was_told_to_hold_does_not_even_put_right_what_a_crash_left(instance: Instance) -> None:
    job = _claim(instance, "a.png")
    ledger = Ledger(instance.ledger)
    ledger.start(job, 1.0)
    ledger.close()

    with daemon(instance, "--hold") as running:
        wait_until(instance.status.exists, "the first pass")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0

    (held,) = jobs_of(instance)
    assert (held.state, held.strikes) == ("running", 1)


def test_a_job_that_takes_the_daemon_down_each_time_is_quarantined_and_the_others_are_made(instance: Instance) -> None:
    """The machine goes down whenever it runs: as its first two attempts did, so does the last."""
    poison = _claim(instance, "poison.png")
    ledger = Ledger(instance.ledger)
    ledger.start(poison, 1.0)
    ledger.again(poison, "crashed", "the daemon or the machine stopped in the middle of it", 2.0, 2.0)
    ledger.start(poison, 3.0)
    ledger.again(poison, "crashed", "the daemon or the machine stopped in the middle of it", 4.0, 4.0)
    ledger.start(poison, 5.0)
    ledger.close()
    drop(instance, "good.png")

    assert serve(instance, until_empty=True).ended == {"done": 1, "quarantined": 1}

    said = (instance.failed / "poison.error.txt").read_text()
    assert said.count("the daemon or the machine stopped in the middle of it") == 4, "the reason, and three attempts"
    assert (instance.output / "good.mp4").exists()


def test_a_daemon_until_empty_ends_when_the_machine_is_at_fault_and_says_so(tmp_path: Path) -> None:
    instance = make_instance(tmp_path, CONFIG + '[defaults.encode]\nuse = "ffmpeg"\n')
    for name in "abcd":
        drop(instance, f"{name}.png", '[generate]\nuse = "faulty"\nfault = "raise"\n')

    served = serve(instance, until_empty=True)

    assert served.problems == ("jobs of 3 different files in a row failed (RuntimeError) in faulty, blend, ffmpeg",)
    assert {job.state for job in jobs_of(instance)} == {"waiting"}
    assert all(job.strikes == 0 for job in jobs_of(instance))


def test_a_daemon_until_empty_counts_what_ended_meanwhile(instance: Instance) -> None:
    drop(instance, "good.png")
    (instance.input / "bad.png").write_text("no picture")

    assert serve(instance, until_empty=True).ended == {"done": 1, "failed": 1}
    assert serve(instance, until_empty=True).ended == {"done": 0, "failed": 0}


def test_a_ledger_that_cannot_be_written_costs_no_report_of_the_worker(instance: Instance) -> None:
    drop(instance, "a.png", SIDECAR)

    with living(instance) as service, Signals() as signals:
        observers = Observers(instance, new_registry())
        loop = _Loop(instance, read_settings(instance.config), service, signals, Notifier(), observers)
        wait_until(lambda: loop._tick() and drawing(instance), "the job")
        service._ledger._db.execute("PRAGMA query_only = ON")
        (instance.tmp / "go").touch()
        wait_until(lambda: loop._tick() and loop._trouble, "the report")
        with pytest.raises(sqlite3.OperationalError):
            service.tick(0.0)
        service._ledger._db.execute("PRAGMA query_only = OFF")
        wait_until(lambda: loop._tick() and service.idle, "the end")
        observers.close()

    (job,) = jobs_of(instance)
    assert (job.state, job.attempts) == ("done", 1)


def _claim(instance: Instance, name: str) -> str:
    """Drop a picture and take it into the queue; returns its job's id."""
    drop(instance, name)
    settings = read_settings(instance.config)
    ledger = Ledger(instance.ledger)
    Intake(instance, settings, ledger).claim(Inbox(instance.input, settings.inbox).scan(0.0).arrivals, 1.0)
    (job,) = ledger.jobs()
    ledger.close()
    return job.id


def _let_pass(process: subprocess.Popen[bytes], seconds: float) -> None:
    """The time in which a daemon must do next to nothing, and must not end."""
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _frames(video: Path) -> int:
    with av.open(str(video)) as file:
        return sum(1 for _ in file.decode(video=0))


def test_a_stranger_cannot_hold_the_lock(instance: Instance) -> None:
    """Who may read a file may lock it, and would keep every daemon from starting."""
    with lock(instance):
        mode = instance.lock.stat().st_mode

    assert mode & 0o007 == 0
