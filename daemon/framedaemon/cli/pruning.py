"""The command that makes room: prune."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json

if TYPE_CHECKING:
    from framedaemon.instance import Instance
    from framedaemon.retention import Removed, Stale
    from framedaemon.settings import Settings

_WORDS = {"job_log": "log"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(prune)


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would go, and remove nothing.")] = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Remove what config.toml lets go below retention: old pictures that were put away, old logs. Never a video.

    A picture in input/done/ goes only while its video lies in output/ as it was published: all of it is read.

    Example: framedaemon prune --dry-run
    """
    from framedaemon.loop import lock
    from framedaemon.requests import daemon_pid
    from framedaemon.retention import Removed, remove

    here, settings = open_instance(instance)
    alone = daemon_pid(here) is None and here.ledger.exists()
    with lock(here) if alone and not dry_run else nullcontext(), _find(here, settings, leftovers=alone) as stale:
        if dry_run:
            found = list(stale)
            done = Removed([one for one in found if not one.kept], [one for one in found if one.kept], [])
        else:
            done = remove(here, stale)
    if json:
        facts = {"stale": [*map(_facts, done.gone)], "kept": [*map(_facts, done.kept)]}
        print_json({"dry_run": dry_run, "bytes": sum(one.bytes for one in done.gone), **facts})
    else:
        _print(done, dry_run)
    for problem in done.problems:
        print(f"not removed: {problem}", file=sys.stderr)
    raise typer.Exit(1 if done.problems else 0)


@contextmanager
def _find(instance: Instance, settings: Settings, leftovers: bool) -> Iterator[Iterable[Stale]]:
    """What is to go, found while it is gone through."""
    from framedaemon.retention import find_leftovers, find_stale
    from framedaemon.trouble import read_ledger

    with read_ledger(instance.ledger) as ledger:
        if ledger is None:
            yield []
            return
        found = find_leftovers(instance, ledger) if leftovers else []
        yield chain(found, find_stale(instance, ledger, settings.retention, time.time()))


def _facts(stale: Stale) -> dict[str, object]:
    from framedaemon.naming import show

    files = [show(file.path) for file in stale.files]
    return {"kind": stale.kind, "files": files, "bytes": stale.bytes, "why": stale.kept or stale.why}


def _print(done: Removed, dry_run: bool) -> None:
    from framedaemon.settings import show_bytes

    for one in done.gone:
        _print_one(_WORDS.get(one.kind, one.kind), one, one.why)
    for one in done.kept:
        _print_one("kept", one, one.kept)
    counts = Counter(_WORDS.get(one.kind, one.kind) for one in done.gone)
    said = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing"
    total = show_bytes(sum(one.bytes for one in done.gone))
    print(f"{said}: {total} would go" if dry_run else f"{said}: {total} removed")
    if done.kept:
        print(f"{len(done.kept)} kept, as videos of theirs are not as they were published")


def _print_one(word: str, one: Stale, why: str) -> None:
    from framedaemon.naming import show
    from framedaemon.settings import show_bytes

    beside = "".join(f", {show(file.name.name)}" for file in one.files[:-1])
    print(f"{word:<10}{show(str(one.files[-1].name))}{beside}: {show_bytes(one.bytes)}; {why}")
