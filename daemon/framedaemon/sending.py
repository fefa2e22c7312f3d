"""Hands notices to programs of this machine, and to Apprise; what came of one is `Sent`."""

from __future__ import annotations

import logging
import os
import selectors
import stat
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from framedaemon.audience import AppriseTarget, CommandTarget
from framedaemon.naming import show
from framedaemon.notice import Notice
from framedaemon.offspring import MARK, end_marked, how_it_ended, kill_group, kill_marked

# sysexits.h: what a program ends with that wants to be asked again later.
_TRY_AGAIN = os.EX_TEMPFAIL

# All that a program gets of the daemon's environment, where secrets may be: what a desktop is spoken to by among it.
_PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
)  # fmt: skip

_LAST_BYTES = 4000
_LAST_LINES = 5

_NO_ADDRESS = "Apprise knows no such address: its kind, a part of it, or a library that it needs lacks"


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a notice."""

    ok: bool
    said: str = ""
    """For a person: why not, or what the other side said. Holds no address."""
    again: bool = False
    """Whether it may go well later."""
    rest: float | None = None
    """For how many seconds the other side wants to be left alone."""


class Sender(Protocol):
    """One target; called in a thread of its own, so it may take its time."""

    @property
    def name(self) -> str:
        """For people and logs: without what is secret in an address."""

    def send(self, notice: Notice, now: float) -> Sent:
        """Hand it over, once. Never raises for the other side's fault."""

    def end(self) -> None:
        """From another thread: let nothing outlive the daemon."""


class CommandSender:
    """One program."""

    def __init__(self, target: CommandTarget, root: Path, environ: Mapping[str, str]) -> None:
        self._target = target
        self._root = root
        self._mark = f"notice {uuid.uuid4()}"
        self._environment = {name: environ[name] for name in _PASSED_ON if name in environ} | {MARK: self._mark}
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._lock = threading.Lock()
        self.name = f"command {show(target.argv[0])}"

    def send(self, notice: Notice, now: float) -> Sent:
        """Run it, with the notice's JSON on its standard input; what it prints to standard output goes nowhere."""
        stdin = os.memfd_create("notice")  # a pipe would wait for a program that does not read
        try:
            os.write(stdin, notice.payload)
            os.lseek(stdin, 0, os.SEEK_SET)
            with self._lock:
                if self._ended:
                    return Sent(False, "the daemon ends", again=True)
                self._process = process = subprocess.Popen(
                    self._target.argv,
                    stdin=stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    cwd=self._root,
                    env=self._environment,
                )
        except OSError as error:
            return Sent(False, f"cannot be run: {error.strerror}", again=True)
        finally:
            os.close(stdin)
        with suppress(OSError):
            os.setpriority(os.PRIO_PGRP, process.pid, self._target.nice)
        try:
            last = _listen(process, time.monotonic() + self._target.timeout_seconds)
            in_time = _over(process)
        finally:
            end_marked(process, self._mark)  # what it left running goes too
        said = f"; it said: {show(last)}" if last else ""
        if not in_time:
            return Sent(False, f"ran longer than {self._target.timeout_seconds:g} s and was killed{said}")
        if process.returncode != 0:
            return Sent(False, f"{how_it_ended(process.returncode)[0]}{said}", again=process.returncode == _TRY_AGAIN)
        return Sent(True, "exit code 0")

    def end(self) -> None:
        with self._lock:
            self._ended = True
            if self._process is not None and self._process.returncode is None:
                kill_group(self._process)
                kill_marked(self._mark)


class AppriseSender:
    """One of Apprise's addresses."""

    def __init__(self, target: AppriseTarget, root: Path) -> None:
        self._target = target
        self._root = root
        self.name = f"apprise {target.url_file}" if target.url_file else f"apprise {_scheme(target)}"

    def send(self, notice: Notice, now: float) -> Sent:
        """Have Apprise tell it: it knows how mail, desktops and chats want it."""
        try:
            import apprise
        except ImportError:
            return Sent(False, "Apprise is not installed: pip install 'framedaemon[notify]'", again=True)
        logging.getLogger("apprise").disabled = True  # its lines may hold addresses
        try:
            url = _read_url(self._target, self._root)
            service = apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(app_id="framedaemon"))
            if service is None:
                return Sent(False, _NO_ADDRESS, again=False)
            kind = apprise.NotifyType.WARNING if notice.grave else apprise.NotifyType.SUCCESS
            if service.notify(body=notice.body, title=f"framedaemon: {notice.title}", notify_type=kind):
                return Sent(True, "Apprise handed it over")
        except ValueError as error:
            return Sent(False, str(error), again=True)
        except Exception as error:  # noqa: BLE001  (a hundred services, each with its own errors)
            return Sent(False, f"Apprise broke: {type(error).__name__}", again=True)
        return Sent(False, "Apprise could not hand it over; `apprise -v` with the same address says why", again=True)

    def end(self) -> None:
        """Nothing outlives it."""


def _read_url(target: AppriseTarget, root: Path) -> str:
    """Raises ValueError, without the address, when it cannot be had."""
    if not target.url_file:
        return target.url.get_secret_value()
    path = root / target.url_file
    try:
        if path.stat().st_mode & stat.S_IROTH:
            raise ValueError(f"{path} can be read by everybody: chmod o= {path}")
        return path.read_text(encoding="utf-8")[:4096].strip()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _scheme(target: AppriseTarget) -> str:
    """``mailto://``: what follows may be a password."""
    return show(target.url.get_secret_value().partition("://")[0][:30]) + "://"


def _listen(process: subprocess.Popen[bytes], deadline: float) -> str:
    """Take what the program says until it has ended or the time is over; returns its last lines."""
    assert process.stderr is not None
    heard, open_still = b"", True
    with process.stderr as stderr, selectors.DefaultSelector() as selector:
        selector.register(stderr, selectors.EVENT_READ)
        while not _over(process) and (left := deadline - time.monotonic()) > 0:
            if not open_still:
                time.sleep(min(0.05, left))  # it closed its stderr and works on
            elif selector.select(min(0.2, left)):
                block = os.read(stderr.fileno(), 1 << 16)
                heard, open_still = (heard + block)[-_LAST_BYTES:], bool(block)
        while open_still and selector.select(0):
            block = os.read(stderr.fileno(), 1 << 16)
            heard, open_still = (heard + block)[-_LAST_BYTES:], bool(block) and time.monotonic() < deadline
    return " | ".join(heard.decode("utf-8", "replace").strip().splitlines()[-_LAST_LINES:])


def _over(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended. It is not waited for yet: until then nobody else can get its number, nor its group's."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
