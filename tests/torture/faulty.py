"""The shipped stages, which break when a sidecar says so; and rounds of pictures through a daemon that has them.

    [generate]            or [interpolate]
    fault = "sleep"       what happens after the first frame
    key = "picture1"      whose tries are counted
    times = 1             at so many of them it happens; then the stage does what the shipped one does

So a job that was struck and tried again must give the very frames that an undisturbed daemon makes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from framedaemon.instance import Instance
from framedaemon.offspring import MARK
from torture.invariants import Dropped, Violation, after_a_crash, in_the_end
from torture.report import Row
from torture.workbench import CONFIG, Daemon, Workbench, unended

STAGES = (Path(__file__).parent / "faulty_stages.py").read_text("utf-8")
"""A drop-in plugin."""

FAULTY = (
    CONFIG.replace("max_attempts = 100", "max_attempts = 3")
    .replace("[defaults.generate]", '[defaults.generate]\nuse = "faulty"')
    .replace("[defaults.interpolate]", '[defaults.interpolate]\nuse = "faultyflow"')
)

# Beyond what the settings allow a worker: the service's pass, a slow machine.
_SLACK_SECONDS = 10.0

_ROUND_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break a stage."""

    name: str
    """As in the table."""
    sidecar: str
    """Of the pictures that are struck, without their key."""
    outcome: str
    """How their attempts are to end."""
    says: str
    """What the reason of those attempts is to say."""
    worker: str = ""
    """Lines for [worker] of config.toml."""
    seconds: float = 60.0
    """No attempt that was struck takes longer."""
    hopeless: str | None = None
    """What the reason says of a picture that is struck every time; None: there is none such."""
    before: Sequence[str] = ()
    """What the daemon is started under."""


def faulty_instance(bench: Workbench, name: str, worker: str = "") -> Instance:
    """An instance whose stages break when a sidecar says so; ``worker``: more lines for that table of config.toml."""
    instance = bench.instance(name)
    instance.config.write_text(FAULTY.replace("[worker]", f"[worker]\n{worker}"), "utf-8")
    (instance.plugins / "faulty_stages.py").write_text(STAGES, "utf-8")
    return instance


def strike(bench: Workbench, trials: int, fault: Fault) -> Row:
    """Rounds of pictures, half of them struck, until ``trials`` attempts were; all must end as if nothing were."""
    row = Row(fault.name)
    for round in bench.trials(trials):
        if row.trials >= trials or row.violations:
            break
        instance = faulty_instance(bench, f"{fault.name.replace(' ', '-')}{round}", fault.worker)
        drops = _round(bench, instance, fault, hopeless=round == 0 and trials > 1)
        run(instance, drops, row, fault.before)
        row.add(in_the_end(instance, drops), trials=0)
        row.add(left_behind(instance), trials=0)
        struck, wrong = _judge(instance, fault, hopeless=round == 0 and trials > 1)
        row.add(wrong, trials=struck)
    return row


def _round(bench: Workbench, instance: Instance, fault: Fault, hopeless: bool) -> list[Dropped]:
    drops = [bench.drop(instance, "honest.png", 0)]
    for number in range(2 if hopeless else 1):
        name = f"struck{number}"
        drops.append(bench.drop(instance, f"{name}.png", number, _keyed(fault.sidecar, name, 1)))
    if fault.hopeless is not None and hopeless:
        made = bench.drop(instance, "hopeless.png", 3, _keyed(fault.sidecar, "hopeless", 1000))
        drops.append(Dropped(made.name, made.sha256, None, made.sidecar))
    return drops


def _keyed(sidecar: str, key: str, times: int) -> str:
    return f'{sidecar}\nkey = "{key}"\ntimes = {times}\n'


def run(
    instance: Instance,
    drops: Sequence[Dropped],
    row: Row,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run daemons until nothing is left to do; look at what stands on disk after each attempt that failed.

    One that finds nothing to do but what a breaker holds back ends; the next one may try.
    """
    end, seen = time.monotonic() + _ROUND_SECONDS, 0
    while True:
        daemon = Daemon(instance, *before, command="once", environment=environment)
        try:
            while daemon.running:
                if time.monotonic() > end:
                    row.add([Violation("lost", f"the daemon did not end in {_ROUND_SECONDS:g} s")], trials=0)
                    return
                failed = len(attempts(instance, "outcome != 'done'"))
                if failed > seen:
                    seen = failed
                    with daemon.stopped():
                        row.add(after_a_crash(instance, drops), trials=0)
                time.sleep(0.05)
        finally:
            daemon.kill()
        if unended(instance) == 0 or time.monotonic() > end:
            return


def attempts(instance: Instance, where: str) -> list[tuple[str, str, str, float]]:
    """Job, outcome, reason and seconds of the attempts that ended, those that ``where`` (SQL) holds for."""
    if not instance.ledger.exists():
        return []
    query = f"SELECT job_id, outcome, reason, ended - started FROM attempts WHERE ended IS NOT NULL AND {where}"
    with closing(sqlite3.connect(f"file:{instance.ledger}?mode=ro", uri=True, timeout=5)) as db:
        try:
            return db.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []  # it is being made


def left_behind(instance: Instance) -> list[Violation]:
    """Processes that came of a worker of this instance and are still there."""
    mark, found = f"{MARK}={instance.root.resolve()}".encode(), []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes().split(b"\0"):
                found.append(Violation("litter", f"process {environ.parent.name} is left: {_command(environ.parent)}"))
        except OSError:
            continue  # it has ended
    return found


def _command(process: Path) -> str:
    return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _judge(instance: Instance, fault: Fault, hopeless: bool) -> tuple[int, list[Violation]]:
    """How many attempts were struck, and what is wrong with how they ended."""
    struck = attempts(instance, "outcome != 'done' AND reason != ''")
    wrong = []
    for job, outcome, reason, seconds in struck:
        ended_well = outcome == fault.outcome or (fault.hopeless is not None and outcome in ("quarantined", "failed"))
        said = fault.says in reason or (fault.hopeless is not None and fault.hopeless in reason)
        if not (ended_well and said):
            wrong.append(Violation("ledger", f"{job} {outcome}, not {fault.outcome} ({fault.says}): {reason[:300]}"))
        if seconds > fault.seconds + _SLACK_SECONDS:
            wrong.append(Violation("lost", f"{job} was at work for {seconds:.1f} s"))
    if fault.hopeless is not None and hopeless:
        told = instance.failed / "hopeless.error.txt"
        if not told.exists() or fault.hopeless not in told.read_text("utf-8"):
            wrong.append(Violation("lost", f"{told} does not say {fault.hopeless!r}"))
    return len(struck), wrong
