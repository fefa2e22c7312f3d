"""What the pages for bad days quote is what the code says, and what they tell people to type is there to be typed."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from framedaemon.cli import app
from framedaemon.instance import Instance
from pages import PAGES, ROOT, examples, read

QUOTED = [(example.page, line) for example in examples("text") for line in example.text.splitlines() if line.strip()]


@pytest.mark.parametrize(("page", "line"), QUOTED, ids=[line[:60] for _, line in QUOTED])
def test_a_quoted_message_is_one_that_the_code_says(page: str, line: str) -> None:
    parts = [re.escape(part.strip()) for part in line.split("…") if part.strip()]

    said = re.compile(".*".join(parts), re.DOTALL)

    assert any(said.search(literal) for literal in _literals())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_pages_are_there_with_their_options(page: Path) -> None:
    wrong = [line for line in _typed(read(page)) if _misused(line)]

    assert wrong == []


def test_logs_are_named_where_they_lie(tmp_path: Path) -> None:
    folders = {folder for page in PAGES for folder in re.findall(r"\b[a-z]+/logs/", read(page))}

    assert folders == {f"{Instance(tmp_path).logs.relative_to(tmp_path)}/"}


@cache
def _nodes() -> tuple[ast.AST, ...]:
    """All that the code is made of and that says something: texts and calls."""
    paths = [path for folder in ("daemon", "plugins") for path in (ROOT / folder).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    return tuple(node for tree in trees for node in ast.walk(tree) if isinstance(node, _SAYING))


_SAYING = (ast.JoinedStr, ast.Constant, ast.Call)


@cache
def _literals() -> tuple[str, ...]:
    """Every text in the code; what is filled in is an ellipsis."""
    filled = [node for node in _nodes() if isinstance(node, ast.JoinedStr)]
    plain = [node.value for node in _nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return (
        *plain,
        *("".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values) for node in filled),
    )


@cache
def _commands() -> Any:  # typer brings its own click
    return typer.main.get_command(app)


def _typed(text: str) -> Iterator[str]:
    """Commands as people type them: in a block of code, or between backticks."""
    yield from re.findall(r"^ {4}(framedaemon [a-z-].*)$", text, re.MULTILINE)
    yield from re.findall(r"`(framedaemon [^`]*)`", text)


def _misused(line: str) -> str:
    """The first word that does not belong to the command; explanations beside it, after two blanks, are none."""
    words = shlex.split(re.split(r"\s{2,}| \| | #", line)[0].replace("…", "").replace("'", ""))[1:]
    command = _commands()
    while words and getattr(command, "commands", None):
        if words[0].startswith("-") or words[0].isupper():
            break
        if words[0] not in command.commands:
            return words[0]
        command = command.commands[words.pop(0)]
    known = {option for param in command.params for option in [*param.opts, *param.secondary_opts]} | {"--help", "-h"}
    return next((word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known), "")


def test_the_operating_guide_explains_every_line_of_the_log_that_is_no_good_news() -> None:
    rows = [line for line in read("docs/operating.md").splitlines() if line.startswith("| `")]

    said = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}

    assert sorted(_alarms() - said) == []


def _alarms() -> set[str]:
    """Names of the events that are logged as warnings and errors."""
    calls = [node for node in _nodes() if isinstance(node, ast.Call)]
    loud = [call for call in calls if getattr(call.func, "attr", "") in ("warning", "error") and _logs(call)]
    return {str(arg.value) for call in loud for arg in call.args[:1] if isinstance(arg, ast.Constant)}


def _logs(call: ast.Call) -> bool:
    return "log" in ast.dump(call.func)
