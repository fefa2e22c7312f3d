"""What reaches the journal's socket, here one of the test's own."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from framedaemon.journal import JournalHandler, encode, is_journal
from framedaemon.log import close, get_log, set_up
from framedaemon.settings import LogSettings


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "journal"))
    listening.settimeout(5)
    yield listening
    listening.close()


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[JournalHandler]:
    made = JournalHandler(tmp_path / "journal")
    made.setFormatter(logging.Formatter("%(message)s"))
    yield made
    made.close()


def _record(text: str) -> logging.LogRecord:
    return logging.LogRecord("framedaemon", logging.INFO, "", 0, text, None, None)


def test_facts_are_fields_and_the_message_reads_well() -> None:
    facts = {"timestamp": "2025-08-01T12:00:00Z", "level": "warning", "event": "job_retried", "job": "1-1"}

    lines = encode({**facts, "name": "my cat.jpg", "seconds": 1.5, "why": None}).decode().splitlines()

    assert lines == [
        'MESSAGE=job_retried job=1-1 name="my cat.jpg" seconds=1.5 why=null',
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=framedaemon",
        "FRAMEDAEMON_EVENT=job_retried",
        "FRAMEDAEMON_JOB=1-1",
        "FRAMEDAEMON_NAME=my cat.jpg",
        "FRAMEDAEMON_SECONDS=1.5",
        "FRAMEDAEMON_WHY=null",
    ]


def test_a_traceback_keeps_its_lines_and_forges_no_field() -> None:
    said = encode({"event": "attempt_failed", "level": "error", "exception": "Traceback\nPRIORITY=0\nValueError"})

    message = b"attempt_failed\nTraceback\nPRIORITY=0\nValueError"
    head = b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n"
    assert said.startswith(head)
    assert said.removeprefix(head).startswith(b"PRIORITY=3\n")


def test_a_value_with_lines_forges_no_field() -> None:
    said = encode({"event": "job_failed", "level": "info", "reason": "a\nFRAMEDAEMON_JOB=2-2"})

    assert b"\nFRAMEDAEMON_REASON\n" + (21).to_bytes(8, "little") + b"a\nFRAMEDAEMON_JOB=2-2\n" in said


def test_a_line_reaches_the_journal(journal: socket.socket, handler: JournalHandler) -> None:
    handler.handle(_record('{"event": "daemon_started", "level": "info"}'))

    assert journal.recv(4096).startswith(b"MESSAGE=daemon_started\nPRIORITY=6\n")


def test_a_line_too_large_for_a_datagram_comes_as_a_sealed_file(
    journal: socket.socket, handler: JournalHandler
) -> None:
    handler.handle(_record('{"event": "job_failed", "reason": "' + "x" * 2_000_000 + '"}'))

    _, (handle, *_), _, _ = socket.recv_fds(journal, 10, 1)
    with os.fdopen(handle, "rb") as file:
        file.seek(0)
        said = file.read()
        with pytest.raises(OSError):
            os.ftruncate(file.fileno(), 0)
    assert said.startswith(b"MESSAGE=job_failed reason=xxx") and len(said) > 4_000_000


def test_a_journal_that_is_gone_costs_the_line_only(journal: socket.socket, handler: JournalHandler) -> None:
    journal.close()

    handler.handle(_record('{"event": "daemon_started"}'))


def test_a_stream_is_the_journal_when_systemd_says_so(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        ours = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}

        assert is_journal(stream, ours)
        assert not is_journal(stream, {"JOURNAL_STREAM": "1:2"})
        assert not is_journal(stream, {})


def test_a_closed_stream_is_no_journal(tmp_path: Path) -> None:
    stream = (tmp_path / "stream").open("w")
    stream.close()

    assert not is_journal(stream, {"JOURNAL_STREAM": "1:2"})


def test_logs_go_to_the_journal_in_place_of_the_stream_that_leads_there(
    tmp_path: Path, journal: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framedaemon.log.JournalHandler", lambda: JournalHandler(tmp_path / "journal"))
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        try:
            set_up(LogSettings(), None, stream)
            get_log().info("job_claimed", job="1-1", name="caf\x1b.jpg")
        finally:
            close()
            structlog.reset_defaults()
            logging.getLogger("framedaemon").propagate = True

    fields = journal.recv(4096).decode().splitlines()
    assert fields[0] == "MESSAGE=job_claimed job=1-1 name=caf\\x1b.jpg"
    assert "FRAMEDAEMON_JOB=1-1" in fields
    assert (tmp_path / "stderr").read_text() == ""


def test_the_journal_is_not_spoken_to_where_stderr_is_a_pipe(tmp_path: Path) -> None:
    code = (
        "import sys; from framedaemon.log import *; from framedaemon.settings import LogSettings;"
        "set_up(LogSettings(), None, sys.stderr); get_log().info('daemon_started')"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert '"event": "daemon_started"' in said.stderr
