"""What a real daemon tells the service manager that started it, and how it ends when it is told to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import PATIENT, SIDECAR, daemon, drawing, wait_until
from framedaemon.instance import Instance
from living import CONFIG, drop, jobs_of, make_instance
from manager import Manager

STOPS_AT_ONCE = CONFIG.replace("[worker]", "[worker]\nhalt_seconds = 0") + "[service]\nstop_seconds = 0\n"


class Told(Manager):
    """Remembers every line."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.lines: list[str] = []

    def __contains__(self, text: str) -> bool:
        self.lines += [line for datagram in self.heard() for line in datagram]
        return any(text in line for line in self.lines)

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self, f"{text} in {self.lines}")


@pytest.fixture
def told(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    address = str(tmp_path_factory.mktemp("manager") / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    made = Told(address)
    yield made
    made.close()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = make_instance(tmp_path, STOPS_AT_ONCE)
    (made.plugins / "patient.py").write_text(PATIENT, encoding="utf-8")
    return made


def test_a_daemon_is_ready_when_a_worker_has_answered_and_tells_how_far_its_job_is(
    instance: Instance, told: Told
) -> None:
    with daemon(instance) as running:
        told.wait_for("READY=1")
        assert running.said("worker_ready")
        drop(instance, "cat.png", SIDECAR)
        wait_until(lambda: drawing(instance), "the job")
        told.wait_for("cat.png")
        (worker,) = running.said("worker_ready")
        environ = Path(f"/proc/{worker['pid']}/environ").read_bytes()
        oom_score = Path(f"/proc/{worker['pid']}/oom_score_adj").read_text()
        running.signal(signal.SIGTERM)
        code = running.wait()

    starting = told.lines.index("STATUS=starting a worker")
    assert told.lines.index("STATUS=putting right what was left half done") < starting < told.lines.index("READY=1")
    assert "STOPPING=1" in told and "WATCHDOG=1" in told
    assert [line for line in told.lines if line.startswith("STATUS=")][-1] == "STATUS=", "it tells of a job for ever"
    assert b"NOTIFY_SOCKET" not in environ and b"WATCHDOG_USEC" not in environ
    assert int(oom_score) >= 500  # the kernel ends it before the service
    assert code == 0
    (job,) = jobs_of(instance)
    assert (job.state, job.strikes) == ("queued", 0)  # halted when its time was over, to go on at the next start


def test_new_settings_are_said_to_be_in_force_and_a_mistake_in_them_to_be_one(instance: Instance, told: Told) -> None:
    right = instance.config.read_text(encoding="utf-8")

    with daemon(instance, "--hold") as running:
        told.wait_for("READY=1")
        instance.config.write_text("[inbox]\nnonsense = 1\n", encoding="utf-8")
        running.signal(signal.SIGHUP)
        told.wait_for("STATUS=config.toml is refused, the settings before it stay in force")
        said = list(told.lines)
        instance.config.write_text(right, encoding="utf-8")
        running.signal(signal.SIGHUP)
        running.wait_for("settings_reloaded")
        wait_until(lambda: "READY=1" in told and told.lines.count("READY=1") == 3, "readiness")

    reloading = said.index("RELOADING=1")
    assert said[reloading + 1].startswith("MONOTONIC_USEC=")
    assert "READY=1" in said[reloading:]


def test_a_worker_that_does_not_come_up_leaves_the_daemon_unready(instance: Instance, told: Told) -> None:
    (instance.plugins / "deadly.py").write_text("import os, sys\nif '-c' in sys.argv: os._exit(7)\n", encoding="utf-8")

    with daemon(instance) as running:
        told.wait_for("STATUS=starting a worker")
        wait_until(lambda: running.said("worker_failed"), "the reason")

        assert "READY=1" not in told
    assert "exit code 7" in running.said("worker_failed")[0]["reason"]
