from __future__ import annotations

import json
from pathlib import Path

import pytest

from framedaemon.logtail import _TAIL_BYTES, last_warnings

AT = "2026-11-23T01:00:00.500000Z"


def _write(log: Path, *lines: dict[str, object]) -> Path:
    log.write_text("".join(f"{json.dumps({'timestamp': AT, **line})}\n" for line in lines), encoding="utf-8")
    return log


def test_the_last_warning_comes_first_and_what_is_no_warning_not_at_all(tmp_path: Path) -> None:
    log = _write(
        tmp_path / "log",
        {"level": "error", "event": "pass_failed", "reason": "disk full"},
        {"level": "info", "event": "job_claimed"},
        {"level": "warning", "event": "job_retried", "name": "a.jpg", "reason": "crashed"},
        {"level": "warning", "event": "job_failed", "reason": "told elsewhere"},
    )

    found = last_warnings(log, 9, frozenset({"job_failed"}))

    assert [(line.level, line.event, line.name, line.said) for line in found] == [
        ("warning", "job_retried", "a.jpg", "crashed"), ("error", "pass_failed", "", "disk full"),
    ]  # fmt: skip
    assert found[0].at == pytest.approx(1795395600.5)
    assert last_warnings(log, 1)[0].said == "told elsewhere"


def test_several_problems_are_told_on_one_line(tmp_path: Path) -> None:
    log = _write(tmp_path / "log", {"level": "error", "event": "settings_refused", "problems": ["a: 1", "b: 2"]})

    assert last_warnings(log, 9)[0].said == "a: 1, b: 2"


def test_a_notice_that_went_nowhere_is_told_with_where_to(tmp_path: Path) -> None:
    log = _write(
        tmp_path / "log", {"level": "error", "event": "notice_given_up", "target": "webhook a", "reason": "no"}
    )

    assert (last_warnings(log, 9)[0].name, last_warnings(log, 9)[0].said) == ("webhook a", "no")


def test_of_a_large_log_only_the_end_is_read(tmp_path: Path) -> None:
    log = _write(
        tmp_path / "log",
        {"level": "error", "event": "long_ago"},
        {"level": "info", "event": "x" * _TAIL_BYTES},
        {"level": "error", "event": "just_now"},
    )

    assert [line.event for line in last_warnings(log, 9)] == ["just_now"]


def test_lines_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b'\xff{"level"\n[]\nnull\n{"level": "error", "event": "kept", "timestamp": "soon"}\n{"level": "err')

    assert [(line.event, line.at) for line in last_warnings(log, 9)] == [("kept", 0.0)]


def test_no_log_has_no_warnings(tmp_path: Path) -> None:
    assert last_warnings(tmp_path / "log", 9) == ()
