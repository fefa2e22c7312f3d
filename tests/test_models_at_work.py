"""A daemon with weights: taken from the folder that settings name, and refused in words once they are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import Commands
from framedaemon.instance import Instance
from framedaemon.weights import open_weights
from living import CONFIG, drop, make_instance
from weighty import make_toy, toy_plugin

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Commands:
    return Commands(monkeypatch, capfd)


@pytest.fixture
def instance(tmp_path: Path, command: Commands, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """The current folder, with an interpolator whose weights lie in its models/."""
    monkeypatch.chdir(tmp_path)
    made = make_instance(tmp_path)
    made.config.write_text(f'{CONFIG}\n[models]\nfolder = "models"\n')
    (made.plugins / "toy.py").write_text(toy_plugin(make_toy(tmp_path / "net.pkl", numbers=100)))
    assert command("models", "pull", "toy", "--from", tmp_path / "net.pkl").code == 0
    return made


def test_a_worker_takes_weights_from_the_folder_that_settings_name(command: Commands, instance: Instance) -> None:
    drop(instance, "cat.png", '[interpolate]\nuse = "auto"\n')

    done = command("once")

    receipt = json.loads((instance.output / "cat.json").read_text())
    assert done.code == 0
    assert receipt["recipe"]["interpolate"]["use"] == "toy"


def test_weights_that_were_damaged_fail_the_job_and_the_reason_says_how_to_mend_them(
    command: Commands, instance: Instance
) -> None:
    """Never a video of noise; and once they are mended the picture is tried again."""
    drop(instance, "cat.png", '[interpolate]\nuse = "toy"\n')
    path = instance.root / "models" / "toy-1.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")

    failed = command("once")
    said = (instance.failed / "cat.error.txt").read_text()
    command("models", "pull", "toy", "--from", instance.root / "net.pkl")
    command("retry", "--all")
    mended = command("once")

    assert (failed.code, mended.code) == (1, 0)
    assert "toy-1.safetensors is damaged: its sha256 is" in said
    assert "`framedaemon models pull toy-1` puts it right" in said
    assert str(path.parent) not in said
    assert open_weights(path.parent, "toy-1")
    assert (instance.output / "cat.mp4").is_file()
