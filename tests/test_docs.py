"""What the documents say is true: examples run, names exist, links lead somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tomli
import typer

from framedaemon import (
    Clip,
    ClipSpec,
    EncoderOptions,
    Estimate,
    GeneratorOptions,
    Machine,
    Picture,
    Placement,
    Scratch,
    StageTask,
)
from framedaemon.cli import app
from framedaemon.events import ALL_EVENTS, Event, JobPublished, event_name
from framedaemon.hooks import Hooks
from framedaemon.instance import Instance, create
from framedaemon.layers import KINDS, Layer, read_request
from framedaemon.plugins import Registry, load_plugins
from framedaemon.recipe import InterpolateChoice
from framedaemon.settings import Settings
from framedaemon.stages import AnyGenerator, AnyInterpolator, Gap, StageKind
from framedaemon.timeline import Timeline
from framedaemon.toml import Table, fit, read_toml
from framedaemon.weave import Tally, weave
from pages import Example, examples, read

COMMAND = str(Path(sys.executable).parent / "framedaemon")
MACHINE = Machine("cpu", 0, 8 * 2**30, 2)


TOML = examples("toml")
DROP_INS = [example for example in examples("python") if example.file.startswith("plugins/")]
PACKAGES = [example for example in examples("python") if example.file.endswith("/__init__.py")]
TESTS = [example for example in examples("python") if example.file.startswith("tests/")]


def _id(example: Example) -> str:
    return f"{example.page}-{example.file or 'recipe'}"


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """All plugins, the documents' own among them, each installed as its text says."""
    before = set(sys.modules)
    for example in (*DROP_INS, *PACKAGES):
        path = tmp_path / example.file
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(example.text, encoding="utf-8")
        path.chmod(0o644)
    for example in TOML:
        _install(tmp_path, example)
    monkeypatch.syspath_prepend(tmp_path)
    yield load_plugins(tmp_path / "plugins")
    for name in set(sys.modules) - before:
        if "framedaemon_instance_plugins" in name or name in {Path(example.file).parent.name for example in PACKAGES}:
            del sys.modules[name]


@pytest.mark.parametrize("example", TOML, ids=_id)
def test_an_example_file_would_be_read(example: Example, documented: Registry) -> None:
    table = read_toml(example.text.encode(), example.page)

    assert _misfits(table, example, documented) == []


@pytest.mark.parametrize("example", DROP_INS, ids=_id)
def test_an_example_file_is_a_plugin(example: Example, documented: Registry) -> None:
    plugin = documented.plugins[Path(example.file).stem]

    assert (plugin.state, plugin.reason) == ("ready", "")


@pytest.mark.parametrize("example", PACKAGES, ids=_id)
def test_an_example_package_is_a_plugin(example: Example, documented: Registry) -> None:
    plugin = documented.plugins[Path(example.file).parent.name.removeprefix("framedaemon_")]

    assert (plugin.state, plugin.reason) == ("ready", "")


def test_the_example_interpolator_fills_and_sees_cuts(documented: Registry) -> None:
    frames = [np.full((4, 6, 3), level, np.uint8) for level in (0, 10, 200)]
    stage = cast(AnyInterpolator, documented.stage("interpolate", "blend"))
    spec = ClipSpec(6, 4, 3, Fraction(16))

    with stage.load(Placement(), stage.options()) as fill:
        woven = weave(Clip(spec, iter(frames)), Timeline(3, Fraction(16), Fraction(64)), fill, "blend", Tally())
        levels = [int(frame[0, 0, 0]) for frame in woven]

    assert levels == [0, 3, 5, 8, 10, 10, 10, 200, 200]


def test_the_example_network_draws_between_two_frames(documented: Registry) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'framedaemon[rife]'")
    x0, x1 = (np.full((9, 17, 3), level, np.uint8) for level in (0, 100))
    stage = cast(AnyInterpolator, documented.stage("interpolate", "crossfade"))

    with stage.load(Placement(), stage.options()) as fill:
        (answer,) = fill(iter([Gap(x0, x1, (Fraction(1, 4), Fraction(1, 2)))]))

    assert isinstance(answer, list)
    assert [frame.shape for frame in answer] == [x0.shape] * 2
    assert [int(frame.mean()) for frame in answer] == [25, 50]


def test_the_example_generator_keeps_its_promise(documented: Registry, tmp_path: Path) -> None:
    picture = Picture(np.full((4, 6, 3), 200, np.uint8))
    stage = cast(AnyGenerator, documented.stage("generate", "sunrise"))
    options = stage.options(frames=5)

    with stage.load(Placement(), options) as generate:
        clip = Clip(stage.promise(picture, options), generate(picture, Scratch(tmp_path)), "sunrise")
        levels = [int(frame[0, 0, 0]) for frame in clip]

    assert levels == [20, 65, 110, 155, 200]


