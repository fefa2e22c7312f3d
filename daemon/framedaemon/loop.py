"""Runs a service: lock, signals, and sleep until there is something to do.

SIGTERM, SIGINT   let the job at hand go on for `stop_seconds`, then halt it, and end; it goes on at the next start.
                  A second one ends at once
SIGHUP            read config.toml again
SIGUSR1           look for requests

Started by systemd, it says so when it is up: after what a crash left is put right, and a worker has answered.
"""

from __future__ import annotations

import faulthandler
import fcntl
import math
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
from framedaemon.errors import FramedaemonError, SettingsError
from framedaemon.instance import Instance, create
from framedaemon.ledger import JobState, Ledger
from framedaemon.log import close, get_log, set_up
from framedaemon.observers import Observers
from framedaemon.plugins import new_registry
from framedaemon.pulse import felt_by
from framedaemon.service import Service
from framedaemon.settings import Settings, read_settings
from framedaemon.signals import Signals
from framedaemon.systemd import Notifier, notifier_from
from framedaemon.trouble import RETRY_SECONDS, is_full, once_there_is_room, said_plainly
from framedaemon.watch import Watch

# Whoever asks whether a daemon runs holds its lock for less than this.
_LOCK_SECONDS = 0.5

# So often at most is it said how far the job is.
_SAY_SECONDS = 1.0

# To take down how the job at hand was halted; systemd waits 30 s for it.
_STOP_MARGIN_SECONDS = 10.0


class Served(NamedTuple):
    """What came of running a daemon."""

    ended: dict[JobState, int]
    """How many jobs ended in each state meanwhile."""
    problems: tuple[str, ...]
    """What keeps files in input/ from being taken, or jobs from being tried."""


def serve(instance: Instance, until_empty: bool = False, hold: bool = False) -> Served:
    """Run the instance's daemon until it is told to end.

    ``until_empty``: end when nothing is left to do. ``hold``: start without touching input/ or the queue.
    Raises SettingsError when it cannot start: settings, folders, a damaged ledger; FramedaemonError when another daemon
    runs this instance, or the ledger cannot be written.
    """
    settings = read_settings(instance.config)
    create(instance)
    notifier = notifier_from(os.environ)
    if notifier.listened_to:
        faulthandler.enable()  # a loop that hangs is ended by SIGABRT: where each thread was then stands in the journal
    with Signals() as signals, lock(instance), said_plainly(instance.ledger), felt_by(notifier.beat):
        set_up(settings.log, instance.logs, sys.stderr)
        try:
            return _serve(instance, settings, signals, notifier, until_empty, hold)
        finally:
            close()
            notifier.close()


def _serve(
    instance: Instance, settings: Settings, signals: Signals, notifier: Notifier, until_empty: bool, hold: bool
) -> Served:
    def stopped_within(seconds: float) -> bool:
        notifier.status("the start waits for room on the disk")
        return signals.stopped_within(seconds)

    ballast = _ballast(instance, settings)
    ledger = once_there_is_room(lambda: Ledger(instance.ledger), instance.tmp, ballast, stopped_within)
    if ledger is None:
        return Served({}, ())
    try:
        before = ledger.count()
        registry = new_registry()  # of our own alone: what strangers wrote is loaded by the worker, and by bystanders
        service = Service(instance, settings, ledger, registry)
        service.holding = hold
        get_log().info("daemon_started", instance=str(instance.root), pid=os.getpid())
        notifier.status("putting right what was left half done")
        if hold or once_there_is_room(service.recover, instance.tmp, ballast, stopped_within):
            if until_empty:
                ledger.try_now(time.time())  # who starts it by hand has mended what was broken
            _Loop(instance, settings, service, signals, notifier, Observers(instance, registry)).run(until_empty)
        after = ledger.count()
        get_log().info("daemon_stopped")
        notifier.status("")  # `systemctl status` would go on telling of its last job
        held_back = (service.paused,) if service.paused else ()
        problems = (*service.problems, *held_back, *(breaker.reason for breaker in ledger.breaker.standing()))
        return Served({state: count - before.get(state, 0) for state, count in after.items()}, problems)
    finally:
        ledger.close()


def _ballast(instance: Instance, settings: Settings) -> Ballast:
    return Ballast(instance.tmp / "ballast", settings.disk.ballast_bytes)


