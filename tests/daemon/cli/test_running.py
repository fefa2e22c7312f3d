"""init, once, demo and check; `run` itself is tested with the loop."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import av
import pytest

from commands import PROGRAM, Commands, drop_capabilities
from framedaemon.instance import Instance
from living import CONFIG, drop, files_below, make_instance


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """The one that is meant when none is named: the current folder."""
    monkeypatch.chdir(tmp_path)
    return make_instance(tmp_path)


def test_a_new_instance_passes_its_own_check(command: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "my videos"

    made = command("init", folder)
    checked = command("check", "--instance", folder)

    assert (made.code, checked.code, checked.out) == (0, 0, "all is well\n")
    assert f"framedaemon run --instance '{folder}'" in made.out
    assert {path.name for path in folder.iterdir()} == {"config.toml", "input", "output", "tmp", "plugins"}


def test_init_leaves_what_is_there(command: Commands, instance: Instance) -> None:
    drop(instance, "cat.png")
    before = files_below(instance.root)

    assert command("init", instance.root).code == 0

    assert instance.config.read_text() == CONFIG
    assert files_below(instance.root) == before


def test_init_says_what_stands_in_its_way(command: Commands, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("a file")

    said = command("init", tmp_path)

    assert said.code == 2
    assert f"{tmp_path / 'input' / 'done'}: cannot be made: Not a directory" in said.err


def test_check_tells_every_problem_at_once(command: Commands, instance: Instance) -> None:
    drop(instance, "cat.png", "[interpolate]\nfps = -1\n[encode]\nbit_depth = 9\n")
    (instance.plugins / "broken.py").write_text("raise RuntimeError('it is broken')\n")

    said, facts = command("check"), command("check", "--json").json

    assert said.code == 1
    assert facts["problems"] == said.out.splitlines()
    assert [line.partition(":")[0] for line in said.out.splitlines()] == [
        f"plugin broken ({instance.plugins / 'broken.py'})",
        "cat.toml [interpolate] fps",
        "cat.toml [encode] bit_depth",
    ]


def test_check_finds_the_rest_under_settings_that_cannot_be_used(command: Commands, instance: Instance) -> None:
    instance.config.write_text('[inbox]\nsettle_second = 1\n[disk]\nkeep_free_bytes = "much"\n')
    drop(instance, "cat.png", "[interpolate]\nfps = -1\n")

    said = command("check")

    assert said.code == 2
    assert [line.partition(":")[0] for line in said.out.splitlines()] == [
        "config.toml [inbox] settle_second",
        "config.toml [disk] keep_free_bytes",
        "cat.toml [interpolate] fps",
    ]


def test_once_makes_all_there_is_and_ends(command: Commands, instance: Instance) -> None:
    drop(instance, "cat.png")
    drop(instance, "pets/dog.png")

    said = command("once")

    assert (said.code, said.out) == (0, "")
    assert files_below(instance.input) == {"done/cat.png", "done/pets/dog.png"}


def test_once_ends_with_1_when_a_picture_failed_and_with_0_the_next_time(command: Commands, instance: Instance) -> None:
    drop(instance, "cat.png").write_text("no picture")

    first = command("once", "--json")

    assert (first.code, first.json) == (1, {"ended": {"failed": 1}, "problems": []})
    assert command("once").code == 0


def test_once_ends_with_1_when_a_picture_cannot_be_taken(instance: Instance) -> None:
    drop(instance, "cat.png")
    instance.input.chmod(0o555)

    said = subprocess.run([*PROGRAM, "once"], stderr=subprocess.PIPE, text=True, preexec_fn=drop_capabilities)

    assert said.returncode == 1
    assert said.stderr.count("input_unreadable") == 1
    assert (instance.input / "cat.png").exists()


@pytest.mark.parametrize("words", [["run"], ["once"], ["demo"]])
def test_settings_that_cannot_be_used_start_nothing(command: Commands, instance: Instance, words: list[str]) -> None:
    instance.config.write_text("[inbox]\nsettle_seconds = -1\n")

    said = command(*words)

    assert (said.code, said.out) == (2, "")
    assert said.err == "framedaemon: config.toml [inbox] settle_seconds: -1 is not in 0..3600\n"
    assert files_below(instance.input) == set()


def test_a_folder_that_is_not_there_is_never_made(command: Commands, tmp_path: Path) -> None:
    said = command("run", "--instance", tmp_path / "typo")

    assert said.code == 2
    assert "framedaemon init" in said.err
    assert not (tmp_path / "typo").exists()


def test_the_demo_makes_a_video_and_says_where(command: Commands, instance: Instance) -> None:
    instance.config.write_text(CONFIG.replace("frames = 3", "frames = 3\nwidth = 64"))

    said = command("demo")

    assert (said.code, said.out) == (0, f"the video is {instance.output / 'rocket.mp4'}\n")
    with av.open(str(instance.output / "rocket.mp4")) as file:
        assert file.streams.video[0].width == 64
    assert files_below(instance.input) == {"done/rocket.jpg"}


def test_a_demo_that_fails_says_why(command: Commands, instance: Instance) -> None:
    instance.config.write_text(CONFIG.replace("frames = 3", "frames = 3\nwidth = 100_000"))

    said = command("demo")

    assert said.code == 2
    assert "width" in said.err


def test_a_demo_beside_a_daemon_drops_nothing_and_says_what_to_do(command: Commands, instance: Instance) -> None:
    with instance.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        lock.flush()
        said = command("demo")

    assert said.code == 1
    assert f"a daemon runs here already (process {os.getpid()})" in said.err
    assert f"framedaemon watch --instance {instance.root}" in said.err
    assert list(instance.input.glob("*.jpg")) == []


def test_a_demo_whose_job_fails_ends_with_1(command: Commands, instance: Instance) -> None:
    config = CONFIG.replace("frames = 3", 'use = "faulty"\nfault = "raise"').replace(
        "[worker]", "[worker]\nmax_attempts = 1"
    )
    instance.config.write_text(config)

    said = command("demo")

    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[-1] == "framedaemon: no video: faulty: RuntimeError: something broke"


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["-h"], 0), (["paint"], 2), (["run", "--fast"], 2)])
def test_usage(command: Commands, words: list[str], code: int) -> None:
    assert command(*words).code == code


def test_the_module_is_the_command() -> None:
    said = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True)

    assert said.returncode == 0
    assert "framedaemon" in said.stdout
