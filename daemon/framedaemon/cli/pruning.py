"""The command that makes room: prune."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json

if TYPE_CHECKING:
    from framedaemon.instance import Instance
    from framedaemon.retention import Stale
    from framedaemon.settings import Settings

_WORDS = {"done": "done", "failed": "failed", "waiting": "waiting", "job_log": "log", "leftover": "leftover"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(prune)


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would go, and remove nothing.")] = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Remove what config.toml lets go below retention: old pictures that were put away, old logs. Never a video.

    Example: framedaemon prune --dry-run
    """
    from framedaemon.loop import lock
    from framedaemon.requests import daemon_pid
    from framedaemon.retention import remove

    here, settings = open_instance(instance)
    alone = daemon_pid(here) is None and here.ledger.exists()
    with lock(here) if alone and not dry_run else nullcontext():
        stale, problems = _find(here, settings, leftovers=alone), list[str]()
        if not dry_run:
            stale, problems = remove(here, stale)
    if json:
        print_json({"dry_run": dry_run, "bytes": sum(one.bytes for one in stale), "stale": [*map(_facts, stale)]})
    else:
        _print(stale, dry_run)
    for problem in problems:
        print(f"not removed: {problem}", file=sys.stderr)
    raise typer.Exit(1 if problems else 0)


def _find(instance: Instance, settings: Settings, leftovers: bool) -> list[Stale]:
    from framedaemon.ledger import Ledger
    from framedaemon.retention import find_stale
    from framedaemon.trouble import said_plainly

    if not instance.ledger.exists():
        return []  # no daemon has ever run here
    with said_plainly(instance.ledger), closing(Ledger(instance.ledger, read_only=True)) as ledger:
        return find_stale(instance, ledger, settings.retention, time.time(), leftovers)


def _facts(stale: Stale) -> dict[str, object]:
    from framedaemon.naming import show

    files = [show(file.path) for file in stale.files]
    return {"kind": stale.kind, "files": files, "bytes": stale.bytes, "why": stale.why}


def _print(stale: list[Stale], dry_run: bool) -> None:
    from framedaemon.naming import show
    from framedaemon.settings import show_bytes

    for one in stale:
        beside = "".join(f", {show(file.name.name)}" for file in one.files[:-1])
        print(f"{_WORDS[one.kind]:<10}{show(str(one.files[-1].name))}{beside}: {show_bytes(one.bytes)}; {one.why}")
    counts = Counter(_WORDS[one.kind] for one in stale)
    said = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing"
    total = show_bytes(sum(one.bytes for one in stale))
    print(f"{said}: {total} would go" if dry_run else f"{said}: {total} removed")
