"""What docs/plugins.md shows and does: its examples as jobs, and its commands one after the other."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framedaemon import Estimate, Machine, Picture
from framedaemon.plugins import Registry, load_plugins
from framedaemon.task import StageTask
from framedaemon.testing import GeneratorContract

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (plugins/\w+\.py)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE))
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("guide") / "plugins"
    folder.mkdir(mode=0o755)
    for name, code in FILES.items():
        (folder.parent / name).write_text(code, encoding="utf-8")
    yield load_plugins(folder)
    for name in [name for name in sys.modules if name.startswith("framedaemon_instance_plugins.")]:
        del sys.modules[name]


class TestSheet(GeneratorContract):
    """The image sequence. Its class lives in a drop-in file, which no other process can import."""

    test_it_takes_no_more_memory_than_it_said = None  # type: ignore[assignment]  # see above
    test_nothing_heavy_is_imported_before_load = None  # type: ignore[assignment]  # see above

    @pytest.fixture
    def stage(self, documented: Registry) -> Any:
        return documented.stage("generate", "sheet")

    @pytest.fixture
    def source(self) -> Picture:
        return Picture(np.full((96, 256, 3), 90, np.uint8))

    @pytest.fixture
    def options(self, stage: Any) -> Any:
        return stage.options(columns=4, rows=2)


def test_a_sheet_is_played_row_by_row(documented: Registry, tmp_path: Path) -> None:
    from framedaemon import Placement, Scratch

    stage: Any = documented.stage("generate", "sheet")
    cells = [np.full((16, 20, 3), number, np.uint8) for number in range(6)]
    sheet = np.vstack([np.hstack(cells[:3]), np.hstack(cells[3:])])

    with stage.load(Placement(), stage.options(columns=3, rows=2)) as generate:
        frames = list(generate(Picture(sheet), Scratch(tmp_path)))

    assert [int(frame.mean()) for frame in frames] == [0, 1, 2, 3, 4, 5]


def test_the_policy_answers_where_its_answer_fits(documented: Registry) -> None:
    task, machine = StageTask("interpolate", "flow", 640, 480, 81), Machine("cpu", 0, 1 << 30, 4)

    reasons = [documented.place(task, Estimate(ram=ram), machine, 0).reason for ram in (1 << 20, 1 << 40)]

    assert reasons[0] == "one thread, gently"
    assert reasons[1].startswith("on the CPU")


@pytest.mark.parametrize(
    "words", [command.split() for command in COMMANDS if command.startswith("framedaemon ")], ids=" ".join
)
def test_every_command_of_the_guide_is_one(words: list[str]) -> None:
    """With options that it has; they are run by hand, from nothing to a video."""
    import typer

    from framedaemon.cli import app

    group: Any = typer.main.get_command(app)
    words = words[1 : words.index("&&")] if "&&" in words else words[1:]
    command = group.commands[words.pop(0)]
    command = command.commands[words.pop(0)] if hasattr(command, "commands") else command

    options = {option for parameter in command.params for option in parameter.opts}

    assert [word for word in words if word.startswith("-") and word not in options] == []
