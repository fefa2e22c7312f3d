"""The command line as data, and out of it the manual page (roff, man(7)) and completion for shells."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer
from typer._completion_shared import get_completion_script

from framedaemon import __version__
from framedaemon.cli import app

RELEASED = "2026-11-23"
"""The foot of the manual page: the day of the release, or when work on it began."""

# Where shells look, below a prefix such as /usr, ~/.local or a virtual environment.
COMPLETIONS = {
    "bash": "share/bash-completion/completions/framedaemon",
    "zsh": "share/zsh/site-functions/_framedaemon",
    "fish": "share/fish/vendor_completions.d/framedaemon.fish",
}

INSTANCE_HELP = (
    "the folder that holds `config.toml`, `input/`, `output/`, `tmp/` and `plugins/`. Left out, it is "
    "`$FRAMEDAEMON_INSTANCE`, else the current folder."
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument or option, as people read it."""

    shown: str
    """``--output, -o OUT``, or ``FILE``."""
    help: str
    required: bool
    argument: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the command line."""

    path: str
    """``models pull``; "" for framedaemon itself."""
    help: str
    params: tuple[Parameter, ...]


def commands() -> list[Command]:
    """framedaemon itself, and every command in the order in which ``--help`` lists them."""
    return list(_walk(typer.main.get_command(app), ""))


def _walk(command: Any, path: str) -> Iterator[Command]:  # typer brings its own click
    inner = getattr(command, "commands", {})
    if not inner or not path:
        shown = [each for each in command.params if each.name != "instance" and not getattr(each, "hidden", False)]
        params = tuple(map(_parameter, shown))
        yield Command(path, command.help or "", params)
    for name, each in inner.items():
        yield from _walk(each, f"{path} {name}".strip())


def _parameter(param: Any) -> Parameter:
    argument = param.param_type_name == "argument"
    if argument:
        shown = param.metavar or param.name.upper()
    else:
        value = "" if getattr(param, "is_flag", False) else param.metavar or _kind(param)
        shown = f"{', '.join([*param.opts, *param.secondary_opts])} {value}".strip()
    return Parameter(shown, param.help or "", param.required, argument)


def _kind(param: Any) -> str:
    return getattr(param.type_descriptor.annotation, "__name__", "").upper().replace("STR", "TEXT")


def synopsis(command: Command) -> str:
    """One line: ``framedaemon render [OPTION]... FILE``."""
    needed = [p.shown.rpartition(", ")[2] for p in command.params if not p.argument and p.required]
    options = ["[OPTION]..."] if command.path != "init" else []
    arguments = [p.shown for p in command.params if p.argument]
    return " ".join(
        ["framedaemon", *command.path.split(), *(options if command.path else ["COMMAND"]), *needed, *arguments]
    )


def prose(text: str) -> Iterator[str]:
    """The paragraphs of a docstring, without its example."""
    for block in text.strip().split("\n\n"):
        if not block.startswith("Example:"):
            lines = block.split("\n")
            indented = all(line.startswith("    ") for line in lines)
            yield block if indented else re.sub(r"\s+", " ", block).replace("``", "`")


def example_of(text: str) -> str:
    """The example that a docstring ends with, on its own; "" for none."""
    found = re.search(r"^Example: (.*)", text, re.MULTILINE | re.DOTALL)
    return re.sub(r"\s+", " ", found[1]).strip() if found else ""


def manual() -> str:
    """framedaemon(1)."""
    head, *rest = commands()
    lines = [
        f'.TH FRAMEDAEMON 1 {RELEASED} "framedaemon {__version__}" "User Commands"',
        ".SH NAME",
        "framedaemon \\- still pictures in, smooth videos out",
        ".SH SYNOPSIS",
        ".B framedaemon",
        "\\fICOMMAND\\fP [\\fIOPTION\\fP]... [\\fIARGUMENT\\fP]...",
        ".SH DESCRIPTION",
        _roff(" ".join(prose(head.help))),
        *_options(head),
        ".PP",
        _roff(f"Every command but init takes --instance DIR too: {INSTANCE_HELP}".replace("`", "")),
        ".SH COMMANDS",
    ]
    for command in rest:
        lines += [".SS " + _roff(synopsis(command), wide=True)]
        for number, paragraph in enumerate(prose(command.help)):
            lines += ([".PP"] if number else []) + [_roff(paragraph)]
        lines += _options(command)
        if example := example_of(command.help):
            lines += [".PP", "Example:", ".PP", ".RS 4", ".nf", _roff(example, wide=True), ".fi", ".RE"]
    return "\n".join([*lines, *_TAIL]) + "\n"


_TAIL = textwrap.dedent(
    """\
    .SH EXIT STATUS
    .TP
    .B 0
    All is well.
    .TP
    .B 1
    A picture did not become a video, or something asked for is not there.
    .TP
    .B 2
    Wrong usage, or settings that cannot be used.
    .SH ENVIRONMENT
    .TP
    .B FRAMEDAEMON_INSTANCE
    The instance's folder, where \\fB\\-\\-instance\\fP is not given;
    else it is the current folder.
    .TP
    .B FRAMEDAEMON_OFFLINE
    Set to anything: nothing is fetched from the network.
    .TP
    .B XDG_CACHE_HOME
    Weights lie in framedaemon/models below it; else below ~/.cache.
    .SH FILES
    Below the instance's folder:
    .TP
    .I config.toml
    Settings; each stands there with its default.
    .TP
    .I input/
    Pictures to come. Those that became videos rest in done/, those that did not
    in failed/, with the reason beside them.
    .TP
    .I output/
    Videos and their receipts; logs/ holds the logs.
    .TP
    .I tmp/
    The ledger, and work in progress.
    .TP
    .I plugins/
    Plugins of one file each.
    .SH SIGNALS
    A daemon that is sent SIGTERM or SIGINT begins no other job and ends with the
    one at hand; after [service] stop_seconds, or at a second signal, that halts
    and goes on at the next start.
    SIGHUP has it read config.toml again.
    .SH SEE ALSO
    .BR ffmpeg (1),
    .BR systemd.service (5)"""
).split("\n")


def _options(command: Command) -> Iterator[str]:
    for param in command.params:
        yield ".TP"
        yield f"\\fB{_roff(param.shown, wide=True)}\\fP"
        yield _roff(param.help) or "\\&"


def _roff(text: str, wide: bool = False) -> str:
    """Text that roff prints as it stands; ``wide`` keeps a line whole that is to be copied."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("…", "...").replace("×", "x")
    lines = [plain] if wide else textwrap.wrap(plain, 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def completion(shell: str) -> str:
    """The file by which ``shell`` completes framedaemon's words, by asking framedaemon."""
    script = get_completion_script(prog_name="framedaemon", complete_var="_FRAMEDAEMON_COMPLETE", shell=shell)
    if shell == "zsh":  # autoloaded at the first Tab, which is to complete already
        script += '\n_framedaemon_completion "$@"'
    return script + "\n"
