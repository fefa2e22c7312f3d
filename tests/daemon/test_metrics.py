from __future__ import annotations

import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from commands import wait_until
from framedaemon.audience import MetricsSettings
from framedaemon.events import WorkerReady
from framedaemon.instance import Instance, create
from framedaemon.metrics import Metrics
from framedaemon.settings import Settings

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")

ANY = Settings(metrics=MetricsSettings(listen="127.0.0.1:0"))


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    instance = Instance(tmp_path)
    create(instance)
    metrics = Metrics(instance)
    yield metrics
    metrics.close()


def _ask(metrics: Metrics) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_without_an_address_or_a_file_nothing_is_served(metrics: Metrics) -> None:
    metrics.equip(Settings())
    metrics.happened(WorkerReady(1, "cpu"))

    assert metrics.port is None


def test_whoever_asks_gets_the_numbers(metrics: Metrics) -> None:
    metrics.equip(ANY)
    metrics.happened(WorkerReady(1, "cpu"))

    text = _ask(metrics)

    assert "framedaemon_worker_starts_total 1.0" in text
    assert "# HELP framedaemon_frames_total Frames of published videos." in text
    assert "process_cpu_seconds_total" in text
    assert "framedaemon_worker_starts_created" in text


def test_new_settings_keep_what_was_counted_and_who_listens(metrics: Metrics) -> None:
    metrics.equip(ANY)
    port = metrics.port
    metrics.happened(WorkerReady(1, "cpu"))

    metrics.equip(ANY.model_copy())
    same = metrics.port
    metrics.equip(Settings(metrics=MetricsSettings(listen="[::1]:0")))

    assert same == port
    assert metrics.port != port


def test_a_port_that_is_taken_costs_one_line_and_is_tried_again(metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(metrics=MetricsSettings(listen=f"127.0.0.1:{port}"))
        with capture_logs() as lines:
            metrics.equip(settings)

    metrics.equip(settings)

    assert [line["event"] for line in lines] == ["metrics_off"]
    assert f"127.0.0.1:{port}: Address already in use; end what is there" in lines[0]["reason"]
    assert "framedaemon_frames_total" in _ask(metrics)


def test_whoever_opens_ever_more_connections_is_let_go_and_does_not_use_up_the_file_handles(metrics: Metrics) -> None:
    metrics.equip(ANY)
    address = ("127.0.0.1", metrics.port or 0)
    held = [socket.create_connection(address, 60) for _ in range(16)]

    with socket.create_connection(address, 60) as too_many:
        assert too_many.recv(1) == b""

    for connection in held:
        connection.close()
    wait_until(lambda: _answers(metrics), "an answer")


def test_a_library_that_is_missing_is_named(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with capture_logs() as lines:
        metrics.equip(ANY)
        metrics.happened(WorkerReady(1, "cpu"))

    assert "pip install 'framedaemon[metrics]'" in lines[0]["reason"]


def test_an_address_that_others_reach_is_warned_of(metrics: Metrics) -> None:
    with capture_logs() as lines:
        metrics.equip(Settings(metrics=MetricsSettings(listen="0.0.0.0:0")))

    assert lines[-1]["event"] == "metrics_public"


def test_the_file_is_replaced_whole_again_and_again_and_in_the_end(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "framedaemon.prom"
    metrics.equip(Settings(metrics=MetricsSettings(textfile="framedaemon.prom", textfile_seconds=3600.0)))
    wait_until(path.exists, "the file")

    metrics.happened(WorkerReady(1, "cpu"))
    metrics.close()

    assert "framedaemon_worker_starts_total 1.0" in path.read_text()
    assert [*tmp_path.glob("*.part")] == []


def test_a_file_that_cannot_be_written_costs_one_line(metrics: Metrics) -> None:
    with capture_logs() as lines:
        metrics.equip(Settings(metrics=MetricsSettings(textfile="/nowhere/x.prom", textfile_seconds=3600.0)))
        metrics.close()

    assert [line["event"] for line in lines] == ["metrics_file_unwritten"]
    assert lines[0]["reason"] == "No such file or directory"


def _answers(metrics: Metrics) -> bool:
    with suppress(OSError):  # it lets us go
        return "framedaemon_frames_total" in _ask(metrics)
    return False
