from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fakes import machine, picture, registry_of
from framedaemon.ledger import Ledger
from framedaemon.plan import make_plan
from framedaemon.recipe import Recipe
from framedaemon.status import Progress, Status, describe, read_status, write_status

BROKEN_NAME = os.fsdecode(b"caf\xe9.jpg")


def _progress(done: int = 0, total: int = 1000, expected: float | None = None) -> Progress:
    stages = {"camera": (total, total), "ffmpeg": (done, total)}
    return Progress("1-1", "photo.jpg", 1, 40.0, stages, "", expected, {"camera": (1, 90.0), "ffmpeg": (0, 100.0)})


def _status(progress: Progress | None = None, pid: int | None = None) -> Status:
    said = {"since": 17.5, "worker": 4711, "paused": "paused by hand"}
    return Status(pid or os.getpid(), 123.5, False, progress, ("input/ is gone",), **said)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


# --- how long it will take


def test_once_there_are_frames_they_tell_the_remaining_time() -> None:
    assert _progress(done=250, expected=1.0).remaining_seconds(now=160.0) == pytest.approx(180.0)


def test_their_pace_counts_from_the_first_of_them_and_not_from_the_jobs_start() -> None:
    """A network draws for minutes before a frame comes, and then they come fast."""
    assert _progress(done=250).frames_per_second(now=150.0) == pytest.approx(5.0)


def test_at_the_last_frame_nothing_remains() -> None:
    assert _progress(done=1000).remaining_seconds(now=160.0) == 0.0


@pytest.mark.parametrize(("done", "total"), [(0, 1000), (19, 1000), (9, 100), (3, 5)])
def test_the_first_frames_tell_nothing_because_loading_is_among_their_time(done: int, total: int) -> None:
    assert _progress(done, total, expected=150.0).remaining_seconds(now=160.0) == 30.0


def test_of_a_job_that_takes_longer_than_expected_nothing_is_said_before_its_frames_do() -> None:
    assert _progress(expected=30.0).remaining_seconds(now=160.0) is None


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert _progress().remaining_seconds(now=160.0) is None
    assert Progress("1-1", "photo.jpg", 1, 100.0).remaining_seconds(now=160.0) is None


def test_frames_that_were_there_already_say_nothing_of_the_pace() -> None:
    """An attempt that goes on at 700 of 1000 frames and made 50 in a minute needs five more."""
    progress = Progress("1-1", "photo.jpg", 2, 40.0)
    progress.advance("ffmpeg", 700, 1000, now=100.0)
    progress.advance("ffmpeg", 750, 1000, now=160.0)

    assert progress.remaining_seconds(now=160.0) == pytest.approx(300.0)


def test_the_video_tells_the_pace_though_it_was_heard_of_first(ledger: Ledger) -> None:
    """An attempt that goes on says first how much of the video is there."""
    plan = make_plan(picture(), Recipe(), registry_of(), machine(), seed=1).summary()
    progress = Progress("1-1", "photo.jpg", 2, 40.0)
    progress.expect(plan, ledger.history)
    first, *_, last = (step.stage for step in plan.steps)
    for stage, done, now in ((last, 700, 100.0), (first, 700, 110.0), (first, 1000, 150.0), (last, 750, 160.0)):
        progress.advance(stage, done, 1000, now)

    assert list(progress.stages) == [first, last]
    assert progress.remaining_seconds(now=160.0) == pytest.approx(300.0)


def test_what_is_expected_is_the_slowest_stage_by_earlier_jobs_else_by_its_estimate(ledger: Ledger) -> None:
    plan = make_plan(picture(), Recipe(), registry_of(), machine(), seed=1).summary()
    progress = _progress()

    progress.expect(plan, ledger.history)
    by_estimates = progress.expected_seconds
    ledger.history.measure("raw", plan.megapixels / 2, 40.0, 0, 0, now=1.0)
    progress.expect(plan, ledger.history)

    assert by_estimates == max(step.seconds for step in plan.steps)
    assert progress.expected_seconds == pytest.approx(80.0)


# --- in one line


@pytest.mark.parametrize(
    ("progress", "said", "line"),
    [
        (None, {}, "idle; 14 wait"),
        (None, {"paused": "paused by hand"}, "paused by hand; 14 wait"),
        (None, {"draining": True}, "idle; ends; 14 wait"),
        (Progress("1-1", "a.jpg", 1, 40.0), {}, "a.jpg: planning; 14 wait"),
        (Progress("1-1", "a.jpg", 1, 40.0, step="denoise 30 %"), {}, "a.jpg: denoise 30 %; 14 wait"),
        (_progress(250), {}, "photo.jpg: 250 of 1000 frames, 3 min left; 14 wait"),
        (_progress(250), {"draining": True}, "photo.jpg: 250 of 1000 frames, 3 min left; ends after it; 14 wait"),
    ],
)  # fmt: skip
def test_what_the_daemon_does_is_told_on_one_line(progress: Progress | None, said: dict[str, Any], line: str) -> None:
    status = Status(**{"pid": 1, "at": 160.0, "draining": False, "progress": progress, **said})

    assert describe(status, 14) == line


def test_one_job_waits_and_none_is_not_spoken_of() -> None:
    status = Status(1, 160.0, False, None)

    assert (describe(status, 1), describe(status, 0)) == ("idle; 1 waits", "idle")


def test_what_a_job_waits_for_is_told_while_nothing_is_at_work() -> None:
    status = Status(1, 160.0, False, None)

    assert describe(status, 2, "the disk is full") == "idle; 2 wait: the disk is full"


# --- the file


@pytest.mark.parametrize("progress", [None, _progress(3, 10, 7.5), Progress("1-1", BROKEN_NAME, 1, 100.0)])
def test_a_status_is_read_as_it_was_written(tmp_path: Path, progress: Progress | None) -> None:
    write_status(tmp_path / "status.json", _status(progress))

    assert read_status(tmp_path / "status.json") == _status(progress)


def test_a_new_status_replaces_the_old_one_whole(tmp_path: Path) -> None:
    write_status(tmp_path / "status.json", _status(_progress()))
    write_status(tmp_path / "status.json", _status())

    assert read_status(tmp_path / "status.json") == _status()
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_what_a_dead_daemon_said_is_worth_nothing(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    write_status(tmp_path / "status.json", _status(pid=child.pid))

    assert read_status(tmp_path / "status.json") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_daemon_of_another_user_runs_too() -> None:
    """Signals to it are refused, which is not to say that it is not there."""
    code = "; ".join(
        [
            "import os, sys; from pathlib import Path; from framedaemon.status import read_status",
            "read_status(Path(sys.argv[1]))",  # what Python imports late must still be readable
            "os.setuid(65534); print(read_status(Path(sys.argv[1])).pid)",
        ]
    )

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        write_status(Path(folder, "status.json"), _status(pid=1))
        said = subprocess.run(
            [sys.executable, "-c", code, f"{folder}/status.json"], capture_output=True, text=True, check=False
        )

    assert (said.stdout, said.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"pid": "x"}',
        json.dumps(asdict(_status(_progress())) | {"progress": {"job": "1"}}),
    ],
)
def test_a_status_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    """Another version's, or one that a full disk cut short."""
    (tmp_path / "status.json").write_text(text)

    assert read_status(tmp_path / "status.json") is None


def test_no_status_is_none(tmp_path: Path) -> None:
    assert read_status(tmp_path / "status.json") is None


def test_a_status_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "status.part").symlink_to("/dev/full")

    write_status(tmp_path / "status.json", _status())
    write_status(tmp_path / "gone" / "status.json", _status())

    assert list(tmp_path.iterdir()) == []
