"""The systemd unit of an instance, as text: what the service may do, and why.

    framedaemon.service                                  one instance: everything in one file
    framedaemon@.service                                 several: what they share …
    framedaemon@NAME.service.d/instance.conf             … and what is each one's own

Nothing here reads or writes anything: `manager` does. Each line that could surprise stands with its reason in the unit
itself, since that is where it is read at night.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from framedaemon.errors import SettingsError
from framedaemon.naming import show
from framedaemon.systemd import EXTEND_SECONDS

OLDEST = 252
"""The release of systemd that a unit is written for where nothing is known."""

# These are replaced by empty folders, so what we need of them is bound back into place.
_HIDDEN_HOMES = tuple(map(Path, ("/home", "/root", "/run/user")))
_HIDDEN_TMP = tuple(map(Path, ("/tmp", "/var/tmp")))  # noqa: S108  (names of folders, nothing is written there)

# From this release on systemd knows RestartSteps=.
_BACK_OFF_SINCE = 254

# Where each wait before a new start ends up: 10 s, 13, 18 … 5 min.
_RESTART_SECONDS, _LONGEST_RESTART_SECONDS, _RESTART_STEPS = 10, 300, 10

# What a start needs beside the worker's own patience, and an end beside the job's time and the halt.
_START_MARGIN_SECONDS, _STOP_MARGIN_SECONDS = 60, 30


@dataclass(frozen=True, slots=True)
class Facts:
    """What the unit of one instance depends on. Paths are absolute, and lead through no links."""

    root: Path
    """The instance's folder."""
    command: tuple[str, ...]
    """Starts the daemon: this installation's Python and what it is to run."""
    user: str | None
    """Who the service is; None in a person's own manager, where it is that person."""
    groups: tuple[str, ...] = ()
    """Further groups, those that may use graphics cards."""
    writes: tuple[Path, ...] = ()
    """Folders outside the instance that it writes to: input/ that is a link to a share, that of metrics."""
    reads: tuple[Path, ...] = ()
    """What it must be able to read, wherever that lies: Python, the plugins, the weights, programs that notices run."""
    mounts: tuple[Path, ...] = ()
    """Where shares are mounted that it works on."""
    start_seconds: float = 120.0
    stop_seconds: float = 60.0
    halt_seconds: float = 30.0
    memory_max_bytes: int = 0
    release: int = OLDEST
    """The release of systemd that will read it."""


def unit_text(facts: Facts) -> str:
    """The unit of one instance, ``framedaemon.service``."""
    return _file(
        [f"Description=framedaemon, {_escape(facts.root)}", *_unit_lines(), *_own_unit_lines(facts)],
        [*_own_service_lines(facts), *_service_lines(facts)],
        _install_lines(facts),
    )


def template_text(facts: Facts) -> str:
    """What all instances of one machine share, ``framedaemon@.service``."""
    return _file(
        ["Description=framedaemon, instance %i", *_unit_lines()], list(_service_lines(facts)), _install_lines(facts)
    )


def drop_in_text(facts: Facts) -> str:
    """What is an instance's own beside the template, ``framedaemon@NAME.service.d/instance.conf``."""
    return _file(list(_own_unit_lines(facts)), list(_own_service_lines(facts)), [])


def served_by(text: str) -> Path | None:
    """The instance's folder that a unit or drop-in of ours names; None for a file that is not ours."""
    found = re.search(r'^Environment="FRAMEDAEMON_INSTANCE=(.*)"$', text, re.MULTILINE)
    return Path(found[1].replace("%%", "%")) if found else None


def mount_unit(mounted: Path) -> str:
    """systemd's name for the mount at ``mounted``: ``/mnt/nas`` is ``mnt-nas.mount``, other signs are in hex."""
    text = str(mounted).strip("/")
    kept = (
        char if re.fullmatch(r"[A-Za-z0-9:_]", char) or (char == "." and index) else _hex(char)
        for index, char in enumerate(text)
    )
    return "".join(kept).replace(_hex("/"), "-") + ".mount"


def _hex(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))


