"""The ledger, and what it says of the jobs: whether it is whole, what fails, what waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from shlex import quote

from framedaemon.database import VERSION, open_database
from framedaemon.doctor.finding import Finding
from framedaemon.doctor.patient import Patient
from framedaemon.ledger import Ledger
from framedaemon.requests import read_pause
from framedaemon.settings import show_bytes

_LARGE_LOG_BYTES = 256 << 20
_DAY_SECONDS = 86_400.0


def examine_ledger(patient: Patient) -> Iterator[Finding]:
    """Whether it can be read, and is whole. Raises as `open_database` where it is not."""
    path = patient.instance.ledger
    if not path.exists():
        yield Finding("ledger", "ledger", "ok", "there is none yet: no daemon has run here")
        return
    with closing(open_database(path, read_only=True)) as db:
        faults = [row[0] for row in db.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
    if faults:
        raise sqlite3.DatabaseError(faults[0].strip().splitlines()[-1])
    size = show_bytes(path.stat().st_size)
    yield Finding("ledger", "ledger", "ok", f"whole: version {VERSION}, {size}")
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > _LARGE_LOG_BYTES:
        said = f"{log.name} has grown to {show_bytes(log.stat().st_size)}: something reads the ledger all the time"
        yield Finding("ledger", "log", "warning", said, f"lsof {quote(str(path))}  # shows who")


def damaged(patient: Patient, error: str) -> Finding:
    """The ledger cannot be used; ``error`` is what `said_plainly` says of it."""
    said, *mend = error.splitlines()
    return Finding("ledger", "ledger", "error", said.removeprefix(f"{patient.instance.ledger}: "), "\n".join(mend))


def examine_jobs(patient: Patient, ledger: Ledger) -> Iterator[Finding]:
    """What became of jobs, and what keeps them waiting."""
    here = f"--instance {quote(str(patient.instance.root))}"
    counts = ledger.count()
    pause = read_pause(patient.instance)
    if pause is not None:
        since = f" for {_ago(patient.now - pause.since)}" if pause.since else ""
        said = f"paused by hand{since}: no job is begun, whether or not a daemon runs"
        yield Finding("jobs", "paused", "warning", said, f"framedaemon resume {here}")
    for breaker in ledger.breaker.standing():
        mend = f"framedaemon retry --waiting {here}  # when what the reason says is mended"
        yield Finding("jobs", "breaker", "error", breaker.describe(), mend)
    for job in ledger.jobs("waiting", "publishing", limit=1):
        count = counts.get("waiting", 0) + counts.get("publishing", 0)
        said = f"{_jobs(count)} wait, the newest because " if count > 1 else "1 job waits because "
        yield Finding(
            "jobs",
            "waiting",
            "warning",
            f"{said}{job.reason or 'it is to be tried again'}",
            f"framedaemon status {here}",
        )
    for state, word in (("quarantined", "failed at every attempt"), ("failed", "could not be made as they are")):
        count = counts.get(state, 0)  # type: ignore[call-overload]  # both are states
        if count:
            mend = f"framedaemon jobs --state {state} {here}  # then, when it is mended: framedaemon retry --all {here}"
            yield Finding("jobs", state, "warning" if state == "quarantined" else "ok", f"{_jobs(count)} {word}", mend)
    done = ledger.jobs("done", limit=1)
    queued = counts.get("queued", 0) + counts.get("running", 0)
    said = f"the last video is {_ago(patient.now - (done[0].ended or 0.0))} old" if done else "there is no video yet"
    late = done and queued and patient.now - (done[0].ended or 0.0) > _DAY_SECONDS
    said += f"; in the queue: {_jobs(queued)}" if queued else ""
    yield Finding("jobs", "last", "warning" if late else "ok", said, f"framedaemon status {here}" if late else "")


def _jobs(count: int) -> str:
    return f"{count} job{'s' if count != 1 else ''}"


def _ago(seconds: float) -> str:
    if seconds < 7200:
        return f"{max(0, round(seconds / 60))} min"
    return f"{seconds / 3600:.0f} h" if seconds < 2 * _DAY_SECONDS else f"{seconds / _DAY_SECONDS:.0f} days"
