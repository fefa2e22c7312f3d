"""A selection of the moments before system calls, each in a new instance; all of them: `python tests/torture`.

A picture that is refused for its sidecar needs no worker, so that many deaths fit into little time.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.calls import REFUSED, ffmpeg_calls, strike_once, worker_calls
from torture.strace import CALLS, Moment, moments, works
from torture.workbench import Workbench, once

pytestmark = pytest.mark.skipif(not works(), reason="strace is not here, or may not trace")


@pytest.mark.parametrize("n", range(1, 5))  # two renames of the claim, two when it is put away
def test_a_refused_picture_survives_death_before_each_rename(tmp_path: Path, n: int) -> None:
    bench = Workbench(tmp_path)
    instance = bench.instance("refused")
    drop = bench.refuse(instance, "picture.png", sidecar=REFUSED)

    assert strike_once(instance, drop, Moment("renameat2", n)) == (True, [])


@pytest.mark.parametrize("call", ["renameat2", "unlink"])
@pytest.mark.parametrize("n", [5, 8])  # at the fifth unlink the claimed picture stands in both
def test_a_refused_picture_survives_death_between_two_filesystems(
    tmp_path: Path, elsewhere: Path, call: str, n: int
) -> None:
    bench = Workbench(tmp_path)
    instance = bench.instance("refused")
    instance.jobs.rmdir()
    instance.jobs.symlink_to(elsewhere)
    drop = bench.refuse(instance, "picture.png", sidecar=REFUSED)

    assert strike_once(instance, drop, Moment(call, n)) == (True, [])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """One for all whose pictures become videos: what these must look like is seen only once."""
    return Workbench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("n", [3, 5])  # into output/; the picture, once its sidecar is away
def test_a_finished_video_appears_once_whenever_the_service_dies(bench: Workbench, n: int) -> None:
    instance = bench.instance(f"finished{n}")
    drop = bench.drop(instance, "picture.png", sidecar="[generate]\nframes = 6\n")

    assert strike_once(instance, drop, Moment("renameat2", n)) == (True, [])


def test_worker_and_ffmpeg_are_struck_before_any_of_their_calls(bench: Workbench) -> None:
    rows = worker_calls(bench, 1, random.Random(0)), ffmpeg_calls(bench, 1, random.Random(0))

    assert [row.violations for row in rows] == [[], []]
    assert sum(row.trials for row in rows) > 0


def test_calls_that_change_nothing_are_no_moments(tmp_path: Path) -> None:
    log = tmp_path / "strace.txt"
    log.write_text(
        'openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3\n'
        'openat(AT_FDCWD, "made", O_WRONLY|O_CREAT, 0666) = 4\n'
        'write(4</tmp/made>, "x", 1) = 1\n'
        'write(5<pipe:[7]>, "x", 1) = 1\n'
        'mkdir("/tmp", 0777) = -1 EEXIST (File exists)\n'
        '12 write(4</tmp/made>, "x", 1 <unfinished ...>\n'
        "+++ exited with 0 +++\n"
    )

    assert moments(log) == [Moment("openat", 2), Moment("write", 1)]


def test_a_job_has_many_moments(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    instance = bench.instance("counted")
    bench.refuse(instance, "picture.png", sidecar=REFUSED)
    log = tmp_path / "strace.txt"

    once(instance, "strace", "-q", "-y", "-o", str(log), "-e", f"trace={CALLS}")

    assert {"renameat2", "fsync", "fdatasync", "pwrite64", "mkdir", "openat"} <= {
        moment.call for moment in moments(log)
    }
