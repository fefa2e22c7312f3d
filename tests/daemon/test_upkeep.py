"""What is removed by itself once a day, whatever the clock says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.log import close, set_up
from framedaemon.settings import LogSettings, RetentionSettings
from framedaemon.upkeep import Upkeep
from resting import DAY, MONTH, House, resting


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with resting(tmp_path) as made:
        yield made


def _daily(house: House, days: float, settings: RetentionSettings = MONTH) -> set[str]:
    upkeep = Upkeep(house.instance)
    upkeep.once_a_day(house.ledger, settings, house.now + days * DAY)
    upkeep.wait()
    return house.left


def test_the_daemon_prunes_once_a_day(house: House) -> None:
    house.put_away("done/cat.png")
    passes = [len(_daily(house, day)) for day in range(30)]
    before = _daily(house, 29.5)

    after = _daily(house, 30.01)

    assert passes == [1] * 30
    assert (before, after) == ({"done/cat.png"}, set())


def test_a_pass_that_no_thread_is_left_for_is_made_the_next_day(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put_away("done/cat.png")
    left = [_daily(house, day) for day in range(30)]
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", _no_thread)
        before = _daily(house, 30.1)

    assert left[-1] == before
    assert (before, _daily(house, 31.2)) == ({"done/cat.png"}, set())


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_asking_more_often_than_once_a_day_changes_nothing(house: House) -> None:
    _daily(house, 40)
    house.put_away("done/cat.png", at=house.now)

    assert _daily(house, 40.9) == {"done/cat.png"}


def test_a_clock_set_a_year_ahead_removes_nothing_at_once(house: House) -> None:
    """And nothing that is not a day older for each day that the clock stays wrong."""
    house.put_away("done/cat.png")
    _daily(house, 0)

    for _ in range(100):
        left = _daily(house, 365)  # however often the daemon is started meanwhile
    in_a_week = _daily(house, 365 + 7)
    back = _daily(house, 8)

    assert left == in_a_week == back == {"done/cat.png"}


def test_a_clock_that_was_ahead_at_the_very_first_pass_removes_nothing_at_once(house: House) -> None:
    house.put_away("done/cat.png")

    assert _daily(house, 365) == {"done/cat.png"}


def test_a_clock_that_was_set_back_does_not_end_the_daily_passes(house: House) -> None:
    _daily(house, 365)

    _daily(house, 1)

    assert json.loads((house.instance.tmp / "pruned.json").read_text())["passed"] == house.now + DAY


def test_a_daemon_that_was_away_for_long_catches_up(house: House) -> None:
    house.put_away("done/cat.png")
    _daily(house, 0)

    left = [_daily(house, 100 + day) for day in range(16)]

    assert left[0] == {"done/cat.png"}
    assert left[-1] == set()


@pytest.mark.parametrize("note", ["", "[]", '{"passed": "x"}', '{"passed": 1}', "\udcff"])
def test_a_note_that_cannot_be_read_is_written_anew(house: House, note: str) -> None:
    (house.instance.tmp / "pruned.json").write_text(note, errors="surrogateescape")

    _daily(house, 0)

    assert json.loads((house.instance.tmp / "pruned.json").read_text())["passed"] == house.now


def test_a_pass_that_removed_something_is_one_line_in_the_log(house: House) -> None:
    set_up(LogSettings(), house.instance.logs, None)
    for name in ("cat", "dog"):
        house.put_away(f"done/{name}.png")
    house.put_away("failed/bad.png")

    _daily(house, 1.5, RetentionSettings(done_days=1, failed_days=1))
    _daily(house, 2.6, RetentionSettings(done_days=1, failed_days=1))
    close()

    lines = [json.loads(line) for line in (house.instance.logs / "framedaemon.jsonl").read_text().splitlines()]
    said = [{key: line[key] for key in ("event", "done", "failed", "bytes", "first")} for line in lines]
    why = "put away 1 days ago; done_days is 1"
    assert said == [{"event": "old_files_removed", "done": 2, "failed": 1, "bytes": 30, "first": why}]


def test_what_could_not_be_removed_is_said_and_the_daemon_goes_on(house: House) -> None:
    set_up(LogSettings(), house.instance.logs, None)
    (house.instance.tmp / "pruned.json").mkdir()

    _daily(house, 0)
    close()

    (line,) = [json.loads(line) for line in (house.instance.logs / "framedaemon.jsonl").read_text().splitlines()]
    assert line["event"] == "old_files_not_removed"
