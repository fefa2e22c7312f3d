"""What the machine gives: inotify, open files, memory; and whether its clock can be believed."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framedaemon.doctor.finding import Finding, State
from framedaemon.doctor.patient import Patient
from framedaemon.ledger import Ledger
from framedaemon.memory import available_ram, total_ram
from framedaemon.settings import show_bytes
from framedaemon.watch import filesystem_of, sends_events

_OPEN_FILES = 1024
_LITTLE_BYTES, _VERY_LITTLE_BYTES = 2 << 30, 512 << 20
_THIS_YEAR = 2026  # when this was written: no clock that is right says less
_LAST_YEAR = 2100
_AHEAD_SECONDS = 120.0
_TIME_ERROR = 5  # what adjtimex gives for a clock that nothing keeps right


@dataclass(frozen=True, slots=True)
class Inotify:
    """What this user may watch."""

    watches: int
    watches_used: int
    instances: int
    instances_used: int
    opens: bool
    """Whether one more can be had."""


def examine_limits(patient: Patient) -> Iterator[Finding]:
    """Limits of the kernel's that keep the daemon from its work."""
    folder = patient.instance.input
    if patient.settings.inbox.watch != "poll" and sends_events(filesystem_of(folder)):
        yield judge_inotify(look_at_inotify(), sum(1 for _ in os.walk(folder)), patient.settings.inbox.rescan_seconds)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < min(_OPEN_FILES, hard if hard > 0 else _OPEN_FILES) or 0 < hard < _OPEN_FILES:
        said = f"only {soft} files may be open at once; {_OPEN_FILES} are usual"
        yield _limit(
            "open files", "warning", said, f"ulimit -n {_OPEN_FILES}  # for a service: LimitNOFILE= in its unit"
        )
    else:
        yield _limit("open files", "ok", f"{soft} files may be open at once")
    yield judge_memory(total_ram(), available_ram(), _swap())


def judge_inotify(inotify: Inotify, folders: int, rescan_seconds: float) -> Finding:
    """Whether input/, which has so many folders, can be watched."""
    without = f"what comes into input/ is found every {rescan_seconds:g} s only"
    if not inotify.opens:
        said = f"all {inotify.instances} inotify instances of this user are taken: {without}"
        return _limit("inotify", "warning", said, _sysctl("max_user_instances", 4 * inotify.instances))
    if inotify.watches - inotify.watches_used < folders:
        used = f"{inotify.watches_used} of {inotify.watches} inotify watches of this user are taken"
        said = f"{used}, and input/ has {folders} folders: {without}"
        return _limit("inotify", "warning", said, _sysctl("max_user_watches", 4 * max(folders, inotify.watches)))
    said = f"inotify: {inotify.instances_used} of {inotify.instances} instances, "
    return _limit("inotify", "ok", f"{said}{inotify.watches_used} of {inotify.watches} watches are taken")


def judge_memory(total: int, free: int, swap: int) -> Finding:
    """Whether there is memory for a job."""
    said = f"{show_bytes(free)} of {show_bytes(total)} of memory are free"
    said += f", and {show_bytes(swap)} of swap" if swap else ", and there is no swap"
    if free < _VERY_LITTLE_BYTES:
        return _limit("memory", "error", f"{said}: jobs will not fit", "end other programs, or add memory or swap")
    if free < _LITTLE_BYTES:
        return _limit("memory", "warning", f"{said}: networks will not fit", "end other programs, or add memory")
    return _limit("memory", "ok", said)


def look_at_inotify(kernel: Path = Path("/proc/sys/fs/inotify"), processes: Path = Path("/proc")) -> Inotify:
    """The limits, and what processes of this user take of them."""
    watches = instances = 0
    for process in processes.glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid != os.geteuid():
                continue
            for handle in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(handle.readlink()) == "anon_inode:inotify":
                        instances += 1
                        watches += (process / "fdinfo" / handle.name).read_text(encoding="ascii").count("inotify wd:")
    return Inotify(
        int((kernel / "max_user_watches").read_text(encoding="ascii")),
        watches,
        int((kernel / "max_user_instances").read_text(encoding="ascii")),
        instances,
        _opens(),
    )


def examine_clock(patient: Patient, ledger: Ledger | None) -> Iterator[Finding]:
    """Whether the time can be believed, by which pictures and jobs are put in order, and old files removed."""
    newest = max((max(job.created, job.ended or 0.0) for job in ledger.jobs(limit=50)), default=0.0) if ledger else 0.0
    yield judge_clock(patient.now, newest, _kept_right())


def judge_clock(now: float, newest: float, kept_right: bool | None) -> Finding:
    """``newest``: the latest time in the ledger. ``kept_right``: None where nobody can tell."""
    said = time.strftime("it is %Y-%m-%d %H:%M:%S here", time.localtime(now))
    mend = "sudo timedatectl set-ntp true  # without a network: sudo date -s 'YYYY-MM-DD HH:MM'"
    year = time.localtime(now).tm_year
    if not _THIS_YEAR <= year <= _LAST_YEAR:
        return Finding("clock", "time", "error", f"{said}: that cannot be", mend)
    if newest > now + _AHEAD_SECONDS:
        last = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(newest))
        said = f"{said}, and the ledger knows of a job of {last}: the clock is behind, or was ahead"
        return Finding("clock", "time", "error", said, mend)
    if kept_right is False:
        return Finding("clock", "time", "warning", f"{said}, and nothing keeps the clock right", mend)
    return Finding("clock", "time", "ok", said)


def _kept_right() -> bool | None:
    """Whether NTP, or something like it, keeps the kernel's clock right; None where the kernel does not tell."""
    try:
        timex = ctypes.create_string_buffer(512)  # struct timex, all zero: nothing is changed
        state = ctypes.CDLL(None).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def _opens() -> bool:
    """Whether an inotify instance can be had."""
    try:
        handle = ctypes.CDLL(None).inotify_init1(os.O_CLOEXEC)
    except (OSError, AttributeError):
        return False
    if handle < 0:
        return False
    os.close(handle)
    return True


def _swap() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("SwapFree:")), 0)


def _sysctl(name: str, value: int) -> str:
    key = f"fs.inotify.{name}={value}"
    return f"sudo sysctl {key} && echo {key} | sudo tee /etc/sysctl.d/60-inotify.conf  # from now on"


def _limit(name: str, state: State, said: str, mend: str = "") -> Finding:
    return Finding("machine", name, state, said, mend)
