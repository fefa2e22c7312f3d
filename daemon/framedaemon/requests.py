"""What the command line asks of a running daemon: a small file in tmp/requests/, and a signal to look.

Only who may write to the instance may ask, and what is asked is not lost when the daemon is not there.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from framedaemon.instance import Instance

_JOB_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def ask_to_cancel(instance: Instance, job_id: str) -> bool:
    """Leave the request; returns whether a daemon is running that will see to it at once."""
    folder = _folder(instance)
    folder.mkdir(exist_ok=True)
    (folder / f"cancel {job_id}").touch()
    pid = daemon_pid(instance)
    if pid is not None:
        with suppress(ProcessLookupError, PermissionError):  # another user's looks by itself before long
            os.kill(pid, signal.SIGUSR1)
    return pid is not None


def take_cancellations(instance: Instance) -> Iterator[str]:
    """The jobs that are to be cancelled; each is given once."""
    folder = _folder(instance)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(OSError):  # it may be another user's; a job is cancelled once, however often it is asked for
            path.unlink()
        word, _, job_id = path.name.partition(" ")
        if word == "cancel" and _JOB_ID.fullmatch(job_id):
            yield job_id


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
