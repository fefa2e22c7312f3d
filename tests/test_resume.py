"""The worker is killed in the middle of a long clip: the video is, frame for frame, that of an undisturbed run.

Real daemons and real workers; small pictures and many of them, so that a clip is cut into parts.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import pytest

from framedaemon.instance import Instance
from framedaemon.ledger import Ledger
from framedaemon.service import Service
from framedaemon.status import read_status
from framedaemon_ffmpeg.binary import ffmpeg_binary
from living import drop, files_below, living, make_instance, run_all, tick_until

# 4 x 150 - 3 frames in three parts; 24000/1001 puts most of them between two that are drawn.
RECIPE = """
[generate]
use = "camera"
move = "drift"
seed = 7
frames = 150
fps = 6
width = 48
height = 32
[interpolate]
use = "blend"
fps = "24000/1001"
[encode]
threads = 2
preset = "veryfast"
"""
FRAMES, CUTS = 596, (0, 198, 397, 596)
LONGEST = 199


def make(folder: Path) -> Instance:
    instance = make_instance(folder)
    drop(instance, "cat.png", RECIPE, side=96)
    return instance


def pictures(video: Path) -> list[bytes]:
    """Each decoded frame, to the bit."""
    with av.open(str(video)) as file:
        return [hashlib.sha256(b"".join(map(bytes, frame.planes))).digest() for frame in file.decode(video=0)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    instance = make(tmp_path_factory.mktemp("undisturbed"))
    run_all(instance)
    return pictures(instance.output / "cat.mp4")


def test_the_clip_is_one_that_is_cut(undisturbed: list[bytes]) -> None:
    assert len(undisturbed) == FRAMES


def shown(service: Service, instance: Instance) -> int:
    """How many frames have gone into the encoder, as `framedaemon status` tells it."""
    service.write_status()
    status = read_status(instance.status)
    return status.progress.stages.get("ffmpeg", (0, 0))[0] if status is not None and status.progress is not None else 0


def kill_worker() -> None:
    """As the kernel does when memory runs out: nobody is asked."""
    children = [int(pid) for task in Path("/proc/self/task").iterdir() for pid in _words(task / "children")]
    workers = [pid for pid in children if b"framedaemon.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 1
    os.kill(workers[0], signal.SIGKILL)


def _words(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text().split()
    return []


def records(instance: Instance) -> list[Path]:
    """Of the finished parts."""
    return sorted(instance.jobs.glob("*/1/segments/*.json"))


def finish(instance: Instance) -> dict[str, Any]:
    """Run the daemon until all is done; the receipt."""
    run_all(instance)
    assert files_below(instance.input) == {"done/cat.png", "done/cat.toml"}
    assert list(instance.jobs.iterdir()) == []
    receipt: dict[str, Any] = json.loads((instance.output / "cat.json").read_text())
    return receipt


def resumed_at(instance: Instance) -> int:
    """Where the latest attempt went on, as the job's own log tells it; 0 while it does not."""
    (path,) = (instance.logs / "jobs").glob("*.jsonl")
    told = [json.loads(line) for line in path.read_text().splitlines()]
    return max((event["frames"] for event in told if event["event"] == "clip_resumed"), default=0)


def learnt(instance: Instance) -> float | None:
    """Seconds that the ledger expects of the encoder for a megapixel."""
    ledger = Ledger(instance.ledger, read_only=True)
    try:
        return ledger.history.seconds("ffmpeg", 1.0)
    finally:
        ledger.close()


def test_a_killed_worker_costs_at_most_one_part(tmp_path: Path, undisturbed: list[bytes]) -> None:
    instance = make(tmp_path)

    with living(instance) as service:
        tick_until(service, lambda: shown(service, instance) > CUTS[1] + 50)
        reached = shown(service, instance)
        kill_worker()
        tick_until(service, lambda: resumed_at(instance) > 0)
        tick_until(service, lambda: shown(service, instance) > 0)
        goes_on_at = shown(service, instance)
        tick_until(service, lambda: service.idle)
    receipt = finish(instance)

    assert pictures(instance.output / "cat.mp4") == undisturbed
    assert reached - LONGEST <= resumed_at(instance) == receipt["resumed_at_frame"] <= goes_on_at
    assert receipt["frames"]["filled"] == FRAMES - 1
    assert receipt["gate"]["passed"]
    assert learnt(instance) is None, "how long a part takes says nothing of how long the whole does"


def test_a_part_that_a_crash_has_torn_is_made_again(tmp_path: Path, undisturbed: list[bytes]) -> None:
    """The daemon is stopped here, which ends the worker at once."""
    instance = make(tmp_path)
    with living(instance) as service:
        tick_until(service, lambda: len(records(instance)) == 2)

    torn = records(instance)[1].with_suffix(".mp4")
    os.truncate(torn, torn.stat().st_size // 2)
    receipt = finish(instance)

    assert pictures(instance.output / "cat.mp4") == undisturbed
    assert receipt["resumed_at_frame"] == CUTS[1]


HANGS_ONCE = """#!/bin/sh
case "$*" in
  *parts.ffconcat*) if [ ! -e {marker} ]; then touch {marker}; exec sleep 600; fi ;;
esac
exec {ffmpeg} "$@"
"""


def test_a_worker_that_is_killed_while_it_joins_draws_nothing_again(
    tmp_path: Path, undisturbed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, marker, hanging = make(tmp_path), tmp_path / "joining", tmp_path / "ffmpeg"
    hanging.write_text(HANGS_ONCE.format(marker=marker, ffmpeg=ffmpeg_binary()))
    hanging.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(hanging))

    with living(instance) as service:
        tick_until(service, marker.exists)
        kill_worker()
        tick_until(service, lambda: service.idle)
    receipt = finish(instance)

    assert pictures(instance.output / "cat.mp4") == undisturbed
    assert receipt["resumed_at_frame"] == FRAMES
    assert receipt["seconds"]["camera"] == receipt["seconds"]["blend"] == 0
