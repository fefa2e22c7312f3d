"""The systemd of this machine, or of this person: which of its units are ours, how they are written, what it says.

Where things lie that a unit must name is found out here; `unit` has the text.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from framedaemon.audience import NotifySettings
from framedaemon.errors import FramedaemonError, SettingsError
from framedaemon.instance import Instance
from framedaemon.naming import show
from framedaemon.settings import Settings
from framedaemon.unit import OLDEST, Facts, check_name, drop_in_text, served_by, template_text, unit_text
from framedaemon.users import user_name
from framedaemon.watch import mounts_in
from framedaemon.weights import folder_of, models_folder, stored_names

UNIT = "framedaemon.service"
_TEMPLATE = "framedaemon@.service"
_DROP_IN = "instance.conf"

SYSTEM_UNITS = Path("/etc/systemd/system")
RUNNING = Path("/run/systemd/system")
"""There where systemd is in charge, as of sd_booted(3)."""

# A file for each person whose own systemd runs without a login, as of loginctl(1).
_LINGERERS = Path("/var/lib/systemd/linger")

# Who may open /dev/dri and /dev/kfd, as distributions call them.
_CARD_GROUPS = ("render", "video")

_PROPERTIES = (
    "ActiveState", "SubState", "UnitFileState", "StatusText", "MainPID", "NRestarts", "MemoryCurrent", "Result",
    "ExecMainStatus", "ActiveEnterTimestamp", "NeedDaemonReload",
)  # fmt: skip


def unit_name(name: str | None) -> str:
    """``framedaemon@NAME.service``, or the one without a name."""
    return UNIT if name is None else f"framedaemon@{check_name(name)}.service"


def lingers() -> bool:
    """Whether who asks has an own systemd that runs without a login."""
    return (_LINGERERS / _me()).exists()


class Manager:
    """systemd, the machine's or, with ``user``, that of the person who asks."""

    def __init__(self, user: bool, environ: Mapping[str, str]) -> None:
        self.user = user
        self.folder = SYSTEM_UNITS
        if user:
            home = environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
            self.folder = Path(home) / "systemd" / "user"

    def check(self, command: str) -> None:
        """Raise FramedaemonError, saying what to do, where units cannot be written or systemd is not there."""
        if not RUNNING.is_dir():
            raise FramedaemonError(
                "systemd is not in charge here (in a container, say, or under another init): `framedaemon run` is what "
                "such a service would start, and `framedaemon service install --print` shows how"
            )
        if not self.user and os.geteuid() != 0:
            ours = Path(sys.executable).parent / "framedaemon"
            raise FramedaemonError(
                f"a service of the machine is root's to install: `sudo {ours} service {command} …`; "
                "or, with --user, one of your own that needs no root"
            )

    def units(self) -> dict[str, Path]:
        """The units of ours that are installed, and the instance's folder of each."""
        files = {UNIT: self.folder / UNIT}
        for path in sorted(self.folder.glob(f"framedaemon@*.service.d/{_DROP_IN}")):
            files[path.parent.name.removesuffix(".d")] = path
        found = {}
        for name, path in files.items():
            with suppress(OSError):
                root = served_by(path.read_text(encoding="utf-8"))
                if root is not None:
                    found[name] = root
        return found

    def files(self, name: str, facts: Facts) -> dict[Path, str]:
        """What is to stand where for the unit called ``name``."""
        if name == UNIT:
            return {self.folder / UNIT: unit_text(facts)}
        return {
            self.folder / _TEMPLATE: template_text(facts),
            self.folder / f"{name}.d" / _DROP_IN: drop_in_text(facts),
        }

    def write(self, name: str, facts: Facts) -> list[Path]:
        """Write the unit; returns the files that changed. Raises FramedaemonError for one that is not ours."""
        changed = []
        for path, text in self.files(name, facts).items():
            old = path.read_text(encoding="utf-8") if path.exists() else None
            if old is not None and "framedaemon service install" not in old:
                raise FramedaemonError(f"{path} is not ours: it stays. Move it away to have it written anew")
            if old != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                changed.append(path)
        return changed

    def remove(self, name: str) -> list[Path]:
        """Remove the unit's files, the template's with the last instance's; returns them."""
        removed = [self.folder / UNIT] if name == UNIT else [self.folder / f"{name}.d" / _DROP_IN]
        if name != UNIT and not any(unit not in (UNIT, name) for unit in self.units()):
            removed.append(self.folder / _TEMPLATE)
        for path in removed:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # what `systemctl edit` put there is the operator's
            (self.folder / f"{name}.d").rmdir()
        return removed

    def call(self, *words: str) -> str:
        """What ``systemctl`` answers. Raises FramedaemonError with what it complains of."""
        said = subprocess.run(["systemctl", *self._scope(), *words], capture_output=True, text=True, check=False)  # noqa: S607
        if said.returncode:
            reason = said.stderr.strip() or said.stdout.strip() or f"exit code {said.returncode}"
            if self.user and "bus" in reason:
                reason += f"\nYour own systemd does not run: log in as yourself, or `loginctl enable-linger {_me()}`"
            raise FramedaemonError(f"systemctl {' '.join(words)}: {reason}")
        return said.stdout

    def ask(self, name: str) -> dict[str, str]:
        """What systemd knows of a unit."""
        lines = self.call("show", name, "--property", ",".join(_PROPERTIES)).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def journal(self, name: str, lines: int) -> str:
        """The last lines that the unit wrote, and when; empty where the journal cannot be read."""
        unit = ["--user-unit" if self.user else "--unit", name]
        command = ["journalctl", *unit, "--lines", str(lines), "--no-pager", "--no-hostname"]
        with suppress(OSError):
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        return ""

    def release(self) -> int:
        """Which systemd this is: 252."""
        try:
            found = re.search(r"systemd (\d+)", self.call("--version"))
        except (OSError, FramedaemonError):
            found = None
        return int(found[1]) if found is not None else OLDEST

    def _scope(self) -> list[str]:
        return ["--user"] if self.user else []