def check_name(name: str) -> str:
    """``name``, if an instance of the template can be called so. Raises SettingsError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.]{0,63}", name):
        raise SettingsError(f"{show(name)!r} cannot name a service: letters, digits, _ and . only, 64 at most")
    return name


_HEAD = "# Written by `framedaemon service install`, which writes it anew. Changes of your own: `systemctl edit`."


def _file(unit: list[str], service: list[str], install: list[str]) -> str:
    sections = [("[Unit]", unit), ("[Service]", service), ("[Install]", install)]
    return "\n\n".join([_HEAD, *("\n".join([title, *lines]) for title, lines in sections if lines)]) + "\n"


def _unit_lines() -> Iterator[str]:
    yield "# Shares are there before anything looks into them; and a start that fails is tried again for ever."
    yield "After=remote-fs.target time-sync.target"
    yield "StartLimitIntervalSec=0"


def _own_unit_lines(facts: Facts) -> Iterator[str]:
    yield f"RequiresMountsFor={_quoted(facts.root)}"
    if facts.mounts:
        shares = " ".join(mount_unit(path) for path in facts.mounts)
        yield "# A share that is missing keeps nothing from starting: framedaemon sees it and waits."
        yield f"Wants={shares}"
        yield f"After={shares}"


def _own_service_lines(facts: Facts) -> Iterator[str]:
    yield f"ExecStart={' '.join(_quoted(word).replace('$', '$$') for word in facts.command)} run"
    yield f'Environment="FRAMEDAEMON_INSTANCE={_escape(facts.root)}"'
    if facts.user is None:
        yield from _limits(facts)
        return
    yield f"User={facts.user}"
    if facts.groups:
        yield "# Who may open graphics cards on this machine."
        yield f"SupplementaryGroups={' '.join(facts.groups)}"
    yield "# What the card's driver compiles for it outlives a start; the home folder, where it would go, is not there."
    yield f'Environment="CUDA_CACHE_PATH={_escape(facts.root / "tmp" / "cuda")}"'
    yield from _limits(facts)
    yield from _folders(facts)


def _limits(facts: Facts) -> Iterator[str]:
    if facts.memory_max_bytes:
        yield f"MemoryMax={facts.memory_max_bytes}"
    yield f"TimeoutStartSec={round(facts.start_seconds) + _START_MARGIN_SECONDS}"
    yield f"# The job at hand may go on for {facts.stop_seconds:g} s, and has {facts.halt_seconds:g} s to halt."
    yield f"TimeoutStopSec={round(facts.stop_seconds + facts.halt_seconds) + _STOP_MARGIN_SECONDS}"


def _folders(facts: Facts) -> Iterator[str]:
    """All is read-only but the instance; homes and /tmp are empty, but for what we need of them."""
    writes = _outermost([facts.root, *facts.writes])
    reads = [path for path in _outermost(facts.reads) if not any(path.is_relative_to(w) for w in writes)]
    hidden = (*_HIDDEN_HOMES, *_HIDDEN_TMP)
    needed = [path for path in (*writes, *reads) if _below(path, _HIDDEN_HOMES)]
    yield "# Everything is read-only but these. Folders are named whole: between two of them a rename would be a copy."
    yield f"ReadWritePaths={' '.join(_quoted(path) for path in writes)}"
    yield (
        "# People's homes are empty folders to it, so that a picture that takes over a decoder finds no keys there"
        + ("; but" if needed else ".")
    )
    if needed:
        yield "# what it works on and what it runs lies there."
    yield f"ProtectHome={'tmpfs' if needed else 'yes'}"
    for path in writes:
        if _below(path, hidden):
            yield f"BindPaths={_quoted(path)}"
    for path in reads:
        if _below(path, hidden):
            yield f'BindReadOnlyPaths="-{_escape(path)}"'  # gone by then: the service starts all the same


def _service_lines(facts: Facts) -> Iterator[str]:
    yield from _LIFE.format(
        watchdog=round(EXTEND_SECONDS), restart=_RESTART_SECONDS, back_off=_back_off(facts.release)
    ).splitlines()
    yield from _CAREFUL.splitlines()
    if facts.user is not None:
        yield from _SHUT_IN.splitlines()


def _install_lines(facts: Facts) -> list[str]:
    return ["WantedBy=" + ("default.target" if facts.user is None else "multi-user.target")]


def _back_off(release: int) -> str:
    if release < _BACK_OFF_SINCE:
        return ""
    return f"\nRestartSteps={_RESTART_STEPS}\nRestartMaxDelaySec={_LONGEST_RESTART_SECONDS}"


_LIFE = """
# Up when a worker answers; what it does stands in `systemctl status`.
Type=notify
NotifyAccess=main
ExecReload=/bin/kill -HUP $MAINPID
# The loop says that it lives, in the middle of long copies and scans too. Where it hangs, SIGABRT has it write to the
# journal where each thread stands; a core dump would hold people's pictures.
WatchdogSec={watchdog}
TimeoutAbortSec=10
LimitCORE=0
# Whoever ended it, be it a plugin, unless systemd was asked to. Exit code 2 is for what a person has to mend:
# config.toml, folders, a damaged ledger.
Restart=always
RestartPreventExitStatus=2
RestartSec={restart}{back_off}
# Told to end, the service itself ends its worker, which leaves a checkpoint; what is left after that is killed.
KillMode=mixed
# The kernel ends the worker where memory runs out; the service tries the job again, smaller.
OOMPolicy=continue""".strip()

# What a person's own manager can do, too.
_CAREFUL = """
# No privileges, no other architecture's system calls, no sockets but these: the journal's and systemd's, and the
# internet for notices and metrics. MemoryDenyWriteExecute= is not here: torch and drivers compile as they run.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM""".strip()

_SHUT_IN = """
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
# Its own processes only. ProcSubset=pid is not here: how much memory is free stands in /proc/meminfo.
ProtectProc=invisible
KeyringMode=private
# Graphics cards and nothing else. PrivateDevices= is not here: it would hide them.
DevicePolicy=closed
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-nvidia-caps rw
DeviceAllow=char-drm rw
DeviceAllow=char-kfd rw
# Videos are for everybody who may enter output/. For a share of your own: `systemctl edit`, UMask=0027.
UMask=0022""".strip()


def _below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Each path once, without those that lie in another."""
    every = list(dict.fromkeys(paths))
    return [path for path in every if not any(path != other and path.is_relative_to(other) for other in every)]


def _quoted(word: str | Path) -> str:
    return f'"{_escape(word)}"'


def _escape(word: str | Path) -> str:
    """``word`` as it may stand in a unit. Raises SettingsError for what systemd cannot be told safely."""
    text = str(word)
    if re.search(r'[\x00-\x1f\x7f"\\:\udc80-\udcff]', text):
        raise SettingsError(
            f"{show(text)}: a unit cannot name what has quotes, colons, backslashes or control characters"
        )
    return text.replace("%", "%%")
