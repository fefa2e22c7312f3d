"""Options that several commands take, and how they print."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from framedaemon.instance import Instance
    from framedaemon.settings import Settings

InstanceOption = Annotated[
    Path | None,
    typer.Option(
        "--instance",
        metavar="DIR",
        help="Folder with config.toml, input/, output/, tmp/. Default: $FRAMEDAEMON_INSTANCE, else the current folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def open_instance(option: Path | None, anywhere: bool = False) -> tuple[Instance, Settings]:
    """The instance that is meant, and its settings; with ``anywhere``, a folder that is none yet will do.

    Raises SettingsError.
    """
    from framedaemon.instance import find_instance, refuse_unmade
    from framedaemon.settings import read_settings

    instance = find_instance(option, os.environ)
    if not anywhere:
        refuse_unmade(instance)
    return instance, read_settings(instance.config)


def console() -> Console:
    """Where people read: coloured on a terminal; plain elsewhere, and wide, since nothing wraps there."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)


def typed() -> list[str]:
    """The command as it was typed; what stands in the environment does not come along to another user."""
    from framedaemon.instance import INSTANCE_VARIABLE

    place = os.environ.get(INSTANCE_VARIABLE)
    return [*(("env", f"{INSTANCE_VARIABLE}={place}") if place else ()), *sys.argv]


def print_json(value: Any) -> None:
    """One JSON document on stdout; names that are not UTF-8 are escaped."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def print_error(message: str, exit_code: int) -> None:
    """What a command that was asked for JSON answers where it cannot: one document too. People read stderr."""
    if "--json" in sys.argv:
        print_json({"error": message, "exit_code": exit_code})