def facts_of(instance: Instance, settings: Settings, user: str | None, release: int) -> Facts:
    """What a unit of this instance depends on; ``user``: who it is to be, None in a person's own manager.

    Makes the folder of the weights where it is missing: what is bound into a service must be there when it starts.
    Raises SettingsError.
    """
    script = Path(sys.executable).parent / "framedaemon"
    command = (sys.executable, str(script)) if script.exists() else (sys.executable, "-m", "framedaemon")
    reads = list(_installation())
    with _as(user) as home, suppress(OSError):  # what this user cannot enter is not what its service reads
        reads.extend(_weights(_models(instance, settings, home)))
        reads.extend(_named(instance, settings.notify))
    return Facts(
        root=instance.root,
        command=command,
        user=user,
        groups=tuple(group for group in _CARD_GROUPS if _exists(group)) if user is not None else (),
        writes=(*_outside(instance), *_textfile_folder(instance, settings)),
        reads=tuple(dict.fromkeys(reads)),
        mounts=tuple(_shares(instance)),
        start_seconds=settings.worker.start_seconds,
        stop_seconds=settings.service.stop_seconds,
        halt_seconds=settings.worker.halt_seconds,
        memory_max_bytes=settings.service.memory_max_bytes,
        release=release,
    )


def user_for(instance: Instance, named: str | None) -> str:
    """Who runs the instance: ``named``, else whose folder it is. Raises SettingsError, as for root."""
    owner = _owner(instance.root)
    user = named or owner
    if user in ("root", "0"):
        raise SettingsError(
            f"{show(instance.root)} belongs to root, and what opens strangers' pictures should not be root. "
            "Say who it is to be with --run-as, and give that user the folder: "
            f"`chown -R USER {_typed(instance.root)}`; `useradd --system framedaemon` makes one for this"
        )
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise SettingsError(f"--run-as {show(user)}: there is no such user") from None
    for folder in (instance.root, instance.tmp, instance.ledger):
        if folder.exists() and _owner(folder) != user:
            whose = f"{show(folder)} belongs to {_owner(folder)}, and the service is to run as {user}"
            raise SettingsError(f"{whose}: `chown -R {user} {_typed(instance.root)}` gives it the folder")
    return user


