"""plugins, plugin new, plugin check: what is offered, why something is not, and how to begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import Commands
from framedaemon.authoring import KINDS
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


def test_a_long_name_stays_apart_from_what_is_said_of_it(command: Commands, instance: Instance) -> None:
    name = "a_plugin_with_a_very_long_name"
    (instance.plugins / f"{name}.py").touch()

    (line,) = (line for line in command("plugins").out.splitlines() if line.startswith(name))

    assert line.split()[:2] == [name, "ready"]


def test_a_broken_plugin_is_listed_with_its_reason(command: Commands, instance: Instance) -> None:
    (instance.plugins / "broken.py").write_text("print('noise')\nraise RuntimeError('it is broken')\n")

    said = command("plugins", "--json")
    broken = next(plugin for plugin in said.json if plugin["name"] == "broken")

    assert said.code == 1
    assert (broken["state"], broken["reason"]) == ("broken", "RuntimeError: it is broken (broken.py, line 2)")


# --- plugin new


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_file_is_a_plugin_at_once(command: Commands, instance: Instance, kind: str) -> None:
    said = command("plugin", "new", "sparkle", "--kind", kind, "--drop-in")

    listed = {plugin["name"]: plugin for plugin in command("plugins", "--json").json}
    assert said.code == 0
    assert said.out.startswith(f"{instance.plugins / 'sparkle.py'}: edit it")
    assert (listed["sparkle"]["state"], listed["sparkle"]["reason"]) == ("ready", "")
    assert command("plugin", "check", "sparkle").code == 0


def test_a_new_package_is_written_and_what_to_do_with_it_is_said(command: Commands, instance: Instance) -> None:
    said = command("plugin", "new", "sparkle", "--kind", "interpolator", "--into", "made")

    assert said.code == 0
    assert "  cd made/framedaemon-sparkle\n" in said.out
    assert "  framedaemon render photo.jpg --interpolate sparkle -o try.mp4\n" in said.out
    assert (instance.root / "made/framedaemon-sparkle/src/framedaemon_sparkle/__init__.py").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Sparkle", "--kind", "encoder"], "Sparkle is no name for a plugin: lower-case letters"),
        (["auto", "--kind", "encoder"], "auto means something else already"),
        (["flow", "--kind", "interpolator"], "there is a plugin or stage flow already, from framedaemon "),
        (["faulty", "--kind", "generator", "--drop-in"], "there is a plugin or stage faulty already, from "),
        (["sparkle", "--kind", "painter"], "painter is none of generator, interpolator, encoder, policy, observer"),
    ],
)
def test_a_name_or_kind_that_cannot_be_is_refused_in_words(
    command: Commands, instance: Instance, words: list[str], said: str
) -> None:
    answer = command("plugin", "new", *words)

    assert answer.code != 0
    assert said in " ".join(answer.err.replace("│", " ").split())
    assert list(instance.root.glob("framedaemon-*")) == []


@pytest.mark.parametrize("form", [["--drop-in"], []], ids=["file", "package"])
def test_what_is_there_already_is_not_written_over(command: Commands, instance: Instance, form: list[str]) -> None:
    first = command("plugin", "new", "sparkle", "--kind", "encoder", "--into", "made", *form)

    again = command("plugin", "new", "sparkle", "--kind", "observer", "--into", "made", *form)

    assert (first.code, again.code) == (0, 1)
    assert "is there already, and stays as it is" in again.err


# --- plugin check


def test_a_plugin_that_does_not_load_is_shown_with_the_lines_that_led_there(
    command: Commands, instance: Instance
) -> None:
    (instance.plugins / "broken.py").write_text("def f():\n    return 1 // 0\n\n\nf()\n")

    said = command("plugin", "check", "broken")

    assert said.code == 1
    assert said.out == "broken is broken: ZeroDivisionError: integer division or modulo by zero (broken.py, line 2)\n"
    assert 'broken.py", line 5, in <module>\n    f()\n' in said.err


def test_a_stage_that_fails_for_a_usual_photo_is_shown_too(command: Commands, instance: Instance) -> None:
    command("plugin", "new", "sparkle", "--kind", "generator", "--drop-in")
    file = instance.plugins / "sparkle.py"
    file.write_text(file.read_text().replace("return Estimate(", "1 // 0\n        return Estimate("))

    said = command("plugin", "check", str(file))

    assert said.code == 1
    assert "generate sparkle: ZeroDivisionError: integer division or modulo by zero (sparkle.py, line " in said.out


def test_a_file_elsewhere_can_be_checked_before_it_is_dropped_in(command: Commands, instance: Instance) -> None:
    command("plugin", "new", "sparkle", "--kind", "policy", "--drop-in", "--into", "elsewhere")

    said = command("plugin", "check", "elsewhere/sparkle.py")

    assert said.out == "sparkle is loaded from elsewhere/sparkle.py, and offers: memory policy\n"


def test_a_plugin_that_is_not_there_is_asked_for_in_vain(command: Commands, instance: Instance) -> None:
    assert command("plugin", "check", "nobody").code == 2
