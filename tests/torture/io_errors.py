"""System calls of the service that fail, each once, or from some moment on for a while: EIO, EDQUOT, EROFS, ENOSPC.

The service may bear it, or end and say why; it never ends with a traceback, and whoever starts it again finds all well.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from torture.invariants import Violation
from torture.report import Row
from torture.strace import CALLS, Moment, moments, traced, works
from torture.stream import Stream, Stuck
from torture.workbench import Daemon, Workbench

_ERRORS = ("EIO", "EDQUOT", "EROFS", "ENOSPC")

# What fails for good does so for so long; a call that is reached later is not struck.
_SECONDS = 3.0


def service_errors(bench: Workbench, trials: int, rng: random.Random, lasting: bool = False) -> Row:
    """Fail the calls that a picture with a sidecar costs, one after the other; ``lasting``: all that follow, too."""
    row = Row("errors of the service" + (", lasting" if lasting else ""))
    if not works():
        print("left out: strace is not here, or may not trace")
        return row
    stream = Stream(bench, bench.instance("service"), rng, row)
    log = stream.instance.root / "strace.txt"
    daemon = Daemon(stream.instance)
    try:
        stream.rest()
        with traced(daemon.process.pid, log, "-e", f"trace={CALLS}"):
            stream.drop(with_sidecar=True)
            stream.rest()
        # A folder that cannot be removed stays until the next start sweeps it.
        found = [moment for moment in moments(log) if moment.call != "rmdir"]
        for _ in bench.trials(trials):
            moment, error = rng.choice(found), rng.choice(_ERRORS)
            with traced(daemon.process.pid, log, *_failing(moment, error, lasting)):
                stream.drop(with_sidecar=True)
                end = time.monotonic() + _SECONDS
                while daemon.running and time.monotonic() < end and (lasting or not stream.at_rest()):
                    time.sleep(0.01)
            name = f"{error} {moment.call}" + ("" if daemon.running else ", ended")
            if not daemon.running:
                row.add(_last_words(stream.instance.root / "said.txt", daemon.process.returncode), trials=0)
                daemon = Daemon(stream.instance)
            with daemon.stopped():
                if "INJECTED" in log.read_text("utf-8", "replace"):
                    stream.struck(name)
            stream.rest()
            if row.violations:
                return row
        with daemon.stopped():
            stream.rested()
    except Stuck as stuck:
        row.add([Violation("lost", str(stuck))], trials=0)
    finally:
        daemon.kill()
    return row


def _failing(moment: Moment, error: str, lasting: bool) -> tuple[str, ...]:
    when = f"{moment.number}+" if lasting else str(moment.number)
    return ("-e", f"trace={moment.call}", "-e", f"inject={moment.call}:error={error}:when={when}")


def _last_words(said: Path, code: int) -> list[Violation]:
    """What is wrong with how a service ended by itself."""
    lines = said.read_text("utf-8", "replace").splitlines()
    if code <= 0 or any(line.startswith("Traceback") for line in lines):
        return [Violation("lost", f"the service ended with {code}, saying {lines[-3:]}")]
    return []


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    "errors of the service": service_errors,
    "errors of the service, lasting": lambda bench, trials, rng: service_errors(bench, trials, rng, lasting=True),
}