def _typed(path: Path) -> str:
    """As a shell takes it: half a name behind `chown -R` would be another folder."""
    return show(quote(str(path)))


def _owner(path: Path) -> str:
    return user_name(path.stat().st_uid)


def _exists(group: str) -> bool:
    with suppress(KeyError):
        return bool(grp.getgrnam(group))
    return False


def _me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


@contextmanager
def _as(user: str | None) -> Iterator[Path]:
    """See files as ``user`` does, where we are root; that person's home."""
    entry = pwd.getpwnam(user) if user is not None else pwd.getpwuid(os.geteuid())
    before = os.geteuid()
    with suppress(PermissionError):  # printing only, as somebody else
        os.seteuid(entry.pw_uid)
    try:
        yield Path(entry.pw_dir)
    finally:
        os.seteuid(before)


def _models(instance: Instance, settings: Settings, home: Path) -> Path:
    chosen = re.sub(r"^~(?=/|$)", str(home), settings.models.folder)
    models = models_folder(chosen, instance.root, {"HOME": str(home)})
    with suppress(OSError):
        models.mkdir(parents=True, exist_ok=True)
    return models


def _weights(models: Path) -> Iterator[Path]:
    """The folder of weights, and people's own folders that records in it name, with what links there lead to."""
    yield models
    for name in stored_names(models):
        folder = folder_of(models, name)
        if folder.is_dir() and not folder.is_relative_to(models):
            yield folder
            yield from {path.resolve().parent for path in folder.rglob("*") if path.is_symlink()}


def _named(instance: Instance, notify: NotifySettings) -> Iterator[Path]:
    """Programs that notices run, files among their arguments, and files with addresses and secrets."""
    names = [word for target in notify.command for word in target.argv if word.startswith("/")]
    names += [target.secret_file for target in notify.webhook if target.secret_file]
    names += [target.url_file for target in notify.apprise if target.url_file]
    for path in (instance.root / name for name in names):
        if path.is_file():
            yield path
            yield path.resolve()


def _textfile_folder(instance: Instance, settings: Settings) -> Iterator[Path]:
    """Where metrics are written for node_exporter, if that is there: a unit cannot name what is not."""
    folder = (instance.root / settings.metrics.textfile).parent.resolve()
    if settings.metrics.textfile and folder.is_dir() and not folder.is_relative_to(instance.root):
        yield folder


def _installation() -> Iterator[Path]:
    """Where Python and everything it imports lies."""
    from framedaemon.plugins import load_plugins

    load_plugins(None)  # an installation may find its packages by other ways than sys.path
    roots = [Path(sys.prefix), Path(sys.base_prefix), *map(Path, sys.path)]
    roots = [root for root in roots if root.is_absolute() and root.exists()]
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and not any(Path(file).is_relative_to(root) for root in roots):
            roots.append(Path(file).parent)
    for root in roots:
        yield root
        yield root.resolve()


def _outside(instance: Instance) -> Iterator[Path]:
    """What the instance writes to through links: the folder above each, as one that is named looks like a mount."""
    for folder in (instance.input, instance.output, instance.done, instance.failed, instance.waiting, instance.tmp):
        real = folder.resolve()
        if not real.is_relative_to(instance.root):
            above = real.parent
            yield real if os.path.ismount(real) or len(above.parts) == 1 else above


def _shares(instance: Instance) -> Iterator[Path]:
    """Where the filesystems of input/ and output/ are mounted, if not with the rest of the instance."""
    mounts = mount_points(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    home = _mount_of(instance.root, mounts)
    places = (_mount_of(folder, mounts) for folder in (instance.input, instance.output))
    yield from dict.fromkeys(place for place in places if place != home)


def mount_points(mountinfo: str) -> set[Path]:
    """Where something is mounted, by its table: `os.path.ismount` misses what is bound from the same disk."""
    return {Path(point) for point, _ in mounts_in(mountinfo)}


def _mount_of(folder: Path, mounts: set[Path]) -> Path:
    real = folder.resolve()
    return next((path for path in (real, *real.parents) if path in mounts), Path("/"))
