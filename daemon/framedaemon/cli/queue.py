"""Commands about the queue: jobs, show, retry, cancel."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json
from framedaemon.cli.completing import any_jobs, failed_jobs, kinds, open_jobs, states

if TYPE_CHECKING:
    from framedaemon.instance import Instance
    from framedaemon.ledger import JobRow, JobState, Ledger, RetryKind

_KINDS = ("rejected", "memory", "failed", "crashed", "stalled", "quarantined", "cancelled")
_IDS = "Ids as `framedaemon jobs` lists them."


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (jobs, show, retry, cancel):
        app.command()(command)


def jobs(
    state: Annotated[
        str | None, typer.Option(help="Only jobs in this state: queued, done, failed, …", autocompletion=states)
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only pictures whose name matches: 'trip/*.jpg'")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.")] = 50,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """List jobs, the newest first.

    Example: framedaemon jobs --state failed --name 'trip/*'
    """
    from fnmatch import fnmatchcase

    from framedaemon.lookout import job_facts
    from framedaemon.trouble import read_ledger

    here, _ = open_instance(instance)
    wanted = [_known_state(state)] if state is not None else []
    with read_ledger(here.ledger) as ledger:
        found = ledger.jobs(*wanted, limit=limit if name is None else -1) if ledger else []
    if name is not None:
        found = [row for row in found if fnmatchcase(row.name, name)][: limit if limit >= 0 else None]
    rows = [job_facts(row) for row in found]
    if json:
        print_json([asdict(row) for row in rows])
        return
    for row in rows:
        preferred = f"priority {row.priority:+d}" if row.priority and row.ended is None else ""
        print("  ".join(filter(None, (row.id, f"{row.state:<10}", row.name, preferred, row.output or row.reason))))
    if not rows:
        print("no job is like that" if wanted or name is not None else "there is no job yet", file=sys.stderr)


def show(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB", help="An id, a picture's name, or the path of picture or video.", autocompletion=any_jobs
        ),
    ],
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Show one job whole: what was asked for and planned, each attempt and its reason, and where everything is.

    Example: framedaemon show trip/photo.jpg
    """
    from framedaemon import naming
    from framedaemon.cli.telling import tell
    from framedaemon.dossier import compile_dossier, find_jobs
    from framedaemon.errors import FramedaemonError
    from framedaemon.trouble import read_ledger

    here, _ = open_instance(instance)
    with read_ledger(here.ledger) as ledger:
        rows = find_jobs(here, ledger, job) if ledger else []
        found = [compile_dossier(here, ledger, row) for row in rows] if ledger else []
    if not found:
        raise FramedaemonError(f"{naming.show(job)}: no job has this id, and no picture or video this name")
    if json:
        print_json([asdict(dossier) for dossier in found])
        return
    for number, dossier in enumerate(found):
        print("\n" * bool(number) + "\n".join(tell(dossier)))


def retry(
    job: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help=_IDS, autocompletion=failed_jobs)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every picture in input/failed/ that a job failed for.")] = False,
    kind: Annotated[
        str | None, typer.Option(help=f"Those whose job ended so: {', '.join(_KINDS)}.", autocompletion=kinds)
    ] = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="No picture, but jobs that wait, whatever for: the daemon tries them now.")
    ] = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Move pictures from input/failed/ back into input/, sidecar and all: they are tried again.

    Example: framedaemon retry --kind crashed
    """
    from framedaemon.naming import show
    from framedaemon.retrying import put_back
    from framedaemon.trouble import read_ledger

    if sum((bool(job), every, kind is not None, waiting)) != 1:
        raise typer.BadParameter("name jobs, or give one of --all, --kind and --waiting")
    ended_so = _known_kind(kind) if kind is not None else None
    here, _ = open_instance(instance)
    if waiting:
        _try_waiting(here, json)
        return
    with read_ledger(here.ledger) as ledger:
        wanted = _failed(ledger, job or [], ended_so) if ledger else []
        drops = [ledger.drop(id) for id in dict.fromkeys(row.drop_id for row in wanted)] if ledger else []
    missing = set(job or []) - {row.id for row in wanted}
    for id in sorted(missing):
        print(f"{id}: no job with this id has failed", file=sys.stderr)
    moved, gone = [], 0
    for drop in drops:
        back = put_back(here, drop)
        if back is not None:
            moved.append({"name": show(drop.name), "path": show(back)})
            if not json:
                print(f"{show(drop.name)}: back in {show(back.parent)}")
        elif job:
            gone += 1
            print(f"{show(drop.name)}: is not in {show(here.failed)} any more", file=sys.stderr)
    if json:
        print_json(moved)
    elif not (moved or missing or gone):
        print("there is nothing to put back", file=sys.stderr)
    raise typer.Exit(1 if missing or gone else 0)


def cancel(
    job: Annotated[list[str], typer.Argument(metavar="JOB...", help=_IDS, autocompletion=open_jobs)],
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """End jobs that are wanted no more; their pictures go to input/failed/.

    Example: framedaemon cancel 20261122T124530-9f3a1c77-1
    """
    from framedaemon.requests import ask_to_cancel
    from framedaemon.trouble import read_ledger

    here, _ = open_instance(instance)
    unknown, told = 0, dict[str, dict[str, bool]]()
    with read_ledger(here.ledger) as ledger:
        rows = {id: ledger.job(id) if ledger else None for id in job}
    for id, row in rows.items():
        if row is None or row.ended is not None:
            print(f"{id}: {'no such job' if row is None else f'ended already: {row.state}'}", file=sys.stderr)
            unknown += 1
        else:
            told[id] = {"daemon": ask_to_cancel(here, id)}
            if not json:
                alone = "no daemon is running; it will be cancelled when one starts"
                print(f"{id}: {'the daemon was told' if told[id]['daemon'] else alone}")
    if json:
        print_json(told)
    raise typer.Exit(1 if unknown else 0)


def _failed(ledger: Ledger, ids: list[str], kind: RetryKind | None) -> list[JobRow]:
    """Jobs that ended without a video: those of ``ids``, or that ended as ``kind`` says, or all."""
    if kind is not None:
        return ledger.ended_by(kind)
    failed = ledger.jobs("failed", "quarantined", "cancelled")
    return [row for row in failed if row.id in ids] if ids else failed


def _try_waiting(instance: Instance, json: bool) -> None:
    from framedaemon.requests import ask_to_try

    told = ask_to_try(instance)
    if json:
        print_json({"daemon": told})
        return
    print("the daemon was told" if told else "no daemon is running; they will be tried when one starts")


def _known_kind(word: str) -> RetryKind:
    if word not in _KINDS:
        raise typer.BadParameter(f"{word} is none of {', '.join(_KINDS)}", param_hint="--kind")
    return cast("RetryKind", word)


def _known_state(word: str) -> JobState:
    from framedaemon.ledger import JobState

    for state in get_args(JobState):
        if state == word:
            return cast("JobState", word)
    raise typer.BadParameter(f"{word} is none of {', '.join(get_args(JobState))}", param_hint="--state")
