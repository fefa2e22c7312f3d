"""What an error of a plugin says to a person, and where in the plugin's own code it came from."""

from __future__ import annotations

import importlib
import signal
import traceback
from pathlib import Path

import pluggy

from framedaemon import deadline
from framedaemon.deadline import Overdue
from framedaemon.errors import PluginBroken

_OURS = (str(Path(__file__).parent), str(Path(pluggy.__file__).parent), str(Path(importlib.__file__).parent), "<frozen")
_BETWEEN = (deadline.__file__,)


def let_through(error: BaseException) -> None:
    """Raise it again where it is Ctrl-C, which means whoever runs the command; in a daemon only a plugin can say it."""
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        raise error


def said(error: BaseException) -> str:
    """What a person should read of an error: its type, unless it is ours, its words, and the line it came from."""
    if isinstance(error, PluginBroken):
        return str(error)
    said = f"{type(error).__name__}: {error}".rstrip(": ") if not isinstance(error, Overdue) else str(error)
    calls = _calls(error)
    if not calls:
        return said
    folder = Path(calls[0].filename).parent  # what it called in libraries is not where its author has to look
    own = [call for call in calls if Path(call.filename).parent == folder][-1]
    return f"{said} ({Path(own.filename).name}, line {own.lineno})"


def trace(error: BaseException) -> str:
    """The traceback from the plugin's own first line on; empty where none of its lines ran."""
    cause = error.__cause__ if isinstance(error, PluginBroken) and error.__cause__ is not None else error
    frames = _calls(cause)
    only = traceback.format_exception_only(type(cause), cause)
    return "".join(["Traceback (most recent call last):\n", *traceback.format_list(frames), *only]) if frames else ""


def _calls(error: BaseException) -> list[traceback.FrameSummary]:
    """The calls behind ``error`` from the first on that is neither ours nor the import system's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename not in _BETWEEN]
    foreign = [number for number, frame in enumerate(frames) if not frame.filename.startswith(_OURS)]
    return [frame for frame in frames[foreign[0] :] if not frame.filename.startswith("<frozen")] if foreign else []
