"""strace as a tool to see which system calls change something, and to kill a process right before one of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from torture.workbench import wait_until

# How our processes talk to each other.
_TELL = "sendto"
_HELD_MICROSECONDS = 300_000

CALLS = ",".join(
    (
        *("renameat2", "rename", "renameat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "symlink"),
        *("fsync", "fdatasync", "syncfs", "write", "pwrite64", "ftruncate", "fallocate", "openat", _TELL),
    )
)
"""Those by which anything of ours lasts or reaches another process. mmap'ed files apart: SQLite's index of its log."""

_LINE = re.compile(r"(?:(?P<thread>\d+) +)?(?P<call>\w+)\(")
# Calls that change nothing that lasts: files opened to read, bytes for a pipe, and what failed.
_HARMLESS = re.compile(r"openat\((?!.*O_CREAT)|write\(\d+<(pipe|socket|anon_inode|/dev/|/proc/)|.*\) += -1 ")


class Moment(NamedTuple):
    """Right before a system call that a thread makes."""

    call: str
    number: int
    """From 1, of this call by that thread since it was traced."""

    def kill(self) -> tuple[str, ...]:
        """Arguments for strace: the process that comes to this moment dies.

        It is held for an instant whenever it told another process something, as on a busy machine: that has acted on
        it by then.
        """
        hold = f"inject={_TELL}:delay_exit={_HELD_MICROSECONDS}"
        kill = f"inject={self.call}:signal=SIGKILL:when={self.number}"
        return ("-e", f"trace={self.call},{_TELL}", *(("-e", hold) if self.call != _TELL else ()), "-e", kill)


def works() -> bool:
    """Whether strace is here and may trace."""
    strace = shutil.which("strace")
    tried = strace and subprocess.run([strace, "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return bool(tried) and tried.returncode == 0


def moments(log: Path) -> list[Moment]:
    """Before each call of a trace (``-y -e trace=CALLS``) that changed something, in their order."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[Moment, None] = {}
    for line in log.read_text("utf-8", "replace").splitlines():
        match = _LINE.match(line)
        if match is not None:
            thread = match["thread"] or "", match["call"]
            seen[thread] += 1
            if not _HARMLESS.match(line[match.start("call") :]):
                found[Moment(match["call"], seen[thread])] = None
    return list(found)


@contextmanager
def traced(pid: int, log: Path, *arguments: str) -> Iterator[None]:
    """The first thread of a running process, watched by strace."""
    strace = subprocess.Popen(["strace", "-q", "-y", "-o", log, *arguments, "-p", str(pid)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: f"TracerPid:\t{strace.pid}\n" in Path(f"/proc/{pid}/status").read_text(), "strace to attach")
        yield
    finally:
        strace.terminate()
        strace.wait()
