from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.events import DiskWaited, JobPublished, StageSeconds, WorkerReady
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from framedaemon.series import Series
from framedaemon.settings import Settings
from framedaemon.status import Progress, Status, write_status

prometheus_client = pytest.importorskip(
    "prometheus_client", reason="prometheus_client is not installed: pip install 'framedaemon[metrics]'"
)

DONE = JobPublished("1-1", "cat.jpg", "cat.mp4", 321, 12.0, 1000, (StageSeconds("generate", "camera", 9.0),), 50.0)
NEVER_LABELS = ("cat.jpg", "cat.mp4", "1-1")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path)
    create(made)
    ledger = Ledger(made.ledger)
    ledger.claiming([("1", "cat.jpg", None, None)], time.time() - 60)
    ledger.add_job("1", 1, "{}", "cat", 0, time.time() - 60)
    yield made
    ledger.close()


@pytest.fixture
def series(instance: Instance) -> Series:
    return Series(instance, Settings())


def _say(instance: Instance, paused: str = "", progress: Progress | None = None) -> None:
    own = os.getpid()
    write_status(instance.status, Status(own, time.time() - 5, False, progress, worker=own, paused=paused))


def _value(series: Series, name: str, **labels: str) -> float | None:
    value: float | None = series.registry.get_sample_value(f"framedaemon_{name}", labels)
    return value


def test_what_happens_is_counted(series: Series) -> None:
    for event in (DONE, DONE, WorkerReady(1, "cpu")):
        series.count(event)

    assert (_value(series, "frames_total"), _value(series, "video_bytes_total")) == (642.0, 2000.0)
    assert _value(series, "stage_seconds_sum", kind="generate", stage="camera") == 18.0
    assert _value(series, "job_seconds_bucket", le="30.0") == 2.0
    assert _value(series, "worker_starts_total") == 1.0


def test_room_that_is_waited_for_shows_until_there_is_some(series: Series) -> None:
    series.count(DiskWaited("/srv/tmp", 10, 4000))
    waited = _value(series, "disk_needed_bytes")
    series.count(DONE)

    assert (waited, _value(series, "disk_needed_bytes")) == (4000.0, 0.0)


def test_the_queue_is_read_from_the_ledger(instance: Instance, series: Series) -> None:
    _say(instance)

    assert _value(series, "queue_jobs", waits_for="turn") == 1.0
    assert _value(series, "queue_jobs", waits_for="room") == 0.0
    assert 59.0 < (_value(series, "queue_oldest_seconds") or 0) < 90.0


def test_a_pause_shows_with_its_causes(instance: Instance, series: Series) -> None:
    _say(instance, paused="paused by hand; the card is at 88 °C")

    causes = {cause: _value(series, "paused", cause=cause) for cause in ("hand", "hours", "card")}

    assert causes == {"hand": 1.0, "hours": 0.0, "card": 1.0}


def test_the_job_at_hand_shows_how_far_it_is(instance: Instance, series: Series) -> None:
    now = time.time()
    progress = Progress("1-1", "cat.jpg", 1, now - 30, {"flow": (50, 200)}, begun={"flow": (0, now - 25)})

    _say(instance, progress=progress)

    assert _value(series, "current_progress_ratio") == 0.25
    assert 1.5 < (_value(series, "current_frames_per_second") or 0) <= 2.0
    assert _value(series, "worker_up") == 1.0
    assert 4.0 < (_value(series, "status_age_seconds") or 0) < 30.0


def test_names_of_files_and_jobs_are_in_no_label(instance: Instance, series: Series) -> None:
    _say(instance, progress=Progress("1-1", "cat.jpg", 1, 1.0))
    series.count(DONE)

    text = prometheus_client.generate_latest(series.registry).decode()

    labels = " ".join(re.findall(r"\{(.*?)\}", text))
    assert [word for word in NEVER_LABELS if word in labels] == []


@pytest.mark.parametrize(
    ("spoil", "spoilt"), [("ledger", ("ledger.sqlite3", "ledger.sqlite3-wal")), ("status", ("status.json",))]
)
def test_a_part_that_cannot_be_read_is_left_out_and_the_rest_is_told(
    instance: Instance, series: Series, spoil: str, spoilt: tuple[str, ...]
) -> None:
    _say(instance)
    for name in spoilt:
        (instance.tmp / name).write_bytes(b"nonsense" * 1000)

    parts = {part: _value(series, "scrape_problem", part=part) for part in ("ledger", "status", "machine")}

    assert parts == {part: float(part == spoil) for part in parts}
    assert _value(series, "disk_keep_free_bytes") == 2.0 * 2**30
    assert _value(series, "frames_total") == 0.0


def test_a_ledger_that_somebody_holds_costs_its_part_only(instance: Instance, series: Series) -> None:
    _say(instance)
    holder = sqlite3.connect(instance.ledger, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    assert _value(series, "queue_jobs", waits_for="turn") == 1.0  # as it was: readers of a log wait for nobody
    assert _value(series, "scrape_problem", part="machine") == 0.0
    holder.close()


def test_while_one_look_hangs_others_get_what_is_counted(
    instance: Instance, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, go_on = threading.Event(), threading.Event()

    def disks(*folders: Path) -> tuple[()]:
        hanging.set()
        go_on.wait(30)
        return ()

    monkeypatch.setattr("framedaemon.series.read_disks", disks)
    monkeypatch.setattr("framedaemon.series._PATIENCE_SECONDS", 0.1)
    first = threading.Thread(target=prometheus_client.generate_latest, args=(series.registry,))
    first.start()
    hanging.wait(30)

    text = prometheus_client.generate_latest(series.registry).decode()

    go_on.set()
    first.join()
    assert 'framedaemon_scrape_problem{part="machine"} 1.0' in text
    assert "framedaemon_frames_total 0.0" in text
