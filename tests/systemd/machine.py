"""A machine of the tests' own whose process 1 is a real systemd: fresh namespaces over an overlay of ``/``.

    with booted() as machine:
        machine.run("systemctl", "start", "framedaemon")

Everything of the host is there, at its own path, and nothing that is written reaches it. It takes root and two seconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

_SYSTEMD = Path("/lib/systemd/systemd")
_GROUPS = Path("/sys/fs/cgroup")
_ENVIRON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "SYSTEMD_PAGER": "", "COLUMNS": "160"}


def lacking() -> str | None:
    """Why no machine can be booted here, if none can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root: namespaces and mounts"
    missing = [tool for tool in ("unshare", "nsenter", "systemctl", "useradd") if shutil.which(tool) is None]
    if missing or not _SYSTEMD.exists():
        return f"needs systemd and util-linux installed: {', '.join(missing) or _SYSTEMD}"
    layers = "lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w"
    probe = f"mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w && mount -t overlay o -o {layers} /mnt"
    said = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--cgroup", "sh", "-c", probe],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"namespaces or overlays are not to be had here: {said.stderr.strip()[:200]}" if said.returncode else None


class Machine:
    """A booted machine."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._name = f"framedaemon-test-{os.getpid()}"
        self._console = (state.parent / "console").open("w+")
        command = ["unshare", "--mount", "--propagation", "private", str(HERE / "machine.sh"), str(state), self._name]
        self._outer = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._console, stderr=self._console, start_new_session=True
        )
        self.init = 0
        self._wait_up()

    def run(self, *words: str | Path, check: bool = True, stdin: str = "") -> str:
        """What a command inside says on stdout and stderr. Raises AssertionError where it fails."""
        said = subprocess.run(
            [*self._enter(), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            input=stdin,
            env=_ENVIRON,
            check=False,
        )
        assert not check or said.returncode == 0, f"{' '.join(map(str, words))}: {said.stdout}"
        return said.stdout.strip()

    def show(self, unit: str, *names: str) -> list[str]:
        """Properties of a unit, in the order that they are asked for."""
        lines = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names)).splitlines()
        found = dict(line.split("=", 1) for line in lines)
        return [found.get(name, "") for name in names]

    def path(self, inside: str) -> Path:
        """A file inside, as the host reaches it."""
        return Path(f"/proc/{self.init}/root{inside}")

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 180.0) -> Any:
        """Poll until ``condition`` holds; what it gave."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"waited in vain for {what}"
            time.sleep(0.05)
        return found

    def reboot(self) -> None:
        """Shut down, as at a power button, and come up again."""
        old = self.init
        self.run("systemctl", "reboot", check=False)
        self.until(lambda: not Path(f"/proc/{old}").exists(), "the end")
        self._wait_up(old)

    def end(self) -> None:
        """Power off without ceremony, and leave nothing behind."""
        with suppress(ProcessLookupError):
            os.killpg(self._outer.pid, signal.SIGKILL)
        for pid in {self.init, self._init()} - {0}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # the namespace's first process: the rest goes along
        self._outer.wait()
        for groups in (_GROUPS, *_GROUPS.glob("*")):
            _remove_groups(groups / self._name)
        self._console.close()

    def console(self) -> str:
        """What came on the console, for who must find out why it does not boot."""
        self._console.seek(0)
        return self._console.read()

    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self.init), "-m", "-p", "-u", "-i", "-C", "-r", "-w"]

    def _init(self) -> int:
        """Process 1, by the host's count. The file lies in the outer namespace's own tmpfs."""
        with suppress(OSError, ValueError):
            return int(Path(f"/proc/{self._outer.pid}/root{self._state}/init.pid").read_text())
        return 0

    def _wait_up(self, old: int = 0) -> None:
        def up() -> bool:
            self.init = self._init()
            assert self._outer.poll() is None, f"it did not boot:\n{self.console()}"
            if self.init in (0, old):
                return False
            return self.run("systemctl", "is-system-running", check=False) in ("running", "degraded")

        self.until(up, "the machine to boot")


@contextmanager
def booted() -> Iterator[Machine]:
    """A machine that is up; gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="framedaemon-machine-"))
    state = folder / "state"
    state.mkdir()
    machine = Machine(state)
    try:
        yield machine
    finally:
        machine.end()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_groups(top: Path) -> None:
    """Remove control groups from the innermost; the kernel may still be clearing them of the dead."""
    for _ in range(50):
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)  # noqa: PTH106
        if not top.exists():
            return
        time.sleep(0.05)
