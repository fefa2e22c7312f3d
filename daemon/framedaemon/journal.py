"""Log lines in systemd's journal with their facts as fields, by its native protocol: one datagram a line.

    journalctl -u framedaemon -p warning
    journalctl FRAMEDAEMON_JOB=20250801-abc

Written here because what there is on PyPI wraps libsystemd in C and wants its headers.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

SOCKET = Path("/run/systemd/journal/socket")

# syslog(3)
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

# A journal that does not read holds a line up no longer than this; the line is lost there, and stands in output/logs/.
_PATIENCE_SECONDS = 0.2

# linux/fcntl.h: neither grow, shrink nor write, and no more seals; journald asks for them.
_F_ADD_SEALS = 1033
_ALL_SEALS = 0x000F

# The journal takes no name of a field that is longer.
_LONGEST_NAME = 64


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether ``stream`` leads to the journal, as systemd says in $JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalHandler(logging.Handler):
    """Sends what its formatter renders as a JSON object; a journal that does not listen costs the line."""

    def __init__(self, address: Path = SOCKET) -> None:
        super().__init__()
        self._address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_PATIENCE_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        datagram = encode(json.loads(self.format(record)))
        with suppress(OSError):
            try:
                self._socket.sendto(datagram, self._address)
            except TimeoutError:
                pass
            except OSError:  # too large for a datagram: a file in memory instead
                self._send_file(datagram)

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _send_file(self, datagram: bytes) -> None:
        handle = os.memfd_create("framedaemon-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(datagram)
            fcntl.fcntl(handle, _F_ADD_SEALS, _ALL_SEALS)
            enclosed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, handle.to_bytes(4, sys.byteorder))
            self._socket.sendmsg([], [enclosed], 0, self._address)  # socket.send_fds forgets the address
        finally:
            os.close(handle)


def encode(facts: Mapping[str, Any]) -> bytes:
    """A line of the log as the journal takes it: ``facts`` has ``event`` and ``level``, the rest become fields."""
    event, level = str(facts.get("event", "")), str(facts.get("level", "info"))
    told = {key: value for key, value in facts.items() if key not in ("event", "level", "timestamp", "exception")}
    message = " ".join([event, *(f"{key}={_said(value)}" for key, value in told.items())])
    if "exception" in facts:
        message += f"\n{facts['exception']}"
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(_PRIORITIES.get(level, 6)),
        "SYSLOG_IDENTIFIER": "framedaemon",
        "FRAMEDAEMON_EVENT": event,
        **{_name(key): value if isinstance(value, str) else json.dumps(value) for key, value in told.items()},
    }
    return b"".join(_field(name, value.encode("utf-8", "replace")) for name, value in fields.items())


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


def _name(key: str) -> str:
    return ("FRAMEDAEMON_" + re.sub(r"[^A-Z0-9_]", "_", key.upper()))[:_LONGEST_NAME]


def _said(value: object) -> str:
    """A fact in a line for people: quoted where it would run into the next."""
    if isinstance(value, str) and value and not re.search(r'[\s"=]', value):
        return value
    return json.dumps(value, ensure_ascii=False)
