"""The last warnings and errors of the daemon's log, for people who ask what went wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from framedaemon.naming import show

_TAIL_BYTES = 1 << 17

_GRAVE = frozenset({"warning", "error", "critical"})

# What a line says first for a person; the other facts follow it in the log.
_TELLING = ("reason", "problem", "problems", "folder")

# What a line is about.
_ABOUT = ("name", "plugin", "target")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log."""

    at: float
    level: str
    event: str
    name: str
    """Of the picture, the plugin or the target of notices it is about, or nothing."""
    said: str


def last_warnings(log: Path, limit: int, without: frozenset[str] = frozenset()) -> tuple[LogLine, ...]:
    """The last lines of the log file at ``log`` that warn of something, the last first; none where there is no file.

    ``without``: events that are not asked for. Only the file's end is read.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return ()
    found: list[LogLine] = []
    for line in reversed(lines):
        if len(found) == limit:
            break
        facts = _facts(line)
        if facts.get("level") in _GRAVE and facts.get("event") not in without:
            found.append(_line(facts))
    return tuple(found)


def _facts(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where it is cut short, or no line of ours."""
    try:
        facts = json.loads(line)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _line(facts: dict[str, Any]) -> LogLine:
    said = next((facts[key] for key in _TELLING if facts.get(key)), "")
    told = ", ".join(map(str, said)) if isinstance(said, list) else str(said)
    name = show(str(next((facts[key] for key in _ABOUT if facts.get(key)), "")))
    return LogLine(_when(facts.get("timestamp")), facts["level"], str(facts.get("event")), name, show(told))


def _when(timestamp: object) -> float:
    """ISO 8601 as the log has it, ending in Z, which Python reads from 3.11 on."""
    try:
        return datetime.fromisoformat(str(timestamp).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0
