from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from commands import drop_capabilities
from framedaemon.errors import FramedaemonError, SettingsError
from framedaemon.instance import INSTANCE_VARIABLE, Instance, create, find_instance


def _folders(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir())


def test_the_option_goes_before_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    instance = find_instance(tmp_path / "a", {INSTANCE_VARIABLE: str(tmp_path / "b")})

    assert instance.root == (tmp_path / "a").resolve()


def test_the_environment_goes_before_the_current_folder(tmp_path: Path) -> None:
    instance = find_instance(None, {INSTANCE_VARIABLE: str(tmp_path)})

    assert instance.root == tmp_path.resolve()


@pytest.mark.parametrize("environ", [{}, {INSTANCE_VARIABLE: ""}])
def test_the_current_folder_is_the_instance_when_nothing_names_one(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    instance = find_instance(None, environ)

    assert instance.root == tmp_path.resolve()


def test_a_folder_named_by_mistake_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--instance: .*missing is not a folder; `framedaemon init"):
        find_instance(tmp_path / "missing", {})

    assert not (tmp_path / "missing").exists()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    create(Instance(tmp_path))

    assert _folders(tmp_path) == [
        *("input", "input/done", "input/failed", "output", "output/logs", "plugins", "tmp", "tmp/jobs")
    ]


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    create(instance)
    (instance.input / "photo.jpg").write_bytes(b"photo")

    create(instance)

    assert (instance.input / "photo.jpg").read_bytes() == b"photo"


def test_a_link_to_a_share_that_is_not_mounted_may_come_right_by_itself(tmp_path: Path) -> None:
    """Whoever starts the daemon may try again, which a service does: exit code 1, not 2."""
    (tmp_path / "output").symlink_to("/nonexistent/share")

    with pytest.raises(FramedaemonError, match=r"leads to /nonexistent/share.*is a mount missing") as caught:
        create(Instance(tmp_path))

    assert not isinstance(caught.value, SettingsError)


def test_files_in_the_place_of_folders_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("")
    (tmp_path / "plugins").write_text("")

    with pytest.raises(SettingsError) as caught:
        create(Instance(tmp_path))

    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        str(tmp_path / name) for name in ("input/done", "input/failed", "plugins")
    ]


def test_every_path_lies_below_the_root(tmp_path: Path) -> None:
    names = [name for name, value in vars(Instance).items() if isinstance(value, property)]

    assert "ledger" in names
    assert [name for name in names if tmp_path not in getattr(Instance(tmp_path), name).parents] == []


def test_nobody_else_may_look_at_the_pictures_at_work(tmp_path: Path) -> None:
    instance = Instance(tmp_path)

    create(instance)

    assert instance.jobs.stat().st_mode & 0o777 == 0o700
    assert instance.tmp.stat().st_mode & 0o055 == 0o055  # `framedaemon status` may be another user's


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_file_that_a_sudo_left_behind_is_named_before_anything_breaks_on_it(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    create(instance)
    instance.ledger.touch(0o644)
    os.chown(instance.ledger, pwd.getpwnam("nobody").pw_uid, -1)
    asking = "import sys; from framedaemon.instance import *; create(Instance(Path(sys.argv[1])))"

    said = subprocess.run(
        [sys.executable, "-c", asking, tmp_path], capture_output=True, text=True, preexec_fn=drop_capabilities
    )

    assert f"SettingsError: {instance.ledger}: belongs to another user, as after a `sudo framedaemon`" in said.stderr
