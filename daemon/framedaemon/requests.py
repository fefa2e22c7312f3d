"""What the command line asks of a running daemon: a small file in tmp/requests/, and a signal to look.

Only who may write to the instance may ask, and what is asked is not lost when the daemon is not there.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framedaemon.instance import Instance

_JOB_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def ask_to_cancel(instance: Instance, job_id: str) -> bool:
    """Leave the request; returns whether a daemon is running that will see to it at once."""
    return _leave(instance, f"cancel {job_id}")


def _leave(instance: Instance, request: str) -> bool:
    folder = _folder(instance)
    folder.mkdir(exist_ok=True)
    (folder / request).touch()
    pid = daemon_pid(instance)
    if pid is not None:
        with suppress(ProcessLookupError, PermissionError):  # another user's looks by itself before long
            os.kill(pid, signal.SIGUSR1)
    return pid is not None


def ask_to_try(instance: Instance) -> bool:
    """Ask that whatever waits be tried at once; returns whether a daemon is running that will see to it."""
    return _leave(instance, "try")


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    job: str | None
    """The job to cancel; None: try whatever waits."""


def take_requests(instance: Instance) -> Iterator[Request]:
    """What was asked for; each is given once."""
    folder = _folder(instance)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(OSError):  # it may be another user's; a job is cancelled once, however often it is asked for
            path.unlink()
        word, _, job_id = path.name.partition(" ")
        if word == "cancel" and _JOB_ID.fullmatch(job_id):
            yield Request(job_id)
        elif path.name == "try":
            yield Request(None)


def daemon_pid(instance: Instance) -> int | None:
    """The process that holds the instance's lock, if one does."""
    import fcntl

    try:
        with instance.lock.open("r", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
    except (OSError, ValueError):
        return None
    return None


def _folder(instance: Instance) -> Path:
    return instance.tmp / "requests"
