from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from framedaemon.log import DAEMON_LOG, close, get_log, job_log, set_up
from framedaemon.settings import LogSettings

HOSTILE = os.fsdecode(b'caf\xe9\n{"event": "job_published"}\r\x1b[2J\xe2\x80\xae.jpg')


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leaves logging as it was found."""
    raising = logging.raiseExceptions
    yield
    close()
    structlog.reset_defaults()
    logging.raiseExceptions = raising
    logging.getLogger("framedaemon").propagate = True


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _fail(reason: str) -> None:
    raise ValueError(reason)


def test_each_event_is_a_line_of_json_with_time_and_level(tmp_path: Path) -> None:
    set_up(LogSettings(), tmp_path / "logs", None)

    get_log().info("job_claimed", job="1-1", seconds=1.5)
    get_log().warning("disk_waiting", free_bytes=3)

    first, second = _lines(tmp_path / "logs" / DAEMON_LOG)
    assert list(first) == ["timestamp", "level", "event", "job", "seconds"]
    assert (first["event"], first["level"], first["job"], first["seconds"]) == ("job_claimed", "info", "1-1", 1.5)
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["level"]) == ("disk_waiting", "warning")


@pytest.mark.parametrize(("level", "written"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_what_matters_less_than_the_level_is_left_out(tmp_path: Path, level: Any, written: int) -> None:
    set_up(LogSettings(level=level), tmp_path, None)

    get_log().debug("stages_timed")
    get_log().info("job_claimed")
    get_log().warning("disk_waiting")

    path = tmp_path / DAEMON_LOG
    assert len(_lines(path) if path.exists() else []) == written


def test_a_hostile_name_stays_on_its_line_in_the_file(tmp_path: Path) -> None:
    set_up(LogSettings(), tmp_path, None)

    get_log().info("job_claimed", name=HOSTILE, names=[HOSTILE])

    (line,) = _lines(tmp_path / DAEMON_LOG)
    assert line["name"] == 'caf\\xe9\\n{"event": "job_published"}\\r\\x1b[2J\\u202e.jpg'
    assert line["event"] == "job_claimed"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_hostile_name_stays_on_its_line_on_the_screen_and_does_not_clear_it(stream: type[io.StringIO]) -> None:
    screen = stream()
    set_up(LogSettings(), None, screen)

    get_log().info("job_claimed", name=HOSTILE, names=[HOSTILE])

    assert screen.getvalue().count("\n") == 1
    assert "\x1b[2J" not in screen.getvalue()
    assert "\u202e" not in screen.getvalue()


def test_a_traceback_keeps_its_lines_but_not_what_a_stranger_put_into_it() -> None:
    screen = Terminal()
    set_up(LogSettings(), None, screen)

    try:
        _fail(HOSTILE)
    except ValueError as error:
        get_log().warning("attempt_failed", exc_info=error)

    assert "Traceback" in screen.getvalue()
    assert "\n    _fail(HOSTILE)\n" in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()
    assert "\udce9" not in screen.getvalue()


def test_a_pipe_gets_json_and_a_terminal_does_not() -> None:
    pipe, terminal = io.StringIO(), Terminal()

    set_up(LogSettings(), None, pipe)
    get_log().info("job_claimed", job="1-1")
    set_up(LogSettings(), None, terminal)
    get_log().info("job_claimed", job="1-1")

    assert json.loads(pipe.getvalue())["job"] == "1-1"
    assert not terminal.getvalue().startswith("{")
    assert "job_claimed" in terminal.getvalue()


def test_a_full_log_file_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    set_up(LogSettings(max_bytes=10_000, keep=2), tmp_path, None)

    for index in range(300):
        get_log().info("job_claimed", job=str(index), filler="x" * 100)

    assert sorted(path.name for path in tmp_path.iterdir()) == [DAEMON_LOG, f"{DAEMON_LOG}.1", f"{DAEMON_LOG}.2"]
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    assert _lines(tmp_path / DAEMON_LOG)[-1]["job"] == "299"


def test_setting_up_again_writes_each_line_once(tmp_path: Path) -> None:
    set_up(LogSettings(), tmp_path, None)
    set_up(LogSettings(), tmp_path, None)

    get_log().info("job_claimed")

    assert len(_lines(tmp_path / DAEMON_LOG)) == 1


# --- a job's own log


def test_every_line_within_a_job_carries_it_and_goes_to_both_logs(tmp_path: Path) -> None:
    set_up(LogSettings(), tmp_path, None)

    with job_log(tmp_path / "jobs" / "1-1.jsonl", "1-1", HOSTILE) as log:
        log.info("job_planned", frames=8)
        get_log().info("video_made")
    get_log().info("worker_ready")

    own, all_lines = _lines(tmp_path / "jobs" / "1-1.jsonl"), _lines(tmp_path / DAEMON_LOG)
    assert [(line["event"], line["job"]) for line in own] == [("job_planned", "1-1"), ("video_made", "1-1")]
    assert own[0]["name"] == 'caf\\xe9\\n{"event": "job_published"}\\r\\x1b[2J\\u202e.jpg'
    assert [line.get("job") for line in all_lines] == ["1-1", "1-1", None]


def test_a_jobs_log_goes_on_where_the_attempt_before_ended(tmp_path: Path) -> None:
    set_up(LogSettings(), None, None)

    for attempt in (1, 2):
        with job_log(tmp_path / "1-1.jsonl", "1-1", "photo.jpg") as log:
            log.info("job_planned", attempt=attempt)

    assert [line["attempt"] for line in _lines(tmp_path / "1-1.jsonl")] == [1, 2]


def test_a_job_that_fails_lets_go_of_its_log(tmp_path: Path) -> None:
    set_up(LogSettings(), None, None)

    with pytest.raises(ValueError, match="broken"), job_log(tmp_path / "1-1.jsonl", "1-1", "photo.jpg"):
        _fail("broken")

    assert logging.getLogger("framedaemon").handlers == []
    assert structlog.contextvars.get_contextvars() == {}


def test_a_traceback_stands_in_the_jobs_log(tmp_path: Path) -> None:
    set_up(LogSettings(), None, None)

    with job_log(tmp_path / "1-1.jsonl", "1-1", "photo.jpg") as log:
        try:
            _fail("no frames")
        except ValueError as error:
            log.warning("attempt_failed", exc_info=error)

    (line,) = _lines(tmp_path / "1-1.jsonl")
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: no frames")


# --- disks that fail


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="there is no /dev/full here")
@pytest.mark.parametrize("filler", [10, 100_000])
def test_a_full_disk_stops_neither_the_daemon_nor_a_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], filler: int
) -> None:
    """Short lines stay in the buffer and fail once more when the log is closed."""
    (tmp_path / DAEMON_LOG).symlink_to("/dev/full")
    (tmp_path / "1-1.jsonl").symlink_to("/dev/full")

    set_up(LogSettings(), tmp_path, None)
    with job_log(tmp_path / "1-1.jsonl", "1-1", "photo.jpg") as log:
        log.info("job_planned", filler="x" * filler)
    close()

    assert capsys.readouterr().err == ""


def test_a_log_in_a_place_that_is_no_folder_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()

    set_up(LogSettings(), tmp_path / "logs", None)
    with job_log(tmp_path / "logs" / "jobs" / "1-1.jsonl", "1-1", "photo.jpg") as log:
        log.info("job_planned")


def test_a_log_that_could_not_be_written_is_once_it_can(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    set_up(LogSettings(), tmp_path / "logs", None)
    get_log().info("lost")
    (tmp_path / "logs").unlink()
    (tmp_path / "logs").mkdir()

    get_log().info("job_claimed")

    assert [line["event"] for line in _lines(tmp_path / "logs" / DAEMON_LOG)] == ["job_claimed"]
