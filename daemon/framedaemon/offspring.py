"""Processes of ours that run plugins: started with a line to us, and ended with every process that came of them.

Such a process leads a process group, and killing that takes along what it started, but for what went into a session of
its own: a plugin's server, a shell in the background. Children inherit the environment wherever they go, so a mark in
it finds them, and those of a daemon that was itself killed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Container, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

MARK = "FRAMEDAEMON_WORKER_OF"
"""The variable; its value is the instance's folder."""


_END_SECONDS = 30.0

# Like -m, but nothing is imported from the folder it runs in; -P does that from Python 3.11 on only.
_RUN = "import sys; sys.path[:] = filter(None, sys.path); from framedaemon.{} import main; main(int(sys.argv[1]))"


def start_marked(
    module: str, mark: str, folder: Path, output: int, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Run ``framedaemon.module``'s ``main(line)`` in ``folder``, and our end of the line to it.

    What bears ``mark`` still, because a daemon was killed, is ended first. ``output`` is where it prints to; it is
    closed here. The process leads a session of its own. Raises OSError where there is no memory or no process left for
    one, or no Python, because it is being replaced.
    """
    kill_marked(mark)
    with ExitStack() as on_failure, ExitStack() as always:
        always.callback(os.close, output)
        ours, theirs = socket.socketpair()
        on_failure.enter_context(ours)
        always.enter_context(theirs)
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN.format(module), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=folder,
            env={**environment, MARK: mark},
        )
        on_failure.pop_all()
    return process, ours


def environment_less(secret: Container[str]) -> dict[str, str]:
    """This process's environment without the variables that no process that runs others' code is to have."""
    return {name: value for name, value in os.environ.items() if name not in secret}


def end_marked(process: subprocess.Popen[bytes], mark: str) -> None:
    """End a process that was started with the mark, and leads a session, at once; and all that came of it.

    One that a driver or a share holds fast in the kernel is not waited for: it runs no more code, and ends once let go.
    """
    kill_group(process)
    kill_marked(mark)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the session that ``process`` leads."""
    with suppress(ProcessLookupError):  # it and its children are gone already
        os.killpg(process.pid, signal.SIGKILL)


def kill_marked(mark: str) -> None:
    """SIGKILL to every process but this one that was started with ``MARK=mark``.

    Where no file handle is left to look for them, nothing: who starts the next one looks again.
    """
    killed = {os.getpid()}
    with suppress(OSError):
        while found := marked(mark) - killed:  # until nobody is left who could have started another
            killed |= found
            for pid in found:
                with suppress(OSError):  # it has ended, or became another user's: not to spare the others
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
