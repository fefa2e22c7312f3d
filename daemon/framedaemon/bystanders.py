"""Strangers' plugins that hear what happens: in a process of their own, which may hang and die.

    service ─ happened(event) ─▶ a queue ─▶ a thread ─▶ `hearing`, a child process ─▶ happened(event) of each plugin

The service waits for nobody and runs nobody's code, not even to import it. A plugin that brings the child down, or
keeps it from answering, is told no more until the settings are read again; the others go on in another child.
"""

from __future__ import annotations

import json
import math
import queue
import subprocess
import threading
import time
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Any

from framedaemon.events import Event
from framedaemon.hearing import write_event
from framedaemon.hooks import PROJECT, hookimpl
from framedaemon.instance import Instance
from framedaemon.log import get_log
from framedaemon.offspring import end_marked, environment_less, how_it_ended, start_marked
from framedaemon.plugins import LOAD_SECONDS, PluginInfo, Registry
from framedaemon.printed import Printed
from framedaemon.settings import Settings

OUTPUT = "plugins.out"
"""In the folder of the logs: what they print."""

# A plugin that hangs is interrupted after LOAD_SECONDS, by its own process; one that cannot be is killed.
_PATIENCE = LOAD_SECONDS + 10.0

# Until Python and framedaemon are loaded, on a machine that is busy.
_START_SECONDS = 60.0

# Children that are lost one right after the other.
_PAUSE_SECONDS = 60.0

# What nobody has heard yet; a plugin that takes its time with a queue of thousands must not fill the memory.
_MOST_EVENTS = 1000


