"""Commands about the queue: status, jobs, retry, cancel."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, console, open_instance, print_json
from framedaemon.durations import show_seconds

if TYPE_CHECKING:
    from rich.table import Table

    from framedaemon.approval import Waiting
    from framedaemon.instance import Instance
    from framedaemon.ledger import JobRow, JobState, Ledger, RetryKind

_SHOWN_JOBS = 20
_ENDED: tuple[JobState, ...] = ("done", "failed", "quarantined", "cancelled")
_KINDS = ("rejected", "memory", "failed", "crashed", "stalled", "quarantined", "cancelled")
_IDS = "Ids as `framedaemon jobs` lists them."


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (status, jobs, retry, cancel):
        app.command()(command)


def status(
    json: JsonOption = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing it until Ctrl-C.")] = False,
    instance: InstanceOption = None,
) -> None:
    """Show what the daemon is doing, what waits, and what ended last.

    Example: framedaemon status --follow
    """
    here, _ = open_instance(instance)
    if json:
        print_json(_facts(here))
    elif follow and sys.stdout.isatty():
        _follow(here)
    else:
        console().print(_table(_facts(here)))


def jobs(
    state: Annotated[str | None, typer.Option(help="Only jobs in this state: queued, done, failed, …")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.")] = 50,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """List jobs, the newest first.

    Example: framedaemon jobs --state failed
    """
    here, _ = open_instance(instance)
    wanted = [_known_state(state)] if state is not None else []
    with _ledger(here) as ledger:
        rows = [_job_facts(job) for job in ledger.jobs(*wanted, limit=limit)] if ledger else []
    if json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['id']}  {row['state']:<12}{row['name']}  {row['output'] or row['reason']}")


def retry(
    job: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB]...", help="Ids as `framedaemon jobs` lists them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every picture in input/failed/ that a job failed for.")] = False,
    kind: Annotated[str | None, typer.Option(help=f"Those whose job ended so: {', '.join(_KINDS)}.")] = None,
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

    if sum((bool(job), every, kind is not None, waiting)) != 1:
        raise typer.BadParameter("name jobs, or give one of --all, --kind and --waiting")
    ended_so = _known_kind(kind) if kind is not None else None
    here, _ = open_instance(instance)
    if waiting:
        _try_waiting(here)
        return
    with _ledger(here) as ledger:
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
    raise typer.Exit(1 if missing or gone else 0)


def cancel(
    job: Annotated[list[str], typer.Argument(metavar="JOB...", help=_IDS)],
    instance: InstanceOption = None,
) -> None:
    """End jobs that are wanted no more; their pictures go to input/failed/.

    Example: framedaemon cancel 20261122T124530-9f3a1c77-1
    """
    from framedaemon.requests import ask_to_cancel

    here, _ = open_instance(instance)
    unknown = 0
    with _ledger(here) as ledger:
        rows = {id: ledger.job(id) if ledger else None for id in job}
    for id, row in rows.items():
        if row is None or row.ended is not None:
            print(f"{id}: {'no such job' if row is None else f'ended already: {row.state}'}", file=sys.stderr)
            unknown += 1
        elif ask_to_cancel(here, id):
            print(f"{id}: the daemon was told")
        else:
            print(f"{id}: no daemon is running; it will be cancelled when one starts")
    raise typer.Exit(1 if unknown else 0)


def _failed(ledger: Ledger, ids: list[str], kind: RetryKind | None) -> list[JobRow]:
    """Jobs that ended without a video: those of ``ids``, or that ended as ``kind`` says, or all."""
    if kind is not None:
        return ledger.ended_by(kind)
    failed = ledger.jobs("failed", "quarantined", "cancelled")
    return [row for row in failed if row.id in ids] if ids else failed


def _try_waiting(instance: Instance) -> None:
    from framedaemon.requests import ask_to_try

    told = ask_to_try(instance)
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


@contextmanager
def _ledger(instance: Instance) -> Iterator[Ledger | None]:
    """The ledger to read, or None when no daemon has ever run here."""
    from framedaemon.ledger import Ledger
    from framedaemon.trouble import said_plainly

    if not instance.ledger.exists():
        yield None
        return
    with said_plainly(instance.ledger), closing(Ledger(instance.ledger, read_only=True)) as ledger:
        yield ledger


def _facts(instance: Instance) -> dict[str, Any]:
    from framedaemon.approval import waiting_in
    from framedaemon.requests import daemon_pid
    from framedaemon.status import read_status

    said = read_status(instance.status)
    now, progress = time.time(), said.progress if said is not None else None
    current = None
    if progress is not None:
        current = {
            "job": progress.job,
            "name": progress.name,
            "attempt": progress.attempt,
            "seconds": round(now - progress.started, 1),
            "remaining_seconds": progress.remaining_seconds(now),
            "step": progress.step,
            "stages": {stage: {"done": done, "total": total} for stage, (done, total) in progress.stages.items()},
        }
    with _ledger(instance) as ledger:
        ended = ledger.jobs(*_ENDED, limit=_SHOWN_JOBS // 2) if ledger else []
        waiting = ledger.jobs("queued", "waiting", "publishing", limit=_SHOWN_JOBS // 2) if ledger else []
        counts = ledger.count() if ledger else {}
        breakers = ledger.breaker.standing() if ledger else []
        previews = [_preview_facts(one) for one in waiting_in(instance, ledger)] if ledger else []
    return {
        "daemon": daemon_pid(instance),
        "draining": said.draining if said is not None else False,
        "problems": list(said.problems) if said is not None else [],
        "breakers": [asdict(breaker) | {"said": breaker.describe()} for breaker in breakers],
        "current": current,
        "previews": previews,
        "counts": counts,
        "waiting": [_job_facts(job) for job in waiting],
        "ended": [_job_facts(job) for job in ended],
    }


def _preview_facts(waiting: Waiting) -> dict[str, Any]:
    from framedaemon.naming import show

    return {"name": show(str(waiting.name)), "previews": [show(preview) for preview in waiting.previews]}


def _job_facts(job: JobRow) -> dict[str, Any]:
    from framedaemon.naming import show

    return {
        "id": job.id,
        "name": show(job.name),
        "state": job.state,
        "output": show(job.output) if job.output else None,
        "attempts": job.attempts,
        "reason": show(job.reason.partition("\n")[0]),
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
    }


def _table(facts: dict[str, Any]) -> Table:
    from rich.table import Table

    daemon = f"daemon runs, process {facts['daemon']}" if facts["daemon"] else "no daemon runs"
    counts = ", ".join(f"{count} {state}" for state, count in sorted(facts["counts"].items())) or "no jobs yet"
    table = Table(title=f"{daemon}: {counts}", title_justify="left", box=None, pad_edge=False, expand=True)
    for column in ("state", "name", "stage", "frames", "left"):
        table.add_column(column, overflow="ellipsis", no_wrap=True, max_width=40)
    table.add_column("said", overflow="ellipsis", no_wrap=True, ratio=1)  # what is left: the others stay readable
    current = facts["current"]
    if current is not None:
        stages = current["stages"]
        frames = ", ".join(f"{each['done']}/{each['total']}" for each in stages.values())
        left = show_seconds(current["remaining_seconds"])
        table.add_row("running", current["name"], current["step"] or ", ".join(stages) or "planning", frames, left, "")
    for job in (*reversed(facts["waiting"]), *facts["ended"]):
        table.add_row(job["state"], job["name"], "", "", "", job["output"] or job["reason"])
    for preview in facts["previews"][:_SHOWN_JOBS]:
        approve = f"framedaemon approve {shlex.quote(preview['name'])}"
        table.add_row("preview", preview["name"], "", "", "", f"{', '.join(preview['previews'])}: {approve}")
    for breaker in facts["breakers"]:
        table.add_row("breaker", "", "", "", "", breaker["said"])
    for problem in facts["problems"]:
        table.add_row("problem", "", "", "", "", problem)
    return table


def _follow(instance: Instance) -> None:
    from rich.live import Live

    with Live(_table(_facts(instance)), console=console(), screen=False, refresh_per_second=2) as live:
        try:
            while True:
                time.sleep(1.0)
                live.update(_table(_facts(instance)))
        except KeyboardInterrupt:
            return
