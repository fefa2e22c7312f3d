"""What the command line asks of a running daemon: a small file in tmp/requests/, and a signal to look.

Only who may write to the instance may ask, and what is asked is not lost when the daemon is not there. A pause is no
request but a state, tmp/paused: it lasts, whatever starts and ends meanwhile, until the file is removed.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framedaemon.instance import Instance
from framedaemon.status import read_status

_JOB_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_PRIORITY = re.compile(r"-?[0-9]{1,3}")


def ask_to_cancel(instance: Instance, job_id: str) -> bool:
    """Leave the request; returns whether a daemon is running that will see to it at once."""
    return _leave(instance, f"cancel {job_id}")


def _leave(instance: Instance, request: str) -> bool:
    folder = _folder(instance)
    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _hand_over(handle, 0o755, instance)
    finally:
        os.close(handle)
    (folder / request).touch()
    return _wake(instance)


def _hand_over(handle: int, mode: int, instance: Instance) -> None:
    """What root leaves is the daemon's to read and to remove. By its handle: a link in its place is not followed."""
    if os.geteuid() == 0:
        daemon = instance.tmp.stat()
        os.fchmod(handle, mode)
        os.fchown(handle, daemon.st_uid, daemon.st_gid)


def _wake(instance: Instance) -> bool:
    pid = daemon_pid(instance)
    if pid is not None:
        with suppress(ProcessLookupError, PermissionError):  # another user's looks by itself before long
            os.kill(pid, signal.SIGUSR1)
    return pid is not None


def ask_to_try(instance: Instance) -> bool:
    """Ask that whatever waits be tried at once; returns whether a daemon is running that will see to it."""
    return _leave(instance, "try")


def ask_to_prefer(instance: Instance, job_id: str, priority: int) -> bool:
    """Ask that a job be given another priority; returns whether a daemon is running that will see to it at once."""
    return _leave(instance, f"prefer {job_id} {priority}")


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is begun until somebody resumes."""

    since: float
    """Wall clock."""
    now: bool
    """Whether the job at work halts, too."""


def pause(instance: Instance, now: bool, wall: float) -> bool:
    """Begin no job from now on, and with ``now`` halt the one at work; returns whether a daemon is running.

    One that is paused already can be told to halt, too. Raises OSError where that cannot be written down.
    """
    before = read_pause(instance)
    since, halts = (before.since, before.now or now) if before is not None else (wall, now)
    partial = instance.paused.with_suffix(".part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="ascii") as file:
        _hand_over(file.fileno(), 0o644, instance)
        file.write(json.dumps({"since": since, "now": halts}))
    partial.replace(instance.paused)
    return _wake(instance)


def resume(instance: Instance) -> bool:
    """Take back a pause; returns whether a daemon is running that will go on at once."""
    instance.paused.unlink(missing_ok=True)
    return _wake(instance)


def read_pause(instance: Instance) -> Pause | None:
    """The pause that stands. One that cannot be read is one all the same."""
    try:
        facts = json.loads(instance.paused.read_text(encoding="ascii"))
        return Pause(float(facts["since"]), bool(facts["now"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return Pause(0.0, False)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    job: str | None
    """The job to cancel, or to prefer; None: try whatever waits."""
    priority: int | None = None
    """The one that it is to have; None: it is to be cancelled."""


def take_requests(instance: Instance) -> Iterator[Request]:
    """What was asked for; each is given until whoever takes it comes back for the next."""
    folder = _folder(instance)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        word, _, rest = path.name.partition(" ")
        job_id, _, priority = rest.partition(" ")
        if word == "cancel" and _JOB_ID.fullmatch(rest):
            yield Request(rest)
        elif word == "prefer" and _JOB_ID.fullmatch(job_id) and _PRIORITY.fullmatch(priority):
            yield Request(job_id, int(priority))
        elif path.name == "try":
            yield Request(None)
        with suppress(OSError):  # it may be another user's; a job is cancelled once, however often it is asked for
            path.unlink()


def daemon_pid(instance: Instance) -> int | None:
    """The process that holds the instance's lock, if one does."""
    import fcntl

    try:
        with instance.lock.open("r", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
    except PermissionError:  # another user's, whom a file that all may read has to tell of
        said = read_status(instance.status)
        return said.pid if said is not None else None
    except (OSError, ValueError):
        return None
    return None


def _folder(instance: Instance) -> Path:
    return instance.tmp / "requests"
