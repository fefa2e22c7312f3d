"""What is written for authors: whole packages, tested as their author would, in a folder far from ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from framedaemon import __version__
from framedaemon.authoring import KINDS, PluginKind, check_name, how_to_try, write_drop_in, write_package
from framedaemon.errors import FramedaemonError

RUFF = shutil.which("ruff", path=Path(sys.executable).parent)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new package of each kind, of short names and of long ones."""
    folder = tmp_path_factory.mktemp("author")
    for kind in KINDS:
        write_package(f"a_{kind}", kind, folder, __version__)
    return folder


def test_every_new_package_passes_its_own_tests_in_a_strangers_folder(written: Path) -> None:
    """Nothing is installed: the packages are found by PYTHONPATH, `framedaemon.testing` as it is installed."""
    sources = [str(package / "src") for package in written.iterdir()]
    tests = [str(package / "tests") for package in written.iterdir()]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", written, *tests],
        cwd=written,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sources), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(RUFF is None, reason="ruff is not installed: pip install -e '.[dev]'")
@pytest.mark.parametrize("words", [["check"], ["format", "--check"]], ids=" ".join)
def test_every_new_package_is_clean_and_in_form(written: Path, words: list[str]) -> None:
    done = subprocess.run([str(RUFF), *words, "--no-cache", "."], cwd=written, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_a_new_package_speaks_of_another(written: Path, kind: PluginKind) -> None:
    texts = [path.read_text() for path in (written / f"framedaemon-a_{kind}").rglob("*") if path.is_file()]

    assert not any(word in text.lower() for text in texts for word in ("yours", "{try}", "{version}"))


def test_its_entry_point_is_its_module_and_framedaemon_is_what_it_needs(written: Path) -> None:
    project = tomli.loads((written / "framedaemon-a_generator/pyproject.toml").read_text())["project"]

    assert project["entry-points"]["framedaemon"] == {"a_generator": "framedaemon_a_generator"}
    assert f"framedaemon>={__version__}" in project["dependencies"]
    assert project["license"]


def test_a_new_file_can_be_written_to_by_nobody_else(tmp_path: Path) -> None:
    path = write_drop_in("sparkle", "observer", tmp_path / "plugins")

    assert path.stat().st_mode & 0o777 == 0o644
    assert "class" not in path.read_text()


@pytest.mark.parametrize("name", ["", "9lives", "with-dash", "Upper", "ünï", "a" * 31, "class", "none", "yours", "a/b"])
def test_a_name_that_no_module_or_recipe_can_have_is_refused(name: str) -> None:
    with pytest.raises(FramedaemonError):
        check_name(name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_that_tries_it_names_it(kind: PluginKind) -> None:
    assert "framedaemon" in how_to_try("sparkle", kind)
