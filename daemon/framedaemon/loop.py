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
from typing import NamedTuple

from framedaemon.disk import Ballast
from framedaemon.errors import SettingsError
from framedaemon.instance import Instance, create
from framedaemon.ledger import JobState, Ledger
from framedaemon.log import close, get_log, set_up
from framedaemon.plugins import load_plugins
from framedaemon.service import Service
from framedaemon.settings import Settings, read_settings
from framedaemon.trouble import RETRY_SECONDS, is_full, once_there_is_room, said_plainly
from framedaemon.watch import Watch

# Whoever asks whether a daemon runs holds its lock for less than this.
_LOCK_SECONDS = 0.5

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Served(NamedTuple):
    """What came of running a daemon."""

    ended: dict[JobState, int]
    """How many jobs ended in each state meanwhile."""
    problems: tuple[str, ...]
    """What keeps files in input/ from being taken, or jobs from being tried."""


def serve(instance: Instance, until_empty: bool = False, hold: bool = False) -> Served:
    """Run the instance's daemon until it is told to end.

    ``until_empty``: end when nothing is left to do. ``hold``: start without touching input/ or the queue.
    Raises SettingsError when it cannot start: settings, folders, a damaged ledger, or another daemon that runs this
    instance; FramedaemonError when the ledger cannot be written.
    """
    settings = read_settings(instance.config)
    create(instance)
    with _Signals() as signals, lock(instance), said_plainly(instance.ledger):
        set_up(settings.log, instance.logs, sys.stderr)
        try:
            return _serve(instance, settings, signals, until_empty, hold)
        finally:
            close()


def _serve(instance: Instance, settings: Settings, signals: _Signals, until_empty: bool, hold: bool) -> Served:
    ballast = _ballast(instance, settings)
    ledger = once_there_is_room(lambda: Ledger(instance.ledger), instance.tmp, ballast, signals.stopped_within)
    if ledger is None:
        return Served({}, ())
    try:
        before = ledger.count()
        registry = load_plugins(instance.plugins, settings.plugins.disabled)
        service = Service(instance, settings, ledger, registry)
        service.holding = hold
        get_log().info("daemon_started", instance=str(instance.root), pid=os.getpid())
        for plugin in registry.broken():
            get_log().warning("plugin_broken", plugin=plugin.name, origin=plugin.origin, reason=plugin.reason)
        if hold or once_there_is_room(service.recover, instance.tmp, ballast, signals.stopped_within):
            if until_empty:
                ledger.try_now(time.time())  # who starts it by hand has mended what was broken
            _Loop(instance, settings, service, signals).run(until_empty)
        after = ledger.count()
        get_log().info("daemon_stopped")
        problems = (*service.problems, *(breaker.reason for breaker in ledger.breaker.standing()))
        return Served({state: count - before.get(state, 0) for state, count in after.items()}, problems)
    finally:
        ledger.close()


def _ballast(instance: Instance, settings: Settings) -> Ballast:
    return Ballast(instance.tmp / "ballast", settings.disk.ballast_bytes)


@contextmanager
def lock(instance: Instance) -> Iterator[None]:
    """Hold the instance: one daemon at a time. Raises SettingsError, naming the one that holds it."""
    handle = os.open(instance.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)  # who may read it may hold it
    try:
        if not _locked(handle, _LOCK_SECONDS):
            pid = os.read(handle, 32).decode("ascii", "replace").strip()
            raise SettingsError(f"{instance.root}: a daemon runs here already (process {pid})")
        os.pwrite(handle, b"%-20d" % os.getpid(), 0)  # over the one before: a full disk has no room for more
        yield
    finally:
        os.close(handle)


