"""Commands that hold the queue back and let it go, and put jobs before others: pause, resume, prefer."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json
from framedaemon.cli.completing import open_jobs

_PREFERRED = 10


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pause, resume, prefer):
        app.command()(command)


def pause(
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait for the job at work: it halts, and goes on afterwards.")
    ] = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Begin no job until `framedaemon resume`, whatever is started or dropped meanwhile.

    Once the job at work has ended, so does the worker: what it held of memory and graphics card is free then.

    Pictures are still taken from input/, and wait.

    Example: framedaemon pause --now
    """
    import time

    from framedaemon import requests

    here, _ = open_instance(instance)
    before = requests.read_pause(here)
    running = requests.pause(here, now, time.time())
    if json:
        print_json({"paused": True, "before": before is not None, "now": now, "daemon": running})
        return
    if not running:
        print("paused: no daemon is running; one that starts begins no job until `framedaemon resume`")
    elif now:
        print("paused: the job at work halts, and goes on after `framedaemon resume`; `framedaemon status` shows when")
    else:
        print("paused: the job at work is finished, and no other begun until `framedaemon resume`")


def resume(json: JsonOption = False, instance: InstanceOption = None) -> None:
    """Begin jobs again after `framedaemon pause`.

    Example: framedaemon resume
    """
    from framedaemon import requests

    here, _ = open_instance(instance)
    before = requests.read_pause(here)
    running = requests.resume(here)
    if json:
        print_json({"paused": False, "before": before is not None, "daemon": running})
        return
    said = "resumed" if before is not None else "it was not paused"
    print(said if running else f"{said}; no daemon is running")


def prefer(
    job: Annotated[
        list[str],
        typer.Argument(metavar="JOB...", help="Ids as `framedaemon jobs` lists them.", autocompletion=open_jobs),
    ],
    priority: Annotated[
        int,
        typer.Option(min=-100, max=100, help="Higher ones go first; what is dropped has 0, or what its recipe says."),
    ] = _PREFERRED,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Put jobs before others, or behind them: the job at work is not interrupted.

    Example: framedaemon prefer 20261122T124530-9f3a1c77-1
    """
    from framedaemon.requests import ask_to_prefer
    from framedaemon.trouble import read_ledger

    here, _ = open_instance(instance)
    with read_ledger(here.ledger) as ledger:
        rows = {id: ledger.job(id) if ledger else None for id in job}
    said = {}
    for id, row in rows.items():
        if row is None or row.ended is not None:
            print(f"{id}: {'no such job' if row is None else f'ended already: {row.state}'}", file=sys.stderr)
            continue
        told = ask_to_prefer(here, id, priority)
        said[id] = {"priority": priority, "before": row.priority, "daemon": told}
        if not json:
            print(f"{id}: {'the daemon was told' if told else 'no daemon is running; it counts when one starts'}")
    if json:
        print_json(said)
    raise typer.Exit(0 if len(said) == len(rows) else 1)
