"""Workers, stages and ffmpegs that hang in every way they can: each is replaced in time, and its job done."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]  # ships no types

from framedaemon.instance import Instance
from torture.faulty import Fault, attempts, faulty_instance, left_behind, run, strike
from torture.invariants import Violation, after_a_crash, in_the_end
from torture.report import Row
from torture.workbench import Daemon, Workbench, wait_until

_HEARTBEAT = "heartbeat_seconds = 3.0"
_STALL = "stall_seconds = 3.0"

# An ffmpeg that writes its video, and does not end when its pipe does; once for each time that it is told.
_LINGERS = """#!/bin/sh
"{ffmpeg}" "$@"
code=$?
case "$*" in *rawvideo*) rm "{told}" 2>/dev/null && exec sleep 600 ;; esac
exit $code
"""

# A plugin whose import does not come to an end in a worker; once for each time that it is told.
_HANGS_AT_IMPORT = """
import sys, time
from pathlib import Path
told = Path({told!r})
if "framedaemon.worker" in " ".join(sys.orig_argv) and told.exists():
    told.unlink()
    time.sleep(600)
"""


def _generate(fault: str) -> str:
    return f'[generate]\nfault = "{fault}"'


_STRIKES = (
    Fault(
        "worker stopped", _generate("stop"), "stalled", "no sign of life for 3 s", _HEARTBEAT, 3.0, "no sign of life"
    ),
    Fault("lock held in C", _generate("hold the lock"), "stalled", "no sign of life for 3 s", _HEARTBEAT, 3.0),
    Fault("stage sleeps", _generate("sleep"), "stalled", "no progress for 3 s", _STALL, 3.0, "no progress"),
    Fault(
        "interpolator sleeps", '[interpolate]\nfault = "sleep"', "stalled", "no progress for 3 s", _STALL, 3.0
    ),
    Fault("ffmpeg stopped", _generate("stop ffmpeg"), "stalled", "no progress for 3 s", _STALL, 3.0, "no progress"),
    Fault("worker hangs up", _generate("hang up"), "crashed", "closed its line to the service", "", 3.0),
    Fault("child left behind", _generate("leave a child"), "crashed", "was killed by SIGKILL", "", 3.0),
)  # fmt: skip


def ffmpeg_lingers(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """ffmpeg has written its file and does not end."""
    row, instance = Row("ffmpeg does not end"), faulty_instance(bench, "lingers", _STALL)
    told, script = instance.root / "told", instance.root / "ffmpeg"
    script.write_text(_LINGERS.format(ffmpeg=imageio_ffmpeg.get_ffmpeg_exe(), told=told), "utf-8")
    script.chmod(0o755)
    return _told(bench, trials, row, instance, told, "no progress for 3 s", {"IMAGEIO_FFMPEG_EXE": str(script)})


def import_hangs(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """A worker never comes up, since the import of a plugin does not end."""
    row, instance = Row("import hangs"), faulty_instance(bench, "import", "start_seconds = 6.0")
    told = instance.root / "told"
    (instance.plugins / "hangs.py").write_text(_HANGS_AT_IMPORT.format(told=str(told)), "utf-8")
    return _told(bench, trials, row, instance, told, "not ready within 6 s", {})


def _told(
    bench: Workbench,
    trials: int,
    row: Row,
    instance: Instance,
    told: Path,
    says: str,
    environment: dict[str, str],
) -> Row:
    drops = []
    for number in bench.trials(trials):
        drops += [bench.drop(instance, f"picture{number}x{kind}.png", kind) for kind in range(3)]
        told.touch()
        run(instance, drops, row, environment=environment)
        struck = attempts(instance, "outcome = 'stalled'")
        row.add(in_the_end(instance, drops), trials=len(struck) - row.trials)
        row.add(left_behind(instance), trials=0)
        if told.exists() or not all(says in reason for _, _, reason, _ in struck):
            row.add([Violation("ledger", f"said was {struck}, told: {told.exists()}")], trials=0)
        if row.violations:
            break
    return row


def service_killed_while_its_worker_hangs(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """The service is killed while its worker is stopped and cannot see that; the next service starts another."""
    row, instance = Row("service killed while its worker hangs"), faulty_instance(bench, "both")
    drops = []
    for number in bench.trials(trials):
        name = f"picture{number}"
        drops.append(bench.drop(instance, f"{name}.png", number, f'{_generate("stop")}\nkey = "{name}"\ntimes = 1\n'))
        daemon = Daemon(instance)
        wait_until((instance.root / "tries" / name).exists, "the worker to stop")
        stopped = daemon.workers()
        daemon.process.kill()
        daemon.process.wait()
        row.add(after_a_crash(instance, drops))
        run(instance, drops, row)
        row.add(in_the_end(instance, drops), trials=0)
        row.add(left_behind(instance), trials=0)
        if row.violations or any(Path(f"/proc/{pid}/exe").exists() for pid in stopped):
            row.add(
                [Violation("litter", f"the stopped workers were {stopped}")] if not row.violations else [], trials=0
            )
            break
    return row


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    **{fault.name: lambda bench, trials, rng, fault=fault: strike(bench, trials, fault) for fault in _STRIKES},
    "ffmpeg does not end": ffmpeg_lingers,
    "import hangs": import_hangs,
    "service killed while its worker hangs": service_killed_while_its_worker_hangs,
}
