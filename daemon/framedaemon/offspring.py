"""Every process that came of a worker, found by a mark in its environment and ended.

A worker leads a process group, and killing that takes along what it started, but for what went into a session of its
own: a plugin's server, a shell in the background. Children inherit the environment wherever they go, so the mark finds
them, and those of a daemon that was itself killed.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

MARK = "FRAMEDAEMON_WORKER_OF"
"""The variable; its value is the instance's folder."""


def kill_marked(mark: str) -> None:
    """SIGKILL to every process but this one that was started with ``MARK=mark``."""
    killed = {os.getpid()}
    while found := marked(mark) - killed:  # until nobody is left who could have started another
        killed |= found
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def marked(mark: str) -> set[int]:
    """The processes that were started with ``MARK=mark``, and can be seen to have been."""
    wanted = os.fsencode(f"{MARK}={mark}")
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has ended, or is another user's
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
    return found


def how_it_ended(code: int) -> tuple[str, str]:
    """What the exit code of a process means, for a person and in a word."""
    if code >= 0:
        return f"ended with exit code {code}", f"exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}", name
