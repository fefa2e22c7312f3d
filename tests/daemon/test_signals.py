from __future__ import annotations

import os
import signal
import threading
import time

from framedaemon.pulse import felt_by
from framedaemon.signals import Signals


def test_a_signal_leaves_a_note_and_ends_nothing() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)

        assert signals.received == [signal.SIGHUP, signal.SIGTERM]
        assert signals.stopping


def test_afterwards_signals_mean_what_they_did_before() -> None:
    before = signal.getsignal(signal.SIGHUP)

    with Signals():
        pass

    assert signal.getsignal(signal.SIGHUP) == before


def test_a_sleep_ends_with_the_signal_that_says_to_end() -> None:
    with Signals() as signals:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        started = time.monotonic()

        assert signals.stopped_within(60.0)
        assert time.monotonic() - started < 30.0


def test_a_sleep_that_nothing_ends_gives_a_sign_of_life() -> None:
    felt: list[str] = []

    with Signals() as signals, felt_by(lambda: felt.append("beat")):
        assert not signals.stopped_within(0.01)

    assert felt