@contextmanager
def lock(instance: Instance) -> Iterator[None]:
    """Hold the instance: one daemon at a time. Raises FramedaemonError, naming the one that holds it."""
    handle = os.open(instance.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)  # who may read it may hold it
    try:
        if not _locked(handle, _LOCK_SECONDS):
            pid = os.read(handle, 32).decode("ascii", "replace").strip()
            raise FramedaemonError(f"{instance.root}: a daemon runs here already (process {pid})")  # not for ever
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


class _Loop:
    def __init__(
        self,
        instance: Instance,
        settings: Settings,
        service: Service,
        signals: Signals,
        notifier: Notifier,
        observers: Observers,
    ) -> None:
        self._instance = instance
        self._service = service
        self._signals = signals
        self._notifier = notifier
        self._observers = observers
        self._up = self._halted = False
        self._refused = ""
        self._say_due = 0.0
        self._stops = 0
        self._stopped_at = 0.0
        self._trouble = ""
        self._equip(settings)

    def run(self, until_empty: bool) -> None:
        """Tick until the service is drained, stopped or, with ``until_empty``, has nothing left to do."""
        self._start_watch()
        self._notifier.patient = False  # from here on a worker has to answer in good time
        try:
            while True:
                self._obey()
                due = min(self._tick(), self._halt_in_time(), self._say())
                if self._ended(until_empty):
                    break
                self._sleep(due)
                self._check_watch()
        finally:
            self._watch.stop()
            self._stop()
            self._observers.close()

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

    def _say(self) -> float:
        """Tell systemd that we live, what we do and, once, that we are up; returns when it is to be told again."""
        now = time.monotonic()
        if not self._notifier.listened_to:
            return math.inf
        self._notifier.beat()
        with suppress(sqlite3.OperationalError):  # the ledger cannot be read just now
            if not self._up and not self._service.draining:
                self._come_up(now)
            if now >= self._say_due:
                self._say_due = now + _SAY_SECONDS
                self._notifier.status(self._refused + (self._service.describe() if self._up else "starting a worker"))
        return now + self._notifier.interval / 2

    def _come_up(self, now: float) -> None:
        """A service is up when a worker answers: one that cannot even start a worker would make no video."""
        if self._service.holding or self._service.ready:
            self._notifier.status(self._service.describe())
            self._notifier.ready()
            self._up = True
        elif self._service.executor.available(now):
            self._service.start_worker(now)

    def _halt_in_time(self) -> float:
        """Halt the job at hand once it has had its time since the daemon was told to end; returns when that will be."""
        if not self._service.draining or not self._service.busy or self._halted:
            return math.inf
        due = self._stopped_at + self._stop_seconds
        if time.monotonic() >= due:
            get_log().info("daemon_halting", seconds=self._stop_seconds)
            try:
                self._service.halt(time.monotonic())
            except (sqlite3.OperationalError, OSError):
                return time.monotonic() + RETRY_SECONDS
            self._halted = True
            return 0.0
        return due

    def _equip(self, settings: Settings) -> None:
        """Take from the settings what is the loop's own."""
        self._stop_seconds = settings.service.stop_seconds
        self._longest_stop = self._stop_seconds + settings.worker.halt_seconds + _STOP_MARGIN_SECONDS
        self._watch = Watch(self._instance.input, self._wake, settings.inbox.watch)
        self._ballast = _ballast(self._instance, settings)
        self._observers.equip(settings)
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
        if self._service.draining and time.monotonic() > self._stopped_at + self._longest_stop:
            return True  # its worker has ended long ago, and the ledger does not take it down
        return until_empty and not self._trouble and self._service.idle

    def _sleep(self, due: float) -> None:
        with selectors.PollSelector() as selector:  # of all kinds, the one that needs no file handle of its own
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
                self._stopped_at = self._stopped_at or time.monotonic()
                self._service.draining = True
                self._notifier.stopping()
                get_log().info("daemon_draining" if self._stops == 1 else "daemon_stopping", busy=self._service.busy)
            elif number == signal.SIGHUP:
                self._reload()

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            self._take_settings()
        finally:
            if self._up:
                self._notifier.ready()

    def _take_settings(self) -> None:
        try:
            settings = read_settings(self._instance.config)
        except SettingsError as error:
            get_log().error("settings_refused", problems=list(error.problems))
            self._refused = "config.toml is refused, the settings before it stay in force; "
            return
        self._refused = ""
        set_up(settings.log, self._instance.logs, sys.stderr)
        self._service.reload(settings)
        self._watch.stop()
        self._equip(settings)
        self._start_watch()
        get_log().info("settings_reloaded")
