"""What holds for every command: its example is real, and scripts are answered in JSON, errors too."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from commands import Commands
from framedaemon.cli import app

# Commands that print no facts, and why.
WITHOUT_JSON = {
    "init": "makes folders, and says what to type next",
    "run": "its log is JSON on a pipe already",
    "setup": "talks with a person, about licences",
    "watch": "is a screen; `status --json` has its facts",
    "plugin new": "writes a package, and says what to type next",
    "plugin check": "prints what the tests print",
    "service install": "says what it did; `service status --json` tells what is",
    "service uninstall": "says what it did; `service status --json` tells what is",
}


def _walk(command: Any, *names: str) -> Iterator[tuple[str, Any]]:
    for name, inner in getattr(command, "commands", {}).items():
        if hasattr(inner, "commands"):
            yield from _walk(inner, *names, name)
        else:
            yield " ".join((*names, name)), inner


COMMANDS = dict(_walk(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_has_an_example_that_its_own_parser_takes(name: str, tmp_path: Path) -> None:
    command, path = COMMANDS[name], name.split()
    (example,) = re.findall(r"Example: (.*)", command.help)

    program, *words = shlex.split(example.removeprefix("sudo "))
    context = command.make_context(name, _with_files_that_are_there(words[len(path) :], tmp_path))

    assert (program, words[: len(path)]) == ("framedaemon", path)
    assert context.args == []


@pytest.mark.parametrize("name", COMMANDS)
def test_no_paragraph_of_a_commands_help_breaks_where_its_docstring_did(name: str) -> None:
    """What comes after the first is printed with the breaks that it has."""
    _, *paragraphs = COMMANDS[name].help.split("\n\n")

    assert [one for one in paragraphs if "\n" in one.strip()] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_says_what_it_does(name: str) -> None:
    assert [one.name for one in COMMANDS[name].params if "--help" not in one.opts and not one.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_scripts_or_stands_here_with_the_reason(name: str) -> None:
    answers = any("--json" in parameter.opts for parameter in COMMANDS[name].params)

    assert answers == (name not in WITHOUT_JSON)


def test_no_reason_stands_here_for_a_command_that_is_gone() -> None:
    assert sorted(set(WITHOUT_JSON) - set(COMMANDS)) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["status", "--instance", "/nowhere"], 2, "/nowhere is not a folder"),
        (["show", "nonsense"], 1, "no job has this id"),
        (["models", "where", "nonsense"], 1, "nonsense is not in"),
        (["jobs", "--state", "lost"], 2, "lost is none of"),
        (["jobs", "--nonsense"], 2, "--nonsense"),
        (["render", "missing.jpg", "-o", "out.mp4"], 2, "missing.jpg"),
        (["cancel"], 2, "JOB"),
    ],
)
def test_an_error_is_a_json_document_too_and_told_to_people_beside_it(
    command: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    (tmp_path / "input").mkdir()
    monkeypatch.chdir(tmp_path)

    answer, plain = command(*words, "--json"), command(*words)

    assert answer.json["exit_code"] == answer.code == code
    assert said in answer.json["error"]
    assert answer.err
    assert (plain.code, plain.out) == (code, "")


@pytest.mark.parametrize(
    "words",
    ["status", "watch", "jobs", "show x", "retry --all", "cancel x", "prefer x", "pause", "resume", "approve --all",
     "prune", "notify"],
)  # fmt: skip
def test_what_looks_at_an_instance_or_steers_one_takes_no_other_folder_for_one(
    command: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Else a person in the wrong folder reads that no daemon runs and nothing waits."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path)

    said = command(*words.split())

    assert (said.code, said.out) == (2, "")
    assert f"{tmp_path} is no instance" in said.err
    assert list(tmp_path.rglob("*")) == [tmp_path / "tmp"]


def test_what_belongs_to_another_user_is_said_with_whose_it_is(
    command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/etc/paused.part")

    monkeypatch.setattr("framedaemon.instance.find_instance", fail)

    said = command("pause", "--json")

    assert said.code == 1
    assert said.json["error"].startswith("/etc/paused.part: Permission denied")


def _with_files_that_are_there(words: list[str], folder: Path) -> list[str]:
    """The words, with every file that a command wants to exist made in ``folder``."""
    files = [word for word in words if re.search(r"\.(jpg|json|py|pkl)$", word)]
    for file in files:
        (folder / Path(file).name).touch()
    return [str(folder / Path(word).name) if word in files else word for word in words]
