"""An instance: one folder that holds all that a daemon reads and writes.

    config.toml
    input/    pictures to come;   done/ and failed/ hold those that were, waiting/ those that were previewed
    output/   videos;             logs/
    tmp/      ledger.sqlite3, lock, jobs/ with a folder for each job at work
    plugins/  drop-in stages, *.py

A checkout of the project is itself an instance.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from framedaemon.errors import FramedaemonError, SettingsError
from framedaemon.naming import APPROVED, WAITING

INSTANCE_VARIABLE = "FRAMEDAEMON_INSTANCE"


@dataclass(frozen=True, slots=True)
class Instance:
    """Where everything of one daemon stands; making one touches nothing."""

    root: Path
    """Absolute when it comes from `find_instance`."""

    @property
    def config(self) -> Path:
        """The settings; may be missing, then all of them are at their defaults."""
        return self.root / "config.toml"

    @property
    def input(self) -> Path:
        return self.root / "input"

    @property
    def done(self) -> Path:
        """Where a picture rests once its videos are published."""
        return self.input / "done"

    @property
    def failed(self) -> Path:
        """Where a picture lies that gave no video, with the reason beside it."""
        return self.input / "failed"

    @property
    def waiting(self) -> Path:
        """Where a picture waits whose preview is to be looked at; there once there was one."""
        return self.input / WAITING

    @property
    def approved(self) -> Path:
        """Where it is moved by whoever wants the whole of it; there from then on."""
        return self.input / APPROVED

    @property
    def output(self) -> Path:
        return self.root / "output"

    @property
    def logs(self) -> Path:
        return self.output / "logs"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def jobs(self) -> Path:
        """A folder for each job that is at work."""
        return self.tmp / "jobs"

    @property
    def ledger(self) -> Path:
        return self.tmp / "ledger.sqlite3"

    @property
    def lock(self) -> Path:
        """Held by the one daemon that runs this instance."""
        return self.tmp / "lock"

    @property
    def status(self) -> Path:
        """What the running daemon is doing right now."""
        return self.tmp / "status.json"

    @property
    def paused(self) -> Path:
        """There while the daemon is paused by hand."""
        return self.tmp / "paused"

    @property
    def plugins(self) -> Path:
        return self.root / "plugins"


def find_instance(option: Path | None, environ: Mapping[str, str]) -> Instance:
    """The instance that ``--instance`` names, else $FRAMEDAEMON_INSTANCE, else the current folder.

    Raises SettingsError when that folder is not there: nothing is ever made in a place named by mistake.
    """
    named = environ.get(INSTANCE_VARIABLE)
    if option is not None:
        root, said = option, "--instance"
    elif named:
        root, said = Path(named), f"${INSTANCE_VARIABLE}"
    else:
        root, said = Path(), "the current folder"
    if not root.is_dir():
        raise SettingsError(f"{said}: {root} is not a folder; `framedaemon init {root}` makes it one")
    return Instance(root.resolve())


def refuse_unmade(instance: Instance) -> None:
    """Raise SettingsError for a folder that is no instance, and holds nothing that one could be told by."""
    if not instance.config.exists() and not os.path.lexists(instance.input):
        raise SettingsError(
            f"{instance.root} is no instance: there is neither config.toml nor input/ in it. Name the folder that is "
            f"one by --instance DIR or ${INSTANCE_VARIABLE}; `framedaemon init DIR` makes a new one"
        )


def create(instance: Instance) -> None:
    """Make the folders that are missing, and leave alone what is there.

    Only the daemon's user may look into tmp/jobs/, where people's pictures are; all else is as the umask says.
    Raises SettingsError, naming each of them, for folders that cannot be made; FramedaemonError where that may pass by
    itself, as with a share that is not mounted yet.
    """
    problems, passing = [], []
    for folder in (instance.done, instance.failed, instance.logs, instance.jobs, instance.plugins):
        try:
            folder.mkdir(0o700 if folder == instance.jobs else 0o777, parents=True, exist_ok=True)
        except FileExistsError:
            lost = next((path for path in (folder, folder.parent) if path.is_symlink() and not path.exists()), None)
            if lost is None:
                problems.append(f"{folder}: a folder is needed here, and a file stands in its place")
            else:
                passing.append(f"{lost}: leads to {lost.readlink()}, which is not there; is a mount missing?")
        except (PermissionError, NotADirectoryError) as error:
            problems.append(f"{folder}: cannot be made: {error.strerror}")
        except OSError as error:
            passing.append(f"{folder}: cannot be made: {error.strerror}")
    for path in another_users(instance, os.geteuid()):
        problems.append(
            f"{path}: belongs to another user, as after a `sudo framedaemon`: "
            "`framedaemon doctor` says how it is given back"
        )
    if problems:
        raise SettingsError([*problems, *passing])
    if passing:
        raise FramedaemonError("\n".join(dict.fromkeys(passing)))


def another_users(instance: Instance, uid: int) -> list[Path]:
    """What a daemon of ``uid`` could not use of what one made before: it is another user's, and not for writing.

    Where ``uid`` is not who asks, all that is another user's: what group and lists of rights allow is not known then.
    """
    made = (instance.tmp, instance.jobs, instance.lock, instance.ledger)
    theirs = [path for path in made if path.exists() and path.stat().st_uid != uid]
    return [path for path in theirs if uid != os.geteuid() or not os.access(path, os.W_OK)]


def furnish(instance: Instance) -> None:
    """Make the folders that are missing and, where there is none, a config.toml that explains itself. As `create`."""
    create(instance)
    if not instance.config.exists():
        instance.config.write_text(default_config(), encoding="utf-8")


def default_config() -> str:
    """The config.toml that explains itself: every key at its default, taken out of force."""
    packaged = files("framedaemon") / "config.toml"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "config.toml").read_text(encoding="utf-8")  # in a checkout
