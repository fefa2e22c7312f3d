"""status and watch, which look at the whole of an instance."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import PROGRAM, Commands
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from queues import end_job, queue_job

LEFT = b"\x1b[?1049l"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """No daemon, a job that waits, one that failed and one that did not."""
    instance = Instance(tmp_path / "instance")
    create(instance)
    ledger = Ledger(instance.ledger)
    end_job(ledger, "good.jpg", seconds=60.0)
    end_job(ledger, "bad.png", "failed", "[encode] crf: 99 is not in 0..51", started=20.0)
    queue_job(ledger, "next.jpg", 30.0)
    ledger.close()
    monkeypatch.chdir(instance.root)
    return instance


def test_the_status_is_an_overview_as_json(command: Commands, instance: Instance) -> None:
    facts = command("status", "--json").json

    assert (facts["version"], facts["daemon"], facts["current"]) == (1, None, None)
    assert facts["counts"] == {"done": 1, "failed": 1, "queued": 1}
    assert [(job["name"], job["state"]) for job in facts["ended"]] == [("bad.png", "failed"), ("good.jpg", "done")]
    assert [one["job"]["name"] for one in facts["queue"]["next"]] == ["next.jpg"]


def test_the_status_for_people_says_what_watch_shows_and_how_to_learn_more(
    command: Commands, instance: Instance
) -> None:
    said = command("status").out.splitlines()

    assert said[0].endswith("no daemon")
    assert any(line.startswith("next.jpg") and line.endswith("takes 1 min") for line in said)
    assert any("bad.png: [encode] crf: 99 is not in 0..51" in line for line in said)
    assert said[-1] == "framedaemon show JOB or NAME tells all of one job"


def test_where_the_encoding_lacks_letters_they_are_escaped_and_bars_are_ascii(instance: Instance) -> None:
    ledger = Ledger(instance.ledger)
    queue_job(ledger, "Übersee.jpg", 31.0)
    ledger.close()
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}

    said = subprocess.run([*PROGRAM, "status"], env=environ, capture_output=True, text=True, check=True).stdout

    assert "\\xdcbersee.jpg" in said
    assert "\\u2500" not in said and said.isascii()


def test_requests_are_answered_to_scripts_by_whether_a_daemon_heard_them(command: Commands, instance: Instance) -> None:
    assert command("cancel", "d2-1", "--json").json == {"d2-1": {"daemon": False}}
    assert command("cancel", "nonsense", "--json").json == {}
    assert command("retry", "--waiting", "--json").json == {"daemon": False}


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_without_a_terminal_watch_says_what_to_use_instead(
    command: Commands, instance: Instance, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    monkeypatch.setenv("TERM", term)

    said = command("watch")

    assert (said.code, said.out) == (2, "")
    assert "framedaemon status" in said.err


class Screen:
    """A terminal of a size, with watch on it."""

    def __init__(self, ours: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._ours = ours

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def read_until(self, words: bytes) -> bytes:
        said = b""
        end = time.monotonic() + 180
        while words not in said:
            assert time.monotonic() < end, said
            said += os.read(self._ours, 65536)
        return said


@contextmanager
def watching(columns: int, lines: int, **environ: str) -> Iterator[Screen]:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        [*PROGRAM, "watch"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **environ},
    )
    os.close(theirs)
    try:
        yield Screen(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_screen_follows_its_terminals_size_and_q_leaves_it(instance: Instance) -> None:
    with watching(80, 24) as screen:
        wide = screen.read_until(b"q quits")
        screen.resize(40, 12)
        screen.read_until(b"\x1b[2J")  # it may have drawn on what was there before it heard of the size
        narrow = screen.read_until(b"q quits")
        screen.type(b"q")
        end = screen.read_until(LEFT)
        code = screen.process.wait(60)

    assert wide.startswith(b"\x1b[?1049h")
    assert b"no daemon runs here" in wide
    assert b"\x1b[13;1H" not in narrow
    assert b"\x1b[?25h" in end
    assert code == 0


def test_whatever_ends_the_screen_the_terminal_is_left_as_it_was(instance: Instance) -> None:
    with watching(80, 24) as screen:
        screen.read_until(b"q quits")
        screen.process.terminate()
        end = screen.read_until(LEFT)
        code = screen.process.wait(60)

    assert b"\x1b[?7h" in end
    assert code == 0


def test_a_terminal_without_colours_or_unicode_gets_neither(instance: Instance) -> None:
    with watching(80, 24, NO_COLOR="1", PYTHONIOENCODING="latin-1") as screen:
        said = screen.read_until(b"q quits")

    assert b"------" in said
    assert max(said) < 128
    assert b"\x1b[31m" not in said
