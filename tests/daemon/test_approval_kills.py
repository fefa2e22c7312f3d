"""A daemon that is killed at each of its renames between an approval and the whole video."""

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

# Sidecar out of waiting/; sidecar and picture into tmp/jobs/; the video; sidecar and picture into done/.
RENAMES = 6

IN_THE_END = {"done/cat.png", "done/cat.toml"}


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance in which a preview was approved by hand: the picture was moved alone, and no daemon runs."""
    instance = make_instance(tmp_path_factory.mktemp("approved"))
    drop(instance, "cat.png", "[generate]\npreview = true\nframes = 4\n")
    run_all(instance)
    (instance.waiting / "cat.png").rename(instance.approved / "cat.png")
    return instance.root


@pytest.fixture
def instance(approved: Path, tmp_path: Path) -> Instance:
    """A copy of it."""
    shutil.copytree(approved, tmp_path / "instance")
    return Instance(tmp_path / "instance")


def test_so_many_files_move_from_an_approval_to_the_whole(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[int] = []
    monkeypatch.setattr(workspace, "_renameat2", _renaming(moved.append))

    run_all(instance)

    assert moved == [*range(RENAMES)]
    assert files_below(instance.input) == IN_THE_END


@pytest.mark.parametrize("number", range(RENAMES))
def test_a_kill_right_after_a_rename_loses_nothing_and_doubles_nothing(instance: Instance, number: int) -> None:
    child = os.fork()
    if child == 0:
        workspace._renameat2 = _renaming(
            lambda count: os.kill(os.getpid(), signal.SIGKILL) if count == number else None
        )
        run_all(instance)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    pictures = [path for path in instance.root.rglob("cat.png") if path.is_file()]

    run_all(instance)

    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert len(pictures) == 1
    assert files_below(instance.input) == IN_THE_END
    assert {name for name in files_below(instance.output) if not name.startswith("logs/")} == {"cat.mp4", "cat.json"}


def _renaming(told: Callable[[int], object]) -> Callable[..., int]:
    """The system's rename; ``told`` hears of each that was made, by its number from 0."""
    numbers, rename = itertools.count(), workspace._renameat2

    def renaming(*values: object) -> int:
        answer: int = rename(*values)
        told(next(numbers))
        return answer

    return renaming
