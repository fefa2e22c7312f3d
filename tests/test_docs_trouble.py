"""What the pages for bad days quote is what the code says, and what they tell people to type is there to be typed."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer

from framedaemon.cli import app
from pages import PAGES, ROOT, Path, examples, read

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


@cache
def _literals() -> tuple[str, ...]:
    """Every text in the code; what is filled in is an ellipsis."""
    found = []
    for folder in ("daemon", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append("".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return tuple(found)


def _typed(text: str) -> Iterator[str]:
    """Commands as people type them: in a block of code, or between backticks."""
    yield from re.findall(r"^ {4}(framedaemon .*)$", text, re.MULTILINE)
    yield from re.findall(r"`(framedaemon [^`]*)`", text)


def _misused(line: str) -> str:
    """The first word that does not belong to the command; explanations beside it, after two blanks, are none."""
    words = shlex.split(re.split(r"\s{2,}| \| | #", line)[0].replace("…", "").replace("'", ""))[1:]
    command: Any = typer.main.get_command(app)
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
    found = set[str]()
    for path in (ROOT / "daemon/framedaemon").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in ("warning", "error") and "log" in ast.dump(called):
                found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return found