@pytest.mark.parametrize("example", TESTS, ids=_id)
def test_an_example_test_passes(example: Example, documented: Registry, tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(example.text, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, "test_example.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


def test_the_example_policy_answers_for_what_it_speaks_of(documented: Registry) -> None:
    kinds: tuple[StageKind, ...] = ("interpolate", "encode")

    placements = [documented.place(StageTask(kind, "x", 64, 64, 9), Estimate(), MACHINE, 0) for kind in kinds]

    assert [placement.threads for placement in placements] == [1, 2]


def test_the_example_observer_hears_of_videos(documented: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    muted = documented.tell(JobPublished("1", "cat.jpg", "cat.mp4", 321, 12.3, 1000))

    assert muted == []
    assert "cat.mp4: 321 frames in 12 s" in capsys.readouterr().err


def test_the_plugin_guide_names_every_hook() -> None:
    guide = read("docs/plugins.md")

    hooks = [name for name in vars(Hooks) if not name.startswith("_")]

    assert len(hooks) == 5
    assert [name for name in hooks if f"| `{name}(" not in guide] == []


def test_the_plugin_guide_names_every_event() -> None:
    guide = read("docs/plugins.md")

    rows = [f"| `{event.__name__}` | `{_log_name(event)}` |" for event in ALL_EVENTS]

    assert [row for row in rows if row not in guide] == []


def test_the_readme_names_every_command() -> None:
    readme = read("README.md")

    assert [name for name in _commands() if f"| `framedaemon {name}" not in readme] == []


def test_every_command_but_init_takes_an_instance() -> None:
    groups = {name: getattr(command, "commands", {"": command}) for name, command in _commands().items()}
    every = {f"{group} {name}".strip(): command for group, inner in groups.items() for name, command in inner.items()}

    without = [name for name, command in every.items() if "instance" not in {p.name for p in command.params}]

    assert without == ["init"]
    assert "models pull" in every


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["jobs"], 0), (["cancel", "no-such-job"], 1), (["jobs", "--instance", "/nowhere"], 2), (["no-such-command"], 2)],
    ids=["well", "not there", "settings", "usage"],
)
def test_the_readme_explains_every_exit_code(arguments: list[str], code: int, tmp_path: Path) -> None:
    create(Instance(tmp_path))

    done = subprocess.run([COMMAND, *arguments], cwd=tmp_path, capture_output=True)

    assert done.returncode == code
    assert f"\n| {code} | " in read("README.md")


def test_the_recipe_guide_names_every_key_that_all_stages_share() -> None:
    guide = read("docs/recipes.md")
    keys = {*GeneratorOptions.model_fields, *EncoderOptions.model_fields, *InterpolateChoice.model_fields}

    assert [key for key in sorted(keys - {"options", "origins"}) if f"`{key}`" not in guide] == []


def _entry_points(example: Example) -> dict[str, str]:
    project = tomli.loads(example.text).get("project", {})
    points: dict[str, str] = project.get("entry-points", {}).get("framedaemon", {})
    return points


def _install(site: Path, example: Example) -> None:
    """Make the entry points of a pyproject.toml findable, as pip would."""
    points = _entry_points(example)
    if points:
        info = site / f"{next(iter(points.values()))}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {info.name}\nVersion: 1\n")
        lines = [f"{name} = {module}\n" for name, module in points.items()]
        (info / "entry_points.txt").write_text("[framedaemon]\n" + "".join(lines))


def _commands() -> dict[str, Any]:  # typer brings its own click, or the one there is
    group = typer.main.get_command(app)
    return dict(group.commands)  # type: ignore[attr-defined]  # typer's own name for a group


def _log_name(event: type[Event]) -> str:
    return event_name(event.__new__(event))


def _misfits(table: Table, example: Example, registry: Registry) -> list[str]:
    """What is wrong with an example; a recipe's options are those of its stage, or for ``auto`` of any of its kind."""
    if example.file == "pyproject.toml":
        return [] if _entry_points(example) else ["no entry points"]
    if example.file == "config.toml":
        table = fit(table, Settings, example.page).defaults.layer().table
    found = []
    for recipe in read_request([Layer(example.page, table, sidecar=True)]).recipes:
        for kind in KINDS:
            choice = getattr(recipe, kind)
            named = [stage for stage in registry.stages(kind) if choice.use in ("auto", stage.name)]
            known = {key for stage in named for key in stage.options.model_fields}
            found += [f"[{kind}] {key}" for key in choice.options if key not in known]
            found += [] if named or choice.use == "none" else [f"[{kind}] use = {choice.use}"]
    return found
