from __future__ import annotations

import signal
import threading
import time

import pytest

from framedaemon.deadline import Overdue, deadline


def test_what_takes_too_long_is_interrupted() -> None:
    with pytest.raises(Overdue, match=r"took longer than 0\.02 s"), deadline(0.02):
        time.sleep(60)


def test_code_that_catches_everything_hears_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framedaemon.deadline._AGAIN_SECONDS", 0.02)
    caught = 0

    with pytest.raises(Overdue), deadline(0.02):
        try:
            time.sleep(60)
        except BaseException:
            caught += 1
            time.sleep(60)

    assert caught == 1


def test_what_is_done_in_time_is_left_alone_and_the_signal_is_as_before() -> None:
    before = signal.getsignal(signal.SIGALRM)

    with deadline(0.05):
        pass

    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_in_another_thread_nothing_is_interrupted() -> None:
    done = []

    def work() -> None:
        with deadline(0.001):
            done.append(threading.Event().wait(0.01))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert done == [False]