def _locked(handle: int, patience: float) -> bool:
    """Take the lock, if need be after a moment: `daemon_pid` holds it too, just long enough to see that it can."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        else:
            return True


class _Signals:
    """Signals only leave a note and wake whoever sleeps on ``handle``; a lease that a writer breaks says nothing.

    Held from before the lock to after it: whoever sees the lock may send SIGUSR1, and that must not end the daemon.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self.handle, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> _Signals:
        self._old = {number: signal.signal(number, lambda n, frame: self.received.append(n)) for number in _SIGNALS}
        self._old[signal.SIGIO] = signal.signal(signal.SIGIO, signal.SIG_IGN)
        self._old_handle = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.set_wakeup_fd(self._old_handle)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        os.close(self.handle)
        os.close(self._waking)

    def stopped_within(self, seconds: float) -> bool:
        """Sleep so long, or until a signal says to end; whether one did. It is kept for `_Loop`."""
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            with selectors.DefaultSelector() as selector:
                selector.register(self.handle, selectors.EVENT_READ)
                selector.select(max(0.0, end - time.monotonic()))
            self.drain()
        return self.stopping

    @property
    def stopping(self) -> bool:
        """Whether a signal came that says to end."""
        return signal.SIGTERM in self.received or signal.SIGINT in self.received

    def wake(self) -> None:
        """From any thread."""
        with suppress(OSError):  # full: it will wake anyway
            os.write(self._waking, b"w")

    def drain(self) -> None:
        """Forget that we were woken."""
        with suppress(BlockingIOError):
            while os.read(self.handle, 4096):
                pass


class _Loop:
    def __init__(self, instance: Instance, settings: Settings, service: Service, signals: _Signals) -> None:
        self._instance = instance
        self._service = service
        self._signals = signals
        self._stops = 0
        self._trouble = ""
        self._equip(settings)

    def run(self, until_empty: bool) -> None:
        """Tick until the service is drained, stopped or, with ``until_empty``, has nothing left to do."""
        self._start_watch()
        try:
            while True:
                self._obey()
                due = self._tick()
                if self._ended(until_empty):
                    break
                self._sleep(due)
                self._check_watch()
        finally:
            self._watch.stop()
            self._stop()

    def _stop(self) -> None:
        """End the worker. Where the disk is full, the ballast makes room to record that its job was stopped."""
        try:
            self._service.stop()
        except (sqlite3.DatabaseError, OSError):
            self._ballast.drop()
            try:
                self._service.stop()
            except (sqlite3.DatabaseError, OSError) as error:  # the next start finds the job cut short
                get_log().error("stop_unrecorded", reason=str(error))

    def _equip(self, settings: Settings) -> None:
        """Take from the settings what is the loop's own."""
        self._watch = Watch(self._instance.input, self._wake, settings.inbox.watch)
        self._ballast = _ballast(self._instance, settings)
        self._keep_free_bytes = settings.disk.keep_free_bytes

    def _start_watch(self) -> None:
        self._watch.start()
        if self._watch.note:
            get_log().warning("input_unwatched", reason=self._watch.note)

    def _check_watch(self) -> None:
        before = self._watch.note
        if self._watch.check():
            self._service.woken = True
        if self._watch.note and self._watch.note != before:
            get_log().warning("input_unwatched", reason=self._watch.note)

    def _tick(self) -> float:
        """One pass. A ledger, or a folder, that cannot be written is tried again until it can."""
        now = time.monotonic()
        try:
            due = self._service.tick(now)
        except (sqlite3.OperationalError, OSError) as error:
            given_up = self._ballast.drop()
            if given_up or str(error) != self._trouble:
                self._trouble = str(error)
                get_log().error(
                    "pass_failed",
                    reason=self._trouble,
                    ballast_given_up=given_up,
                    exc_info=None if is_full(error, self._instance.tmp) else error,
                )
            return now + RETRY_SECONDS
        if self._trouble:
            self._trouble = ""
            get_log().info("pass_succeeded")
        self._ballast.load(self._keep_free_bytes)
        return due

    def _ended(self, until_empty: bool) -> bool:
        if self._stops > 1 or (self._service.draining and not self._service.busy):
            return True
        return until_empty and not self._trouble and self._service.idle

    def _sleep(self, due: float) -> None:
        with selectors.DefaultSelector() as selector:
            for handle in (self._signals.handle, *self._service.executor.handles()):
                selector.register(handle, selectors.EVENT_READ)
            selector.select(max(0.0, due - time.monotonic()))
        self._signals.drain()

    def _wake(self) -> None:
        """Called from the watching thread: something happened in input/."""
        self._service.woken = True
        self._signals.wake()

    def _obey(self) -> None:
        while self._signals.received:
            number = self._signals.received.pop(0)
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
        self._watch.stop()
        self._equip(settings)
        self._start_watch()
        get_log().info("settings_reloaded")
