"""Runs a service: lock, signals, and sleep until there is something to do.

SIGTERM, SIGINT   finish the job at hand, then end; a second one ends at once, and the job goes on at the next start
SIGHUP            read config.toml again
SIGUSR1           look for requests
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from framedaemon.disk import Ballast
from framedaemon.errors import SettingsError
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from framedaemon.log import close, get_log, set_up
from framedaemon.plugins import load_plugins
from framedaemon.service import Service
from framedaemon.settings import Settings, read_settings
from framedaemon.watch import Watch

# A full disk may keep the ledger from being written; the job at hand works on meanwhile.
_LEDGER_RETRY_SECONDS = 2.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def serve(instance: Instance, until_empty: bool = False, hold: bool = False, quiet: bool = False) -> dict[str, int]:
    """Run the instance's daemon until it is told to end; returns how many jobs ended in each state meanwhile.

    ``until_empty``: end when nothing is left to do. ``hold``: start without touching input/ or the queue.
    Raises SettingsError when it cannot start: settings, folders, or another daemon that runs this instance.
    """
    settings = read_settings(instance.config)
    create(instance)
    with lock(instance):
        set_up(settings.log, instance.logs, None if quiet else sys.stderr)
        ledger = Ledger(instance.ledger)
        try:
            before = ledger.count()
            registry = load_plugins(instance.plugins, settings.plugins.disabled)
            service = Service(instance, settings, ledger, registry)
            service.holding = hold
            get_log().info("daemon_started", instance=str(instance.root), pid=os.getpid())
            for plugin in registry.broken():
                get_log().warning("plugin_broken", plugin=plugin.name, origin=plugin.origin, reason=plugin.reason)
            service.recover()
            _Loop(instance, settings, service).run(until_empty)
            after = ledger.count()
            get_log().info("daemon_stopped")
            return {state: count - before.get(state, 0) for state, count in after.items()}
        finally:
            ledger.close()
            close()


@contextmanager
def lock(instance: Instance) -> Iterator[None]:
    """Hold the instance: one daemon at a time. Raises SettingsError, naming the one that holds it."""
    handle = os.open(instance.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(handle, 32).decode("ascii", "replace").strip()
            raise SettingsError(f"{instance.root}: a daemon runs here already (process {pid})") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


class _Loop:
    def __init__(self, instance: Instance, settings: Settings, service: Service) -> None:
        self._instance = instance
        self._service = service
        self._reading, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watch = Watch(instance.input, self._wake, settings.inbox.watch)
        self._ballast = Ballast(instance.tmp / "ballast", settings.disk.ballast_bytes)
        self._keep_free_bytes = settings.disk.keep_free_bytes
        self._said_note = ""
        self._received: list[int] = []
        self._stops = 0

    def run(self, until_empty: bool) -> None:
        """Tick until the service is drained, stopped or, with ``until_empty``, has nothing left to do."""
        with self._signals():
            self._watch.start()
            self._say_note()
            try:
                while True:
                    due = self._tick()
                    if self._ended(until_empty):
                        break
                    self._sleep(due)
                    self._obey()
                    self._look_after_watch()
            finally:
                self._watch.stop()
                self._service.stop()
                os.close(self._reading)
                os.close(self._waking)

    def _tick(self) -> float:
        """One pass; a ledger that cannot be written waits for room and is tried again."""
        now = time.monotonic()
        try:
            due = self._service.tick(now)
        except sqlite3.OperationalError as error:
            get_log().error("ledger_unwritable", reason=str(error), ballast_given_up=self._ballast.drop())
            return now + _LEDGER_RETRY_SECONDS
        self._ballast.load(self._keep_free_bytes)
        return due

    def _look_after_watch(self) -> None:
        if self._watch.check():
            self._service.woken = True
        self._say_note()

    def _say_note(self) -> None:
        """Why no events come, once each time that it changes."""
        if self._watch.note != self._said_note:
            self._said_note = self._watch.note
            get_log().warning("watch_changed", note=self._watch.note or "events come")

    def _ended(self, until_empty: bool) -> bool:
        if self._stops > 1 or (self._service.draining and not self._service.busy):
            return True
        return until_empty and self._service.idle

    def _sleep(self, due: float) -> None:
        with selectors.DefaultSelector() as selector:
            for handle in (self._reading, *self._service.executor.handles()):
                selector.register(handle, selectors.EVENT_READ)
            selector.select(max(0.0, due - time.monotonic()))
        with suppress(BlockingIOError):
            while os.read(self._reading, 4096):
                pass

    def _wake(self) -> None:
        """Called from the watching thread: something happened in input/."""
        self._service.woken = True
        with suppress(OSError):  # full: it will wake anyway; closed: it is over
            os.write(self._waking, b"w")

    def _obey(self) -> None:
        received, self._received = self._received, []
        for number in received:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stops += 1
                self._service.draining = True
                get_log().info("daemon_draining" if self._stops == 1 else "daemon_stopping", busy=self._service.busy)
            elif number == signal.SIGHUP:
                self._reload()

    def _reload(self) -> None:
        try:
            settings = read_settings(self._instance.config)
        except SettingsError as error:
            get_log().error("settings_refused", problems=list(error.problems))
            return
        set_up(settings.log, self._instance.logs, sys.stderr)
        self._service.reload(settings)
        get_log().info("settings_reloaded")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals only leave a note and wake the loop; a lease that a writer breaks says nothing."""
        old = {number: signal.signal(number, lambda n, frame: self._received.append(n)) for number in _SIGNALS}
        old[signal.SIGIO] = signal.signal(signal.SIGIO, signal.SIG_IGN)
        old_handle = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_handle)
            for number, handler in old.items():
                signal.signal(number, handler)
