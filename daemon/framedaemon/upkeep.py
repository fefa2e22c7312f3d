"""What the daemon removes by itself, once a day: what config.toml lets go below retention, and what crashes left.

    tick ─▶ a day has passed? ─▶ leftovers at once ─▶ the rest in a thread: videos are read before their pictures go

The thread has a ledger of its own, to read. It may be cut off at any moment: the next day goes on.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread

from framedaemon.errors import FramedaemonError
from framedaemon.instance import Instance
from framedaemon.ledger import Ledger
from framedaemon.log import get_log
from framedaemon.retention import DAY_SECONDS, Removed, find_leftovers, find_stale, remove
from framedaemon.settings import RetentionSettings
from framedaemon.workspace import write_atomically

# By how much ages may grow from one daily pass to the next: a clock set a year ahead must not empty input/done/.
_LONGEST_STEP_SECONDS = 2 * DAY_SECONDS


class Upkeep:
    """The daily passes over one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._thread: Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a pass is at work."""
        return self._thread is not None and self._thread.is_alive()

    def once_a_day(self, ledger: Ledger, settings: RetentionSettings, now: float) -> None:
        """Begin a pass, once a day however often this is called; ``now`` is wall-clock seconds."""
        if self.busy:
            return  # terabytes on a slow share may take longer than a day
        try:
            believed = _believed_time(self._instance.tmp / "pruned.json", ledger, now)
            if believed is None:
                return
            _tell(remove(self._instance, find_leftovers(self._instance, ledger)))
            thread = Thread(target=self._prune, args=(settings, believed), name="upkeep", daemon=True)
            thread.start()
        except (OSError, RuntimeError) as error:  # the latter where no thread is left for it
            _tell(Removed([], [], [str(error)]))
            return
        self._thread = thread

    def wait(self) -> None:
        """Until the pass that was begun is over."""
        if self._thread is not None:
            self._thread.join()

    def _prune(self, settings: RetentionSettings, believed: float) -> None:
        try:
            with closing(Ledger(self._instance.ledger, read_only=True)) as ledger:
                done = remove(self._instance, find_stale(self._instance, ledger, settings, believed))
        except (OSError, sqlite3.Error, FramedaemonError) as error:
            done = Removed([], [], [str(error)])
        _tell(done)


def _tell(done: Removed) -> None:
    if done.gone:
        counts = {kind: sum(one.kind == kind for one in done.gone) for kind in sorted({one.kind for one in done.gone})}
        size = sum(one.bytes for one in done.gone)
        get_log().info("old_files_removed", **counts, bytes=size, first=done.gone[0].why)
    if done.kept:
        get_log().info("originals_kept", count=len(done.kept), first=done.kept[0].kept)
    if done.problems:
        get_log().warning("old_files_not_removed", count=len(done.problems), first=done.problems[0])


def _believed_time(note: Path, ledger: Ledger, now: float) -> float | None:
    """What time it is, as far as ages go; None when the last pass was less than a day ago.

    It goes at most two days on from one pass to the next, or from the last picture that was put away.
    """
    try:
        said = json.loads(note.read_text(encoding="ascii"))
        passed, believed = float(said["passed"]), float(said["believed"])
    except (OSError, ValueError, KeyError, TypeError):
        passed, believed = float("-inf"), max((ended for _, ended in ledger.put_away()), default=now)
    if 0 <= now - passed < DAY_SECONDS:
        return None
    believed = min(now, believed + _LONGEST_STEP_SECONDS)
    write_atomically(note, json.dumps({"passed": now, "believed": believed}).encode("ascii"))
    return believed
