"""Files in plugins/ run as the daemon: what others could have changed is not run."""

from __future__ import annotations

import importlib.util
import os
import py_compile
from pathlib import Path

import pytest

from framedaemon.plugins import load_plugins

GOOD = "from framedaemon import hookimpl  \n"  # as long as BAD
BAD = "raise AssertionError('it was run')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    return plugins


def drop_in(folder: Path, code: str) -> Path:
    path = folder / "mine.py"
    path.write_text(code)
    path.chmod(0o644)
    return path


def test_bytecode_that_others_could_have_put_there_is_not_run(folder: Path) -> None:
    """Python takes a .pyc for the source when time and size in it are the source's."""
    path = drop_in(folder, BAD)
    forged = py_compile.compile(str(path))
    source = path.stat()
    drop_in(folder, GOOD)
    os.utime(path, ns=(source.st_atime_ns, source.st_mtime_ns))
    assert forged is not None
    Path(forged).parent.chmod(0o777)

    found = load_plugins(folder).plugins["mine"]

    assert found.state == "broken"
    assert found.reason == f"{Path(forged).parent} can be written by others: chmod go-w {Path(forged).parent}"


def test_bytecode_of_ones_own_is_no_reason_to_refuse(folder: Path) -> None:
    path = drop_in(folder, GOOD)
    cache = Path(importlib.util.cache_from_source(str(path)))

    states = [load_plugins(folder).plugins["mine"].state for _ in range(2)]

    assert states == ["ready", "ready"]
    assert not cache.exists() or cache.parent.stat().st_mode & 0o022 == 0


def test_a_link_to_a_file_in_a_folder_that_others_can_write_is_not_run(folder: Path, tmp_path: Path) -> None:
    """The file is ours today; tomorrow it is another one of the same name."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (folder / "mine.py").symlink_to(drop_in(shared, BAD))

    assert load_plugins(folder).plugins["mine"].reason.startswith(f"{shared} can be written by others")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["plugins", "plugins/mine.py"])
def test_what_belongs_to_somebody_else_is_not_run(folder: Path, what: str) -> None:
    drop_in(folder, BAD)
    os.chown(folder.parent / what, 65534, 65534)

    assert "belongs to another user" in load_plugins(folder).plugins["mine"].reason
