"""The daemon is killed right before the Nth of a system call, for every N of one small job, and started again.

strace kills it: it is the whole daemon, as it stands on disk, that dies and goes on. A picture that is refused needs no
worker, so that many deaths fit into little time; the deaths around publishing need one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from commands import PROGRAM
from framedaemon.instance import Instance
from living import drop, files_below, jobs_of, make_instance

KILLED = (-9, 137)


def _strace_works() -> bool:
    strace = shutil.which("strace")
    tried = strace and subprocess.run([strace, "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return bool(tried) and tried.returncode == 0


pytestmark = pytest.mark.skipif(not _strace_works(), reason="strace is not here, or may not trace")


def once(instance: Instance, *before: str) -> int:
    """Run the daemon until nothing is left to do, under ``before``; returns how it ended."""
    command = [*before, *PROGRAM, "once", "--instance", str(instance.root)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode


def die_before(instance: Instance, call: str, n: int) -> bool:
    """Kill the daemon before it makes system call ``call`` for the ``n``-th time; whether it came to that."""
    kill = f"inject={call}:signal=SIGKILL:when={n}"
    return once(instance, "strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", kill) in KILLED


def in_the_end(instance: Instance) -> dict[str, object]:
    """All that a job leaves, logs apart."""
    logs = {f"logs/{name}" for name in files_below(instance.logs)}
    return {
        "input": files_below(instance.input),
        "output": files_below(instance.output) - logs,
        "jobs": list(instance.jobs.iterdir()),
        "states": [job.state for job in jobs_of(instance)],
    }


REFUSED = {
    "input": {"failed/cat.png", "failed/cat.toml", "failed/cat.error.txt"},
    "output": set(),
    "jobs": [],
    "states": ["failed"],
}
DONE = {
    "input": {"done/cat.png", "done/cat.toml"},
    "output": {"cat.mp4", "cat.json"},
    "jobs": [],
    "states": ["done"],
}


@pytest.mark.parametrize("n", range(1, 5))  # two renames of the claim, two when it is put away
def test_a_refused_picture_survives_death_before_each_rename(tmp_path: Path, n: int) -> None:
    instance = make_instance(tmp_path)
    drop(instance, "cat.png", "[encode]\nbit_depth = 9\n")

    assert die_before(instance, "renameat2", n)
    once(instance)

    assert in_the_end(instance) == REFUSED


@pytest.mark.parametrize("call", ["renameat2", "unlink"])
@pytest.mark.parametrize("n", [5, 8])  # at the fifth unlink the claimed picture stands in both
def test_a_refused_picture_survives_death_between_two_filesystems(
    tmp_path: Path, elsewhere: Path, call: str, n: int
) -> None:
    instance = make_instance(tmp_path)
    instance.jobs.rmdir()
    instance.jobs.symlink_to(elsewhere)
    drop(instance, "cat.png", "[encode]\nbit_depth = 9\n")

    assert die_before(instance, call, n)
    once(instance)

    assert in_the_end(instance) == REFUSED


@pytest.mark.parametrize("n", [3, 5])  # into output/; the picture, once its sidecar is away
def test_a_finished_video_appears_once_whenever_the_daemon_dies(tmp_path: Path, n: int) -> None:
    instance = make_instance(tmp_path)
    drop(instance, "cat.png", "[generate]\nframes = 3\n")

    assert die_before(instance, "renameat2", n)
    assert once(instance) == 0

    assert in_the_end(instance) == DONE
    assert json.loads((instance.output / "cat.json").read_text())["video"]["file"] == "cat.mp4"
