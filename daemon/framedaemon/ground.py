"""What a job must leave as it found it, in a process that does many: kept, put back, and looked at behind each job.

A plugin may change the current folder, or leave threads, files, processes and memory behind. What can be put back is; a
worker that holds much more than it did behind its first job says so, and is replaced.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Behind the first job libraries have what they keep for good. More than this beyond it is somebody's leak.
_MOST_MORE = {"threads": 32, "open files": 128, "MiB of memory": 1024}


class Ground:
    """Of one worker; to be made before anybody's code runs."""

    def __init__(self) -> None:
        self._folder = Path.cwd()
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._first: dict[str, int] | None = None

    def restore(self) -> None:
        """Put back what belongs to the whole process. Raises OSError where the instance's folder is gone."""
        os.chdir(self._folder)
        os.umask(self._umask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def wear(self) -> str:
        """What the process holds that it should not, now that a job is over; nothing where all is well."""
        held = _held()
        first = self._first = self._first or held
        more = {name: count - first[name] for name, count in held.items()}
        worn = [f"{more[name]} {name}" for name, most in _MOST_MORE.items() if more[name] > most]
        return " and ".join(worn)


def _held() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    facts = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return {
        "threads": int(facts["Threads"][0]),
        "open files": len(list(Path("/proc/self/fd").iterdir())),
        "MiB of memory": int(facts["VmRSS"][0]) >> 10,
    }
