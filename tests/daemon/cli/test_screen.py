"""What watch and status show, for terminals of every size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from framedaemon.cli.screen import draw
from framedaemon.logtail import LogLine
from framedaemon.overview import (
    Count,
    Current,
    Daemon,
    Failure,
    Job,
    Overview,
    Preview,
    Queue,
    Queued,
    Room,
    Standing,
)
from framedaemon.rows import JobState
from framedaemon.usage import Device, Disk, Memory

NOW = 1_000_000.0
GIB = 2**30
SIZES = [(80, 24), (120, 40), (60, 20), (40, 10), (300, 100), (20, 3), (8, 1)]
NAMES = (
    "plain.jpg",
    "東京タワーの写真.jpg",
    "שלום.png",
    "cafe\u0301.jpg",
    "a\x1b[31mred\nname.png",
    "👩‍🚀.jpg",
    "x" * 300,
)


def job(name: str = "a.jpg", state: JobState = "queued", reason: str = "", ended: float | None = None) -> Job:
    output = f"{name}.mp4" if state == "done" else None
    return Job(f"{name}-1", name, state, output, 1, reason, NOW - 900, NOW - 600, ended)


def queue(*jobs: Job, of: int | None = None) -> Queue:
    rows = tuple(Queued(one, 180.0, 180.0 * number) for number, one in enumerate(jobs))
    return Queue(of or len(rows), 180.0 * len(rows), 0, rows)


CURRENT = Current(
    "now-1", "now.jpg", 2, NOW - 192, 192.0, 125.0, 12.4, "", {"camera": Count(161, 161), "ffmpeg": Count(118, 321)}
)
IDLE = Overview(
    1, "/srv/videos", NOW, Daemon(4711, NOW - 187_000, 4712, said=NOW), None, queue(), {}, (), (), (), (), (), (),
    Memory(60 * 2**20, 8 * GIB, 50 * GIB, 64 * GIB, (Device("NVIDIA L4", 6 * GIB, 24 * GIB),)),
    Room((Disk("tmp", 120 * GIB, 250 * GIB),), 2 * GIB, GIB, 3 * GIB),
)  # fmt: skip
BUSY = replace(
    IDLE,
    current=CURRENT,
    queue=queue(*map(job, NAMES), of=1000),
    counts={"done": 13, "failed": 2},
    ended=(job("good.jpg", "done", ended=NOW - 500), job("bad.jpg", "failed", "broken", NOW - 400)),
    failures=(Failure(job("bad.jpg", "failed", "broken", NOW - 400), None, None),),
    warnings=(LogLine(NOW - 300, "error", "pass_failed", "", "disk full"),),
    previews=(Preview("a cat.jpg", ("a cat.preview.mp4",)),),
    breakers=(Standing("wan", "jobs of 3 different files in a row crashed in wan", NOW, NOW + 60, ""),),
    problems=("input/locked: cannot be read",),
)


def lines(seen: Overview, width: int = 80, height: int | None = 24, plain: bool = False) -> list[str]:
    return [line.plain.rstrip() for line in draw(seen, width, height, plain)]


def at(seen: Overview, words: str, **size: Any) -> str:
    """The line that says ``words``."""
    found = [line for line in lines(seen, **size) if words in line]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("seen", [IDLE, BUSY, replace(BUSY, daemon=None)], ids=["idle", "busy", "gone"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_what_is_drawn_fits_any_terminal(seen: Overview, width: int, height: int) -> None:
    drawn = draw(seen, width, height)

    assert len(drawn) == height
    assert max(cell_len(line.plain) for line in drawn) <= width


def test_the_job_at_hand_has_a_bar_for_each_stage_its_pace_and_what_is_left() -> None:
    assert "2 min 05 s left" in at(BUSY, "── now")
    assert at(BUSY, "now.jpg").endswith("attempt 2, 3 min 12 s so far")
    assert at(BUSY, "118 of 321 frames") == "118 of 321 frames, 12.4 frames/s"
    assert at(BUSY, "camera").endswith("━ 161/161")
    assert at(BUSY, "ffmpeg").endswith("─ 118/321")


def test_a_stage_that_gives_no_frames_yet_says_what_it_does() -> None:
    denoising = replace(BUSY, current=replace(CURRENT, step="denoise 30 %", stages={}, frames_per_second=None))

    assert at(denoising, "denoise") == "denoise 30 %"
    assert at(replace(denoising, current=replace(CURRENT, stages={}, frames_per_second=None)), "planning")


def test_the_queue_says_what_comes_next_when_and_how_much_there_is() -> None:
    assert at(BUSY, "── queue").endswith("1000 jobs, about 21 min ──")
    assert at(BUSY, "plain.jpg").endswith("next, takes 3 min")
    assert at(BUSY, "東京", height=60).endswith("in 3 min, takes 3 min")
    assert at(BUSY, "and 993 more", height=60)


def test_a_job_that_waits_says_for_what() -> None:
    waiting = replace(IDLE, queue=queue(job("a.jpg", "waiting", "1 GiB are free, 4 GiB are needed")))

    assert at(waiting, "a.jpg").endswith("1 GiB are free, 4 GiB are needed")


def test_times_that_nobody_knows_are_not_made_up() -> None:
    unknown = replace(
        IDLE, queue=Queue(2, 60.0, 1, (Queued(job("now.jpg"), 60.0, None), Queued(job("new.jpg"), None, None)))
    )

    assert at(unknown, "── queue").endswith("2 jobs, about 1 min and 1 unknown ──")
    assert at(unknown, "now.jpg").endswith("next, takes 1 min")
    assert at(unknown, "new.jpg") == "new.jpg"


def test_while_the_daemon_pauses_no_job_is_said_to_begin() -> None:
    paused = replace(BUSY, daemon=Daemon(1, NOW, paused="paused by hand", said=NOW))

    assert at(paused, "by hand") == "paused: by hand, until `framedaemon resume`"
    assert at(paused, "plain.jpg").endswith(" takes 3 min")
    assert "next" not in at(paused, "plain.jpg")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (replace(IDLE, daemon=None), "no daemon runs here"),
        (replace(IDLE, daemon=Daemon(1, NOW, draining=True, said=NOW)), "ends after the job at hand"),
        (BUSY, "breaker open, next try"),
        (BUSY, "input/locked: cannot be read"),
        (replace(IDLE, room=replace(IDLE.room, keep_free_bytes=200 * GIB)), "the disk of tmp/ is full"),
    ],
)
@pytest.mark.parametrize("height", [5, 24, None])
def test_what_keeps_jobs_from_being_made_is_said_at_the_top_however_small_the_screen(
    seen: Overview, words: str, height: int | None
) -> None:
    assert any(words in line for line in lines(seen, height=height)[1:4])


def test_failed_jobs_and_the_logs_warnings_stand_together_the_last_first() -> None:
    shown = lines(BUSY, height=60)
    (title,) = (number for number, line in enumerate(shown) if line.startswith("── errors"))

    assert [line.partition("  ")[2] for line in shown[title + 1 : title + 3]] == [
        "pass failed: disk full",
        "bad.jpg: broken",
    ]
    assert at(BUSY, "13 done, 2 failed", height=60).startswith("── ended")
    assert at(BUSY, "good.jpg.mp4", height=60)


def test_a_reason_that_begins_with_the_pictures_name_says_it_once() -> None:
    failed = job("trip/bad.jpg", "failed", "bad.jpg is a text file", NOW - 400)

    assert at(replace(IDLE, failures=(Failure(failed, None, None),)), "text file").endswith("  bad.jpg is a text file")


def test_memory_and_disk_are_told_in_as_many_words_as_there_is_room_for() -> None:
    assert at(IDLE, "memory").endswith("50 GiB of 64 GiB free; worker 8 GiB, daemon 60 MiB")
    assert at(IDLE, "gpu").endswith("6 GiB of 24 GiB used; NVIDIA L4")
    assert at(IDLE, "disk").endswith("120 GiB of 250 GiB free; 2 GiB are kept, 1 GiB in tmp/")
    assert at(IDLE, "memory", width=44).endswith("─ 50 GiB of 64 GiB free")


def test_two_filesystems_are_told_apart() -> None:
    two = replace(IDLE, room=replace(IDLE.room, disks=(Disk("tmp", GIB * 9, GIB * 10), Disk("output", GIB, GIB * 2))))

    assert at(two, "9 GiB of 10 GiB").startswith("tmp    ")
    assert at(two, "1 GiB of 2 GiB").startswith("output ")


def test_a_daemon_that_is_starting_and_one_that_runs_say_so() -> None:
    assert at(IDLE, "/srv/videos").endswith("up 2 d 03 h, process 4711")
    assert at(IDLE, "/srv/videos", width=40).endswith("up 2 d 03 h")
    assert at(replace(IDLE, daemon=Daemon(4711)), "/srv/videos").endswith("starting, process 4711")


def test_what_a_stranger_named_steers_no_terminal() -> None:
    assert at(BUSY, "red", height=60).startswith(r"a\x1b[31mred\nname.png")


def test_a_plain_terminal_gets_ascii_but_for_names() -> None:
    assert max("".join(lines(replace(BUSY, queue=queue()), plain=True))) < "\x7f"


def test_what_is_at_the_bottom_stays_there() -> None:
    assert lines(IDLE, height=40)[-1].startswith("q quits")
    assert lines(IDLE, height=40)[-5].startswith("── machine")


def test_without_a_height_lists_are_short_and_nothing_says_how_to_leave() -> None:
    many = replace(BUSY, queue=queue(*(job(f"{number}.jpg") for number in range(50))))

    shown = lines(many, height=None)

    assert "and 41 more" in shown
    assert not any("quits" in line for line in shown)
