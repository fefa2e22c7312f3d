"""plugins: what is offered, and why something is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import Commands
from framedaemon.instance import Instance
from living import make_instance


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """An instance with a drop-in file, as the current folder."""
    instance = make_instance(tmp_path)
    monkeypatch.chdir(tmp_path)
    return instance


def test_plugins_are_listed_with_what_they_offer(command: Commands, instance: Instance) -> None:
    said = command("plugins")
    facts = {plugin["name"]: plugin for plugin in command("plugins", "--json").json}

    assert said.code == 0
    assert len([line for line in said.out.splitlines() if not line.startswith(" ")]) == len(facts)
    assert facts["stages"]["stages"] == ["generate faulty", "interpolate blend"]
    assert facts["stages"]["origin"] == str(instance.plugins / "stages.py")
    assert facts["ffmpeg"]["origin"].startswith("framedaemon ")


def test_a_broken_plugin_is_listed_with_its_reason(command: Commands, instance: Instance) -> None:
    (instance.plugins / "broken.py").write_text("print('noise')\nraise RuntimeError('it is broken')\n")

    said = command("plugins", "--json")
    broken = next(plugin for plugin in said.json if plugin["name"] == "broken")

    assert said.code == 1
    assert (broken["state"], broken["reason"]) == ("broken", "RuntimeError: it is broken")
