"""A picture that is to end with another one: a daemon that is killed at each rename loses and doubles neither."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from framedaemon import workspace
from framedaemon.instance import Instance
from living import drop, files_below, make_instance, run_all

FILES = {"cat.png", "cat.toml", "cat.last.png"}


def instance_with(folder: Path, sidecar: str) -> Instance:
    """An instance with a picture, its sidecar and what it is to end with in input/."""
    instance = make_instance(folder)
    drop(instance, "cat.png", sidecar)
    drop(instance, "cat.last.png", side=64)
    return instance


def previewed_in(folder: Path) -> Instance:
    """One whose picture was previewed, and approved by hand: it was moved alone."""
    instance = instance_with(folder, "[generate]\npreview = true\nframes = 4\n")
    run_all(instance)
    (instance.waiting / "cat.png").rename(instance.approved / "cat.png")
    return instance


# Into tmp/jobs/; the video where there is one; to where they rest.
DONE = ("made", lambda folder: instance_with(folder, "[generate]\nframes = 4\n"), 7, "done")
FAILED = ("refused", lambda folder: instance_with(folder, "wrong = 1\n"), 6, "failed")
# Both out of waiting/ to begin with.
APPROVED = ("approved", previewed_in, 9, "done")
WAYS = {way[0]: way for way in (DONE, FAILED, APPROVED)}
# What the ways have in common once.
KILLS = [("made", n) for n in range(7)] + [("refused", n) for n in range(3, 6)] + [("approved", n) for n in range(3)]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An instance for each way, before its daemon starts."""
    return {name: make(tmp_path_factory.mktemp(name)).root for name, make, _, _ in WAYS.values()}


@pytest.fixture
def instance(ready: dict[str, Path], way: str, tmp_path: Path) -> Instance:
    """A copy of one."""
    shutil.copytree(ready[way], tmp_path / "instance")
    return Instance(tmp_path / "instance")


@pytest.mark.parametrize("way", WAYS)
def test_the_picture_moves_behind_all_that_belongs_to_it(
    instance: Instance, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    monkeypatch.setattr(workspace, "_renameat2", _renaming(lambda count, name: moved.append(name)))

    run_all(instance)

    _, _, renames, rests = WAYS[way]
    assert len(moved) == renames
    assert moved[-3:] == ["cat.toml", "cat.last.png", "cat.png"]
    assert _pictures_below(instance.input) == {f"{rests}/{name}" for name in FILES}


@pytest.mark.parametrize(("way", "number"), KILLS)
def test_a_kill_right_after_a_rename_loses_nothing_and_doubles_nothing(
    instance: Instance, way: str, number: int
) -> None:
    child = os.fork()
    if child == 0:
        workspace._renameat2 = _renaming(
            lambda count, name: os.kill(os.getpid(), signal.SIGKILL) if count == number else None
        )
        run_all(instance)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    there = sorted(path.name for path in instance.root.rglob("cat*") if path.name in FILES)

    run_all(instance)

    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert there == sorted(FILES)
    assert _pictures_below(instance.input) == {f"{WAYS[way][3]}/{name}" for name in FILES}
    assert {path.name for path in instance.output.glob("cat*")} == (
        set() if way == "refused" else {"cat.mp4", "cat.json"}
    )


def _pictures_below(folder: Path) -> set[str]:
    return {name for name in files_below(folder) if not name.endswith(".error.txt")}


def _renaming(told: Callable[[int, str], object]) -> Callable[..., int]:
    """The system's rename; ``told`` hears of each that was made: its number from 0, the name that was moved."""
    numbers, rename = itertools.count(), workspace._renameat2

    def renaming(*values: object) -> int:
        answer: int = rename(*values)
        told(next(numbers), Path(os.fsdecode(values[1])).name)  # type: ignore[arg-type]  # bytes of a path
        return answer

    return renaming
