"""Whole daemons that run out of room: a tmp/ that is full while a job is at work, and what a crash left lying about."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from commands import PATIENT, SIDECAR, daemon, drawing, wait_until
from framedaemon.instance import Instance
from framedaemon.workspace import COPYING
from living import CONFIG, drop, files_below, jobs_of, make_instance

BALLAST = 1_000_000


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Instance]:
    """An instance whose tmp/ has 6 MiB, and whose generator waits to be told."""
    (tmp_path / "tmp").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "framedaemon-test", str(tmp_path / "tmp")]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    instance = make_instance(tmp_path, CONFIG.replace("ballast_bytes = 0", f"ballast_bytes = {BALLAST}"))
    (instance.plugins / "patient.py").write_text(PATIENT)
    yield instance
    subprocess.run(["umount", "-l", str(instance.tmp)], check=True)


def _fill(file: BinaryIO) -> None:
    """Write until nothing fits any more."""
    with pytest.raises(OSError, match="No space left"):
        file.writelines(bytes(4096) for _ in iter(int, 1))


def test_a_job_whose_disk_runs_full_waits_is_written_down_and_goes_on_without_a_restart(cramped: Instance) -> None:
    drop(cramped, "slow.png", SIDECAR)
    ballast = cramped.tmp / "ballast"

    with daemon(cramped) as running, (cramped.tmp / "filler").open("wb", buffering=0) as file:
        wait_until(lambda: drawing(cramped) and ballast.exists(), "the job")
        _fill(file)
        drop(cramped, "next.png")
        running.wait_for("input_unreadable")
        (cramped.tmp / "go").touch()
        running.wait_for("job_retried")
        file.truncate(0)
        running.wait_for("job_published", 2)
        wait_until(ballast.exists, "the ballast to come back")
        wait_until(lambda: not any(cramped.jobs.iterdir()), "the last folder to go")
        alive = running.process.poll()

    failed, *_ = running.said("job_retried")
    (unreadable,) = running.said("input_unreadable")
    assert (failed["name"], failed["outcome"]) == ("slow.png", "disk")
    assert unreadable["problem"] == "input/next.png: cannot be taken: there is no room for it in tmp/"
    assert alive is None
    assert [(job.name, job.state, job.strikes) for job in jobs_of(cramped)] == [
        ("slow.png", "done", 1), ("next.png", "done", 1),
    ]  # fmt: skip
    assert files_below(cramped.output) >= {"slow.mp4", "slow.json", "next.mp4", "next.json"}


def test_what_a_crash_left_in_tmp_and_output_is_swept_at_the_start_and_said(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    (instance.jobs / "20260101T000000-00000000" / "1").mkdir(parents=True)
    (instance.jobs / "20260101T000000-00000000" / "1" / "video.mp4").write_bytes(bytes(100))
    (instance.output / "pets").mkdir()
    (instance.output / "pets" / f"{COPYING}17.part").write_bytes(bytes(100))

    with daemon(instance) as running:
        running.wait_for("orphan_removed")
        wait_until(lambda: not any(instance.jobs.iterdir()), "the folder to go")

    assert [line["folder"] for line in running.said("orphan_removed")] == [
        str(instance.jobs / "20260101T000000-00000000")
    ]
    assert not any((instance.output / "pets").iterdir())
