"""Ledgers that are full, read-only, damaged, or of another time."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from framedaemon.disk import Ballast
from framedaemon.errors import FramedaemonError, SettingsError
from framedaemon.ledger import Ledger
from framedaemon.trouble import is_full, once_there_is_room, read_ledger, said_plainly

FULL = OSError(errno.ENOSPC, "No space left on device")


def _fails(*errors: Exception) -> Callable[[], str]:
    """Work that fails with each of ``errors``, then comes through."""
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


def _never(seconds: float) -> bool:
    return False


def _full_sqlite(path: Path) -> sqlite3.OperationalError:
    """What SQLite really raises when there is no room."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    return caught.value


def test_a_full_disk_is_told_by_the_code_and_not_by_the_text(tmp_path: Path) -> None:
    assert is_full(FULL, tmp_path)
    assert is_full(OSError(errno.EDQUOT, "quota"), tmp_path)
    assert not is_full(OSError(errno.EROFS, "disk is full, it says"), tmp_path)
    assert not is_full(sqlite3.OperationalError("disk I/O error"), tmp_path)


def test_whatever_sqlite_says_where_there_is_no_room_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.10 tells no codes, and what is mapped into memory fails with "disk I/O error"."""
    monkeypatch.setattr("framedaemon.trouble.free_bytes", lambda folder: 4096)

    assert is_full(_full_sqlite(tmp_path / "db"), tmp_path)
    assert is_full(sqlite3.OperationalError("disk I/O error"), tmp_path)


def test_what_a_full_disk_does_not_let_through_is_tried_until_it_does(tmp_path: Path) -> None:
    ballast = tmp_path / "ballast"
    ballast.write_bytes(b"x")

    assert once_there_is_room(_fails(FULL, FULL), tmp_path, Ballast(ballast, 1), _never) == "done"

    assert not ballast.exists()


def test_the_ballast_stays_where_the_disk_is_not_full(tmp_path: Path) -> None:
    ballast = tmp_path / "ballast"
    ballast.write_bytes(b"x")

    with pytest.raises(sqlite3.OperationalError):
        once_there_is_room(_fails(sqlite3.OperationalError("readonly")), tmp_path, Ballast(ballast, 1), _never)

    assert ballast.exists()


def test_who_is_told_to_end_does_not_wait_for_room(tmp_path: Path) -> None:
    waited: list[float] = []

    def stopped(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) == 2

    assert once_there_is_room(_fails(*[FULL] * 9), tmp_path, Ballast(tmp_path / "none", 1), stopped) is None
    assert waited == [2.0, 2.0]


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 8000])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_ledger_is_named_with_what_to_do_and_left_alone(
    tmp_path: Path, content: bytes, read_only: bool
) -> None:
    path = tmp_path / "tmp" / "ledger.sqlite3"
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(SettingsError) as caught, said_plainly(path):
        Ledger(path, read_only)

    assert str(caught.value).startswith(f"{path}: the ledger is damaged: ")
    assert str(path.parent / "jobs") in str(caught.value)
    assert path.read_bytes() == content


def test_a_ledger_whose_middle_is_garbled_is_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))

    with pytest.raises(SettingsError, match="damaged"), said_plainly(path), closing(Ledger(path)) as ledger:
        ledger.count()


def test_where_no_daemon_has_run_there_is_none_to_read(tmp_path: Path) -> None:
    with read_ledger(tmp_path / "ledger.sqlite3") as ledger:
        assert ledger is None
    assert list(tmp_path.iterdir()) == [], "looking makes none"


def test_what_is_read_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger(path).close()

    with (
        pytest.raises(FramedaemonError, match="cannot be used: attempt to write a readonly"),
        read_ledger(path) as ledger,
    ):
        assert ledger is not None
        ledger.try_now(0.0)


def test_a_ledger_that_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"

    with (
        pytest.raises(FramedaemonError, match=r"ledger\.sqlite3: the ledger cannot be used: disk I/O error$") as caught,
        said_plainly(path),
    ):
        raise sqlite3.OperationalError("disk I/O error")

    assert not isinstance(caught.value, SettingsError), "another try may succeed"


def test_a_mistake_of_ours_is_none_of_the_ledgers(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError), said_plainly(tmp_path), closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (x UNIQUE)")
        db.execute("INSERT INTO t VALUES (1), (1)")
