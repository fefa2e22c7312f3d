"""setup: folders, settings and weights, as often as one likes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Commands
from framedaemon import storing
from framedaemon.instance import Instance
from framedaemon.published import Download
from framedaemon.weights import fault_of
from living import files_below
from weighty import Web, make_toy, toy_plugin, web

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Web]:
    with web(make_toy(tmp_path / "net.pkl")) as running:
        yield running


@pytest.fixture
def instance(tmp_path: Path, served: Web, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """The current folder, with a plugin that has weights, and nothing else yet."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Instance(tmp_path / "instance")
    made.plugins.mkdir(parents=True)
    made.plugins.chmod(0o755)
    (made.plugins / "toy.py").write_text(toy_plugin(served.data, Download(served.url)))
    monkeypatch.chdir(made.root)
    return made


def test_setup_makes_folders_and_settings_and_brings_the_weights_that_auto_would_take(
    command: Commands, instance: Instance, tmp_path: Path
) -> None:
    said = command("setup", "--yes")

    assert said.code == 0
    assert said.out.splitlines() == [
        f"{instance.root}: drop pictures into {instance.input}",
        f"toy-1 is ready: {tmp_path / 'cache/framedaemon/models/toy-1.safetensors'}",
        "toy is ready",
        f"ready: framedaemon run --instance {instance.root}",
    ]
    assert instance.config.is_file()
    assert instance.done.is_dir()
    assert fault_of(tmp_path / "cache" / "framedaemon" / "models", "toy-1") is None


def test_setup_can_be_run_again_and_changes_nothing(command: Commands, instance: Instance, served: Web) -> None:
    command("setup", "--yes")
    instance.config.write_text("[disk]\nballast_bytes = 0\n")
    served.asked.clear()
    before = files_below(instance.root)

    again = command("setup", "--yes")

    assert (again.code, served.asked) == (0, [])
    assert "toy is ready" in again.out
    assert files_below(instance.root) == before


def test_setup_without_anybody_to_ask_fetches_nothing_and_names_the_command(
    command: Commands, instance: Instance, served: Web
) -> None:
    said = command("setup")

    assert (said.code, served.asked) == (0, [])
    assert "toy-1 (MIT) is not fetched, nobody is here to be asked: `framedaemon models pull toy-1`" in said.out


def test_setup_says_that_it_is_offline(
    command: Commands, instance: Instance, served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEDAEMON_OFFLINE", "1")

    said = command("setup", "--yes")

    assert (said.code, served.asked) == (0, [])
    assert "toy-1 (MIT) is not fetched, offline: `framedaemon models pull toy-1`" in said.out


def test_setup_without_torch_says_the_command_that_brings_it(
    command: Commands, instance: Instance, served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "find_spec", lambda name: None)

    said = command("setup", "--yes")

    assert (said.code, served.asked) == (0, [])
    assert "toy would be taken first, and needs torch and safetensors:" in said.out
    assert " -m pip install torch safetensors\n" in said.out


def test_setup_says_what_went_wrong(command: Commands, instance: Instance, served: Web) -> None:
    served.status = 500

    said = command("setup", "--yes")

    assert said.code == 1
    assert "toy-1 could not be fetched" in said.err
    assert "HTTP 500" in said.err
