from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.ledger import JobState, Ledger
from framedaemon.notice import News
from framedaemon.told import DAY_SECONDS, Told, ended_since, forget_others


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


def _end(ledger: Ledger, id: str, at: float, state: JobState = "done") -> None:
    ledger.claiming([(id, f"{id}.jpg", None, None)], 1.0)
    ledger.add_job(id, 1, "{}", id, 0, 1.0)
    ledger.publishing(f"{id}-1", f"{id}.mp4")
    ledger.finish(f"{id}-1", state, "it broke" if state != "done" else "", at)


def _told(tmp_path: Path, now: float = 100.0) -> Told:
    return Told(tmp_path / "notices", "webhook https://x/", now)


def _since(tmp_path: Path, told: Told, now: float = 1000.0) -> tuple[list[str], int]:
    news, too_old = ended_since(tmp_path / "ledger.sqlite3", told, now)
    return [one.title for one in news], too_old


def test_what_ended_before_a_target_was_known_is_not_told(tmp_path: Path, ledger: Ledger) -> None:
    _end(ledger, "old", 99.0)
    _end(ledger, "new", 101.0)

    assert _since(tmp_path, _told(tmp_path)) == (["Done: new.mp4"], 0)


def test_what_was_told_is_remembered_by_the_next_daemon(tmp_path: Path, ledger: Ledger) -> None:
    _end(ledger, "a", 200.0)
    _end(ledger, "b", 200.0)
    _end(ledger, "c", 300.0, "failed")
    told = _told(tmp_path)

    told.note([News("done", "", "", 200.0, "a-1")])

    assert _since(tmp_path, _told(tmp_path, now=900.0)) == (["Done: b.mp4", "Failed: c.jpg"], 0)
    told.note([News("done", "", "", 200.0, "b-1"), News("failed", "", "", 300.0, "c-1")])
    assert _since(tmp_path, _told(tmp_path, now=900.0)) == ([], 0)


def test_news_of_other_things_move_nothing(tmp_path: Path, ledger: Ledger) -> None:
    told = _told(tmp_path)

    told.note([News("breaker", "", "", 500.0), News("waiting", "", "", 500.0, "a-1")])

    assert _told(tmp_path).until == 100.0


def test_what_is_older_than_a_day_is_only_counted(tmp_path: Path, ledger: Ledger) -> None:
    _end(ledger, "a", 200.0)
    _end(ledger, "b", 300.0)

    assert _since(tmp_path, _told(tmp_path), now=250.0 + DAY_SECONDS) == (["Done: b.mp4"], 1)


def test_what_was_cancelled_by_hand_is_not_told(tmp_path: Path, ledger: Ledger) -> None:
    _end(ledger, "a", 200.0, "cancelled")
    _end(ledger, "b", 200.0, "quarantined")

    assert _since(tmp_path, _told(tmp_path)) == (["Failed: b.jpg"], 0)


def test_a_daemon_without_a_ledger_has_nothing_to_tell(tmp_path: Path) -> None:
    assert _since(tmp_path, _told(tmp_path)) == ([], 0)


def test_what_somebody_spoilt_begins_anew(tmp_path: Path, ledger: Ledger) -> None:
    _end(ledger, "a", 200.0)
    _told(tmp_path).path.write_text('{"until": "yesterday"}')

    assert _since(tmp_path, _told(tmp_path, now=300.0)) == ([], 0)


def test_addresses_stand_in_no_name_and_targets_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    ours = _told(tmp_path)
    gone = Told(tmp_path / "notices", "webhook https://y/", 100.0)

    forget_others(tmp_path / "notices", [ours.path])

    assert (ours.path.exists(), gone.path.exists()) == (True, False)
    assert "https" not in str(list((tmp_path / "notices").iterdir()))
    assert stat.S_IMODE((tmp_path / "notices").stat().st_mode) == 0o700
