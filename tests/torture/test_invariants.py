"""The invariants can fail: each promise is broken by hand once."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from framedaemon.instance import Instance
from torture.invariants import Dropped, after_a_crash, in_the_end
from torture.workbench import Workbench, once


class Finished(NamedTuple):
    """An instance that made a video of one picture with a sidecar, and refused another file."""

    instance: Instance
    drops: tuple[Dropped, ...]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    bench = Workbench(tmp_path_factory.mktemp("bench"))
    instance = bench.instance("finished")
    drops = (bench.drop(instance, "good.png", sidecar="[generate]\nframes = 6\n"), bench.refuse(instance, "bad.png"))
    once(instance)
    return Finished(instance, drops)


@pytest.fixture
def finished(original: Finished, tmp_path: Path) -> Finished:
    """A copy to be broken."""
    shutil.copytree(original.instance.root, tmp_path / "copy")
    return Finished(Instance(tmp_path / "copy"), original.drops)


def write(finished: Finished, query: str) -> None:
    db = sqlite3.connect(finished.instance.ledger)
    db.execute(query)
    db.commit()
    db.close()


def cut(path: Path, size: int = 200) -> None:
    path.write_bytes(path.read_bytes()[:-size])


def test_nothing_is_wrong_where_nothing_was_broken(finished: Finished) -> None:
    assert in_the_end(*finished) == []


BROKEN: dict[str, tuple[str, Callable[[Finished], object]]] = {
    "a picture is gone": ("lost: good.png is nowhere", lambda it: (it.instance.done / "good.png").unlink()),
    "a sidecar is gone": ("lost: good.toml is nowhere", lambda it: (it.instance.done / "good.toml").unlink()),
    "a picture is cut": ("partial: ", lambda it: cut(it.instance.done / "good.png")),
    "a picture lies in two places": (
        "doubled: good.png lies in",
        lambda it: shutil.copy(it.instance.done / "good.png", it.instance.input),
    ),
    "a picture has two videos": (
        "doubled: good.png gave",
        lambda it: shutil.copy(it.instance.output / "good.mp4", it.instance.output / "good-2.mp4"),
    ),
    "a video is cut": ("partial: good.mp4 does not decode", lambda it: cut(it.instance.output / "good.mp4")),
    "a video is of another picture": (
        "differing: bad.mp4 has other frames",
        lambda it: shutil.copy(it.instance.output / "good.mp4", it.instance.output / "bad.mp4"),
    ),
    "a video is gone": (
        "lost: good.png was put into done/, but there is no video",
        lambda it: (it.instance.output / "good.mp4").unlink(),
    ),
    "a receipt has no video": (
        "partial: good.json tells of a video that is not there",
        lambda it: (it.instance.output / "good.mp4").unlink(),
    ),
    "a receipt is cut": ("partial: good.json is not whole", lambda it: cut(it.instance.output / "good.json")),
    "a reason is gone": (
        "lost: bad.png was put into failed/ without a reason",
        lambda it: (it.instance.failed / "bad.error.txt").unlink(),
    ),
    "the ledger is cut": ("ledger: ", lambda it: cut(it.instance.ledger, 20_000)),
    "an attempt is left open": (
        "ledger: attempt open",
        lambda it: write(it, "UPDATE attempts SET ended = NULL WHERE number = 1"),
    ),
    "a job that was begun has no attempt": (
        "ledger: ",
        lambda it: write(it, "UPDATE jobs SET attempts = 0"),
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_after_a_crash_it_is_seen_that(finished: Finished, how: str) -> None:
    expected, breaks = BROKEN[how]

    breaks(finished)

    assert [str(violation) for violation in after_a_crash(*finished) if str(violation).startswith(expected)]


LEFT: dict[str, tuple[str, Callable[[Finished], object]]] = {
    "a receipt is missing": ("lost: good.png has no receipt", lambda it: (it.instance.output / "good.json").unlink()),
    "a job's folder is left": ("litter: ", lambda it: (it.instance.jobs / "left").mkdir()),
    "half a copy is left": ("litter: ", lambda it: (it.instance.output / ".framedaemon-1.part").touch()),
    "nobody asked for a video": (
        "litter: ",
        lambda it: shutil.copy(it.instance.output / "good.mp4", it.instance.output / "other.mp4"),
    ),
    "a job did not end": ("ledger: ", lambda it: write(it, "UPDATE jobs SET state = 'running', ended = NULL")),
}


@pytest.mark.parametrize("how", LEFT)
def test_in_the_end_it_is_seen_that(finished: Finished, how: str) -> None:
    expected, leaves = LEFT[how]

    leaves(finished)

    assert [str(violation) for violation in in_the_end(*finished) if str(violation).startswith(expected)]
