"""What it means when the ledger cannot be opened, read or written, and what to do about it.

the disk is full         wait until there is room, and go on
it cannot be written     end, so that whoever started the daemon may try again: exit code 1
it is damaged, or newer  end and say what a person has to do: exit code 2
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from framedaemon.disk import Ballast, free_bytes
from framedaemon.errors import FramedaemonError, SettingsError
from framedaemon.ledger import Ledger
from framedaemon.log import get_log
from framedaemon.naming import show

T = TypeVar("T")

RETRY_SECONDS = 2.0
"""How soon what a full disk did not let through is tried again."""

# sqlite3 names it, and tells it, from Python 3.11 on.
_SQLITE_FULL = 13

# What SQLite maps into memory fails with "disk I/O error" when there is no room for it; it maps 32 kB at a time.
_NO_ROOM_BYTES = 1 << 20


def is_full(error: Exception, folder: Path) -> bool:
    """Whether ``error`` came because there is no room in the filesystem of ``folder``, where the ledger is."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if getattr(error, "sqlite_errorcode", 0) == _SQLITE_FULL:
        return True
    return isinstance(error, sqlite3.OperationalError) and free_bytes(folder) < _NO_ROOM_BYTES


def once_there_is_room(
    work: Callable[[], T], folder: Path, ballast: Ballast, stopped_within: Callable[[float], bool]
) -> T | None:
    """What ``work`` returns; on a full disk the ballast goes, and it is tried until it comes through.

    ``work`` may be called many times, as after a crash. None: ``stopped_within`` so many seconds said to give up.
    Raises what ``work`` does for any other reason.
    """
    said = False
    while True:
        try:
            done = work()
        except (sqlite3.OperationalError, OSError) as error:
            if not is_full(error, folder):
                raise
            given_up = ballast.drop()
            if given_up or not said:
                get_log().error("start_waits", reason=str(error), folder=str(folder), ballast_given_up=given_up)
            said = True
        else:
            if said:
                get_log().info("start_goes_on")
            return done
        if stopped_within(RETRY_SECONDS):
            return None


@contextmanager
def said_plainly(ledger: Path) -> Iterator[None]:
    """Whatever SQLite raises within is said as an error for a person, with what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise FramedaemonError(f"{show(ledger)}: the ledger cannot be used: {error}") from error
        if type(error) is not sqlite3.DatabaseError:
            raise  # a mistake of ours
        raise SettingsError(_damaged(ledger, error)) from error


def _damaged(ledger: Path, error: Exception) -> str:
    name = show(ledger.name)
    return (
        f"{show(ledger)}: the ledger is damaged: {error}\n"
        f"Nothing was deleted. What was taken from input/ stands in {show(ledger.parent / 'jobs')}. To go on:\n"
        f"  1. see that no daemon runs, and that the disk is sound\n"
        f"  2. in {show(ledger.parent)}, put {name} aside under another name, and {name}-wal and {name}-shm with it\n"
        "  3. start the daemon: it begins a new ledger, and puts what stands in jobs/ back into input/"
    )


@contextmanager
def read_ledger(path: Path) -> Iterator[Ledger | None]:
    """The ledger at ``path`` to read, or None when no daemon has ever run there. Raises as `said_plainly` does."""
    if not path.exists():
        yield None
        return
    with said_plainly(path), closing(Ledger(path, read_only=True)) as ledger:
        yield ledger