class Bystanders:
    """The plugins of an instance that hear what happens."""

    def __init__(self, instance: Instance, registry: Registry) -> None:
        self._instance = instance
        self._registry = registry
        self._mark = f"{instance.root.resolve()} plugins"
        self._printed = Printed(instance.logs / OUTPUT)
        self._settings = Settings()
        self._waiting: queue.Queue[Event | Settings | None] = queue.Queue(_MOST_EVENTS)
        self._aside: dict[str, str] = {}
        self._child: _Child | None = None
        self._began, self._again = 0.0, math.inf
        self._thread = threading.Thread(target=self._run, name="bystanders", daemon=True)

    def equip(self, settings: Settings) -> None:
        """Load the plugins, as the settings say, now or anew."""
        self._settings = settings
        if self._thread.ident is None:
            self._thread.start()
        self._put(settings)

    @hookimpl
    def happened(self, event: Event) -> None:
        """Have it told, soon. Where too many wait, the oldest is told to nobody."""
        self._put(event)

    def close(self, seconds: float) -> None:
        """Have the last told, within so many seconds, and end the process."""
        if self._thread.ident is not None:
            self._put(None)
            self._thread.join(seconds)
        self._end()

    def _put(self, what: Event | Settings | None) -> None:
        while True:
            try:
                self._waiting.put_nowait(what)
                return
            except queue.Full:
                with suppress(queue.Empty):
                    oldest = self._waiting.get_nowait()
                    if isinstance(oldest, Settings):
                        self._put(oldest)

    def _run(self) -> None:
        while (what := self._waiting.get()) is not None:
            try:
                self._hear(what)
            except Exception as error:  # noqa: BLE001  (a thread that ended would be missed by nobody)
                self._end()
                self._lose(f"could not be spoken to: {type(error).__name__}: {error}")

    def _hear(self, what: Event | Settings) -> None:
        if isinstance(what, Settings):
            self._end()
            self._aside.clear()
            self._start()
            return
        if self._child is None and time.monotonic() >= self._again:
            self._start()
        if self._child is not None:
            self._tell(what)

    def _start(self) -> None:
        """Start the child, and another without whoever brought it down, until one is up or nobody is there to hear."""
        self._again, self._began = math.inf, time.monotonic()
        while self._child is None and self._strangers():
            try:
                self._child = _Child(self._settings, self._instance, self._mark, self._printed, self._aside)
            except OSError as error:  # no memory or no process left for one, or Python is being replaced
                self._lose(f"could not be started: {error.strerror}")
                return
            broken = self._child.answer("broken", _START_SECONDS)
            for name, reason in broken or ():
                if name not in self._aside:
                    get_log().warning("plugin_broken", plugin=name, reason=reason)
            answer = self._child.answer("hear", _PATIENCE) if broken is not None else None
            if answer is None:
                if not self._bury("while it was loaded"):
                    return
            elif not answer:
                self._end()
                return

    def _tell(self, event: Event) -> None:
        assert self._child is not None
        self._printed.bound()
        self._child.send(write_event(event))
        muted = self._child.answer("muted", _PATIENCE)
        for name, reason in muted or ():
            self._mute(str(name), str(reason))
        if muted is None and self._bury("in happened()"):
            self._start()

    def _bury(self, when: str) -> bool:
        """Put the plugin aside that brought the child down; whether there was one."""
        assert self._child is not None
        plugin, how = self._child.at, self._child.fate
        words = self._printed.last_words()
        self._end()
        if plugin:
            self._mute(plugin, f"its process {how} {when}{words}")
        else:
            self._lose(f"{how}{words}")
        return bool(plugin)

    def _lose(self, how: str) -> None:
        """The child is gone, and no plugin is to blame: there is another for what happens next."""
        get_log().error("observers_lost", reason=f"their process {how}")
        self._again = self._began + _PAUSE_SECONDS

    def _mute(self, name: str, reason: str) -> None:
        self._aside[name] = reason
        self._registry.muted.append(PluginInfo(name, "", "broken", reason=reason))

    def _strangers(self) -> bool:
        """Whether there are plugins but our own."""
        files = self._instance.plugins.glob("*.py") if self._instance.plugins.is_dir() else ()
        entries = entry_points(group=PROJECT)
        return any(files) or any(entry.dist is None or entry.dist.name != PROJECT for entry in entries)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Child:
    """The process; ``at`` is the plugin whose code runs in it, ``fate`` what became of it."""

    def __init__(
        self, settings: Settings, instance: Instance, mark: str, printed: Printed, aside: dict[str, str]
    ) -> None:
        self.at = ""
        self.fate = "ended"
        self._mark = mark
        self._received = b""
        environment = environment_less(settings.notify.variables)
        self._process, self._socket = start_marked("hearing", mark, instance.root, printed.open(), environment)
        setup = {"root": str(instance.root), "disabled": list(settings.plugins.disabled), "aside": aside}
        self.send(json.dumps(setup).encode("ascii") + b"\n")

    def send(self, line: bytes) -> None:
        """Tell it; where it has ended, `answer` finds out. A child that takes nothing in is not waited for either."""
        self._socket.settimeout(_PATIENCE)
        with suppress(OSError):
            self._socket.sendall(line)

    def answer(self, kind: str, patience: float) -> list[Any] | None:
        """What it says under ``kind``; None where it has died, hangs, or says what makes no sense.

        patience: seconds until it says its first word.
        """
        end = time.monotonic() + patience
        while True:
            while b"\n" in self._received:
                line, _, self._received = self._received.partition(b"\n")
                try:
                    said = json.loads(line)
                    if kind in said:
                        return list(said[kind])
                    self.at = str(said["at"])
                except (ValueError, TypeError, KeyError):
                    self.fate = "said what makes no sense"
                    return None
                end = time.monotonic() + _PATIENCE
            block = b""
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                block = self._socket.recv(1 << 16)
            except TimeoutError:
                self.fate = f"gave no sign of life for {_PATIENCE:g} s"
                return None
            except OSError:
                pass  # it has ended
            if not block:
                self.fate = self._how_it_ended()
                return None
            self._received += block

    def end(self) -> None:
        """End it and whatever it started."""
        end_marked(self._process, self._mark)
        self._socket.close()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "closed its line to the service"
        return how_it_ended(code)[0]
