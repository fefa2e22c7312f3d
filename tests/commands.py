"""The command line for tests: commands in this process, and daemons as real processes that can be signalled."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from framedaemon.cli import main
from framedaemon.instance import Instance

# A generator that draws two frames and then waits until the test lets it go on: a drop-in file.
PATIENT = """
import time
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from framedaemon import ClipSpec, Estimate, GeneratorOptions, hookimpl

GO = Path(__file__).parent.parent / "tmp" / "go"


class Patient:
    name = "patient"
    summary = "waits for tmp/go"
    options = GeneratorOptions
    accepts = frozenset({"picture"})
    preference = -1

    def unready(self, machine):
        return None

    def promise(self, takes, options):
        return ClipSpec(32, 32, 3, Fraction(4))

    def estimate(self, takes, gives, options):
        return Estimate()

    @contextmanager
    def load(self, placement, options):
        def draw(source, scratch):
            for index in range(3):
                (scratch.folder / "drawing").touch()
                while index == 2 and not GO.exists():
                    time.sleep(0.02)
                shade = np.linspace(0, 200, 32, dtype=np.uint8)[:, None, None]
                yield np.ascontiguousarray(np.broadcast_to(np.roll(shade, index, 0), (32, 32, 3)))
        yield draw


@hookimpl
def generators():
    return [Patient()]
"""
SIDECAR = '[generate]\nuse = "patient"\n'

# linux/capability.h and linux/prctl.h: what lets root write where the permissions say no.
_CAPABILITIES = (1, 2, 3)
_PR_CAPBSET_DROP = 24


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Commands:
    """Runs commands in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def __call__(self, *words: str | Path) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["framedaemon", *map(str, words)])
        self._capfd.readouterr()
        old = signal.getsignal(signal.SIGTERM)
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            signal.signal(signal.SIGTERM, old)
        out, err = self._capfd.readouterr()
        assert isinstance(code, int)
        return Said(code, out, err)


class Daemon:
    """A ``framedaemon run`` of its own."""

    def __init__(self, instance: Instance, *options: str, plain: bool = False) -> None:
        """``plain``: permissions count, even when the tests run as root."""
        self.instance = instance
        self.process = subprocess.Popen(
            [*PROGRAM, "run", "--instance", str(instance.root), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=drop_capabilities if plain else None,
        )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 180.0) -> int:
        """The exit code."""
        return self.process.wait(seconds)

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of the daemon's log that tell of ``event``."""
        try:
            lines = (self.instance.logs / "framedaemon.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> None:
        """Until the log tells of ``event`` so many times."""
        try:
            wait_until(lambda: len(self.said(event)) >= count, f"{event} in the log")
        except AssertionError as error:
            log = (self.instance.logs / "framedaemon.jsonl").read_text(encoding="utf-8")
            raise AssertionError(f"{error}; it says\n{log}") from None

    def sleeps(self) -> int:
        """How often its loop has gone to sleep."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("voluntary_ctxt")))


PROGRAM = (sys.executable, "-m", "framedaemon")


@contextmanager
def daemon(instance: Instance, *options: str, plain: bool = False) -> Iterator[Daemon]:
    """A daemon that has started; it is killed in the end if it still runs."""
    running = Daemon(instance, *options, plain=plain)
    before = len(running.said("daemon_started"))
    try:
        running.wait_for("daemon_started", before + 1)
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def drawing(instance: Instance) -> bool:
    """Whether a job of the ``patient`` generator has begun to draw."""
    with suppress(FileNotFoundError):  # a folder went away while it was looked through
        return any(instance.jobs.rglob("drawing"))
    return False


def wait_until(condition: Callable[[], object], what: str, seconds: float = 180.0) -> None:
    """Poll until ``condition`` holds; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def drop_capabilities() -> None:
    """In the child: give up for good what lets root pass over permissions. Fails without harm for who is not root."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in _CAPABILITIES:
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
