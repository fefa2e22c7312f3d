"""The command that says yes to previews: approve."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json
from framedaemon.cli.completing import previewed

if TYPE_CHECKING:
    from framedaemon.approval import Waiting
    from framedaemon.instance import Instance


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(approve)


def approve(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="As `framedaemon status` shows them: trip/photo.jpg", autocompletion=previewed
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every picture that waits in input/waiting/.")] = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Have the whole videos made of pictures whose previews you have seen: moves them to input/approved/.

    Example: framedaemon approve photo.jpg
    """
    from framedaemon.approval import approve as move_on
    from framedaemon.naming import show

    if bool(name) == every:
        raise typer.BadParameter("name pictures, or give --all")
    here, _ = open_instance(instance)
    waiting = {str(one.name): one for one in _waiting(here)}
    wanted = dict.fromkeys(waiting if every else (_named(here, word) for word in name or []))
    problems, moved = 0, []
    for word in wanted:
        try:
            if word not in waiting:
                raise FileNotFoundError(f"is not among the pictures in {show(here.waiting)} that were previewed")
            moved.append({"name": show(word), "path": show(move_on(here, waiting[word]))})
        except OSError as error:
            problems += 1
            print(f"{show(word)}: {show(error.strerror or str(error))}", file=sys.stderr)
        else:
            if not json:
                print(f"{show(word)}: approved")
    if json:
        print_json(moved)
    raise typer.Exit(1 if problems else 0)


def _named(instance: Instance, word: str) -> str:
    """What is meant by ``word``: a name below input/waiting/, or a path to there, as shells complete it."""
    path = Path(word).absolute()
    return str(path.relative_to(instance.waiting)) if path.is_relative_to(instance.waiting) else word


def _waiting(instance: Instance) -> list[Waiting]:
    from framedaemon.approval import waiting_in
    from framedaemon.trouble import read_ledger

    with read_ledger(instance.ledger) as ledger:
        return waiting_in(instance, ledger) if ledger else []
