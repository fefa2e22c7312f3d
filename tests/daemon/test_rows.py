from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from framedaemon.breaker import LONGEST_WAIT_SECONDS
from framedaemon.ledger import Ledger
from framedaemon.rows import ENDED, STRIKES, DropRow, read_drop, read_job


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one drop, whose name is not UTF-8, and its job."""
    path = tmp_path / "ledger.sqlite3"
    with closing(Ledger(path)) as ledger:
        ledger.claiming([("d", os.fsdecode(b"caf\xe9.png"), None, None)], 1.0)
        ledger.add_job("d", 1, "{}", "cafe", 0, 1.0)
    return path


def _row(path: Path, query: str) -> sqlite3.Row:
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        row: sqlite3.Row = db.execute(query).fetchone()
        return row


def test_names_come_back_byte_for_byte(path: Path) -> None:
    drop = read_drop(_row(path, "SELECT * FROM drops"))
    job = read_job(_row(path, "SELECT jobs.*, drops.name AS name FROM jobs JOIN drops ON drops.id = drop_id"))

    assert os.fsencode(drop.name) == os.fsencode(job.name) == b"caf\xe9.png"
    assert (drop.sidecar, drop.rests) == (None, None)


def test_what_belongs_to_a_drop_is_known_by_how_its_names_go_on() -> None:
    both = DropRow("d", "pets/cat.png", "cat.png.toml", "closed", None, 0, 1.0, "cat.last.jpg")
    last = DropRow("d", "pets/cat.png", None, "closed", None, 0, 1.0, "cat.last.jpg")

    assert (both.beside, both.sides) == (("cat.png.toml", "cat.last.jpg"), (".png.toml", ".last.jpg"))
    assert (both.own_sides, last.own_sides) == (both.sides, (".last.jpg", ".toml"))


@pytest.mark.parametrize(
    ("not_before", "due"), [(0.0, True), (10.0, True), (10.1, False), (3610.0, False), (3610.1, True)]
)
def test_a_wait_is_over_in_time_and_when_it_is_longer_than_any(path: Path, not_before: float, due: bool) -> None:
    with closing(Ledger(path)) as ledger:
        ledger.wait("d-1", "no room", not_before)
        (job,) = ledger.jobs()

    assert LONGEST_WAIT_SECONDS == 3600.0
    assert job.due(10.0) is due


def test_only_failures_count_and_ends_are_for_good() -> None:
    assert {"failed", "crashed", "stalled"} == STRIKES
    assert {"queued", "waiting", "running", "publishing"}.isdisjoint(ENDED)
