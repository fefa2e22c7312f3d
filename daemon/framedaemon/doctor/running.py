"""The daemon: whether it runs, as which service, and whether it is the one that is installed.

The service's state comes from `systemctl show`, of the units that name this instance.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from framedaemon.doctor.finding import Finding, State
from framedaemon.doctor.patient import Patient
from framedaemon.instance import INSTANCE_VARIABLE
from framedaemon.manager import lingers
from framedaemon.requests import daemon_pid
from framedaemon.status import read_status

_ASK_SECONDS = 5.0
_SILENT_SECONDS = 180.0
_UNITS = ("framedaemon.service", "framedaemon@*.service")
_FACTS = (
    "Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "MainPID", "NRestarts", "ExecStart",
    "Environment", "WorkingDirectory",
)  # fmt: skip


def examine_running(patient: Patient) -> Iterator[Finding]:
    """The process that holds the instance, and the units that are to start it."""
    pid, root = daemon_pid(patient.instance), patient.instance.root
    units = [(scope, unit) for scope in ("--user", "--system") for unit in _ask(scope) if _names(unit, root)]
    yield from _process(pid, patient, by_hand=not units)
    for other, place in others_at(Path("/proc"), pid):
        if _same(place / "input", patient.instance.input) and not _same(place, root):
            said = f"another daemon (process {other}, of {place}) takes pictures from the same input/"
            yield _finding("twice", "error", said, f"kill {other}  # or give one of them another input/")
    for scope, unit in units:
        yield from judge_unit(scope, unit, pid, lingers())
    if not units:
        start = f"framedaemon service install --instance {shlex.quote(str(root))}"
        yield _finding("service", "ok", "no systemd service is there for this instance: it is started by hand", start)


def judge_unit(scope: str, unit: dict[str, str], pid: int | None, lingers: bool) -> Iterator[Finding]:
    """What a unit that names this instance is up to; ``pid``: the process that holds the instance."""
    name = unit.get("Id", "framedaemon.service")
    flag = "--user " if scope == "--user" else ""
    sudo = "" if flag else "sudo "
    own = int(unit.get("MainPID") or 0)
    log = f"journalctl {flag}-u {name} -n 50"
    if pid is not None and own != pid:
        said = f"process {pid} holds this instance, and is not that of {name}, which cannot start"
        yield _finding("service", "error", said, f"kill {pid} && {sudo}systemctl {flag}restart {name}")
    elif unit.get("ActiveState") == "failed":
        said = f"{name} has failed ({unit.get('Result', 'unknown')}, started {unit.get('NRestarts', '0')} times again)"
        yield _finding("service", "error", said, f"{log}  # says why; then {sudo}systemctl {flag}restart {name}")
    elif unit.get("ActiveState") not in ("active", "reloading"):
        said = f"{name} does not run ({unit.get('ActiveState')}, {unit.get('SubState')})"
        yield _finding("service", "warning", said, f"{sudo}systemctl {flag}start {name}  # what it said: {log}")
    else:
        again = int(unit.get("NRestarts") or 0)
        state: State = "warning" if again else "ok"
        said = f"{name} runs" + (f", after it had to be started again {again} times" if again else "")
        yield _finding("service", state, said, log if again else "")
    if unit.get("UnitFileState") not in ("enabled", "enabled-runtime", "linked"):
        said = f"{name} does not start with the machine"
        yield _finding("boot", "warning", said, f"{sudo}systemctl {flag}enable {name}")
    elif flag and not lingers:
        user = pwd.getpwuid(os.geteuid()).pw_name
        said = f"{name} ends when {user} logs out, and starts only when {user} logs in"
        yield _finding("boot", "warning", said, f"sudo loginctl enable-linger {user}")
    python = _python_of(unit.get("ExecStart", ""))
    if python and Path(python).parent != Path(sys.executable).parent:
        said = f"{name} runs {python}, and you ask that in {Path(sys.executable).parent}"
        yield _finding("python", "warning", said, "framedaemon service install  # writes it anew, with this one")


def others_at(processes: Path, mine: int | None) -> Iterator[tuple[int, Path]]:
    """The daemons that run here, by their locks: process and instance."""
    for process in processes.glob("[0-9]*"):
        if process.name in (str(mine), "self"):
            continue
        with suppress(OSError):
            if b"framedaemon" not in (process / "cmdline").read_bytes():
                continue
            for handle in (process / "fd").iterdir():
                with suppress(OSError):
                    target = handle.readlink()
                    if target.parts[-2:] == ("tmp", "lock"):
                        yield int(process.name), target.parent.parent


def _process(pid: int | None, patient: Patient, by_hand: bool) -> Iterator[Finding]:
    here = shlex.quote(str(patient.instance.root))
    if pid is None:
        yield _finding("daemon", "ok", "no daemon runs", f"framedaemon run --instance {here}" if by_hand else "")
        return
    status = read_status(patient.instance.status)
    said = f"a daemon runs, process {pid}"
    if status is not None and patient.now - status.at > _SILENT_SECONDS:
        minutes = round((patient.now - status.at) / 60)
        mend = f"kill {pid}  # what it is at goes on at its next start"
        yield _finding("daemon", "error", f"{said}, and has said nothing for {minutes} min", mend)
    else:
        yield _finding("daemon", "ok", said)
    for problem in status.problems if status is not None else ():
        yield _finding("daemon", "error", problem, f"framedaemon status --instance {here}")
    if status is not None and status.paused:
        yield _finding("paused", "ok", f"no job is begun: {status.paused}")
    started = _started(pid)
    if started is not None and started < _installed():
        said = "framedaemon was installed anew since the daemon started: an older one runs"
        yield _finding(
            "version", "warning", said, f"kill {pid}  # and start it again; a service starts again by itself"
        )


def _started(pid: int) -> float | None:
    """When the process began, wall clock."""
    with suppress(OSError):
        return Path(f"/proc/{pid}").stat().st_ctime
    return None


def _installed() -> float:
    """When framedaemon was put where it is."""
    with suppress(PackageNotFoundError, OSError, TypeError):
        record = next(file for file in distribution("framedaemon").files or () if file.name == "METADATA")
        return Path(str(distribution("framedaemon").locate_file(record))).stat().st_mtime
    return 0.0


def _ask(scope: str) -> list[dict[str, str]]:
    """What systemd says of all units of ours; nothing where there is no systemd."""
    command = ["systemctl", scope, "show", *_UNITS, *(f"--property={fact}" for fact in _FACTS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_units(done.stdout)


def parse_units(said: str) -> list[dict[str, str]]:
    """The blocks of `systemctl show`, those of units that are there."""
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in said.split("\n\n")]
    return [block for block in blocks if block.get("LoadState") == "loaded"]


def _names(unit: dict[str, str], root: Path) -> bool:
    """Whether the unit runs the instance in ``root``."""
    variables = (word.partition("=") for word in _words(unit.get("Environment", "")))
    places = [place for name, _, place in variables if name == INSTANCE_VARIABLE]
    places += [*_words(unit.get("ExecStart", "")), unit.get("WorkingDirectory", "").lstrip("!")]
    return any(place.startswith("/") and _same(Path(place), root) for place in places)


def _words(said: str) -> list[str]:
    """Words as systemd quotes them."""
    try:
        return shlex.split(said)
    except ValueError:
        return said.split()


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return False


def _python_of(start: str) -> str:
    """The program of ``{ path=/opt/bin/framedaemon ; argv[]=… }``."""
    return start.partition("path=")[2].partition(" ;")[0].strip()


def _finding(name: str, state: State, said: str, mend: str = "") -> Finding:
    return Finding("daemon", name, state, said, mend)
