"""What a service tells systemd about itself, by the sd_notify protocol: a datagram of ``KEY=value`` lines.

    start ─▶ READY=1 ─▶ WATCHDOG=1 … ─▶ RELOADING=1 ─▶ READY=1 ─▶ STOPPING=1          STATUS=… at any time

Started by hand, all of this does nothing. The address is taken out of the environment: workers and plugins do not
speak for the service.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

# `systemctl status` shows one line, of which nobody reads more.
_LONGEST_STATUS = 300

# What a beat asks for while systemd waits for a start or an end: so long it goes on waiting without the next beat.
EXTEND_SECONDS = 300.0
"""As long as the watchdog of the unit that `framedaemon service install` writes."""


class Notifier:
    """Speaks to the service manager that started this process, if one did."""

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self.watchdog_seconds = watchdog_seconds
        """The manager ends this process when it hears no `beat` for so long; None: it does not watch."""
        self.patient = True
        """Whether a start that goes on, as beats tell, is given more time; an end always is."""
        self._socket: socket.socket | None = None
        self._status = ""
        self._ready = self._stopping = False
        self._quiet_until = 0.0
        if address.startswith(("/", "@")):
            self._address = "\0" + address[1:] if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)  # a manager that does not listen must not hold us up

    @property
    def listened_to(self) -> bool:
        """Whether there is a manager to speak to."""
        return self._socket is not None

    @property
    def interval(self) -> float:
        """A beat is due in each so many seconds."""
        return self.watchdog_seconds or EXTEND_SECONDS

    def ready(self) -> None:
        """The service is up, or has taken new settings."""
        self._ready = True
        self._say("READY=1")

    def reloading(self) -> None:
        """New settings are being read; `ready` says that they are in force."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._stopping = True
        self._say("STOPPING=1")

    def status(self, line: str) -> None:
        """One line for people, said when it is another than before."""
        if line != self._status:
            self._status = line
            self._say("STATUS=" + line.replace("\n", " ")[:_LONGEST_STATUS])

    def beat(self) -> None:
        """The loop is alive. Call it as often as you like: it is told ten times in each interval at most.

        Where systemd waits for a start or for an end, it is told to go on waiting.
        """
        now = time.monotonic()
        if self._socket is None or now < self._quiet_until:
            return
        self._quiet_until = now + self.interval / 10
        waited_for = self._stopping or (self.patient and not self._ready)
        self._say("WATCHDOG=1", *([f"EXTEND_TIMEOUT_USEC={round(self.interval * 1e6)}"] if waited_for else []))

    def close(self) -> None:
        """Speak no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *lines: str) -> None:
        if self._socket is not None:
            with suppress(OSError):  # nobody may be there, or its queue full: the work goes on
                self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)


def notifier_from(environ: MutableMapping[str, str]) -> Notifier:
    """The manager that ``environ`` names, whose variables are taken out of it."""
    address = environ.pop("NOTIFY_SOCKET", "")
    microseconds, watched = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    ours = microseconds.isdecimal() and int(microseconds) > 0 and watched in ("", str(os.getpid()))
    return Notifier(address, int(microseconds) / 1e6 if ours else None)
