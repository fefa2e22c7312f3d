"""Death at any step, in one process: from one system call that changes something on, none is made any more.

What Python still does on the way out, cleaning up in ``finally``, changes nothing then, as nothing of a process that
was killed does. A power cut is more than that: what was not flushed is lost, too; see filesystems.py.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from framedaemon import workspace

_CALLS = ("mkdir", "rmdir", "unlink", "rename", "replace", "link", "symlink", "fsync")


class Death(BaseException):
    """Here the process was killed."""


class Mortal:
    """Counts what changes something, and dies when it is time."""

    def __init__(self) -> None:
        self.left: int | None = None
        """Steps that it has to live; None: it does not die."""
        self.dead = False
        self.acting = False
        """Set it while the daemon acts: what others do in the same process is none of its steps."""

    def step(self) -> None:
        """Before anything changes. Raises Death."""
        if not self.acting:
            return
        if self.left is not None:
            self.left -= 1
            self.dead = self.dead or self.left < 0
        if self.dead:
            raise Death

    def rise(self) -> None:
        """Another process goes on."""
        self.left, self.dead = None, False


@contextmanager
def mortality(mortal: Mortal) -> Iterator[None]:
    """All that this process changes in files and ledgers passes by ``mortal``."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if not sql.lstrip().upper().startswith(("SELECT", "PRAGMA")):
                mortal.step()
            return super().execute(sql, *values)

        def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
            mortal.step()
            return super().executemany(sql, *values)

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*values: Any, **named: Any) -> Any:
            mortal.step()
            return call(*values, **named)

        return stepping

    connect = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        for name in _CALLS:
            patch.setattr(os, name, watched(getattr(os, name)))
        patch.setattr(workspace, "_renameat2", watched(workspace._renameat2))
        patch.setattr(sqlite3, "connect", lambda *values, **named: connect(*values, **named, factory=Connection))
        yield
