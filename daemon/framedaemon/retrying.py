"""Moves pictures back into input/, as a person would by hand: those that failed, and those that nobody knows of."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

from framedaemon.instance import Instance
from framedaemon.ledger import DropRow
from framedaemon.naming import free_path, free_paths
from framedaemon.shares import Shares
from framedaemon.sidecars import owner_of
from framedaemon.workspace import Workspace, move, real_folder


def put_back(instance: Instance, drop: DropRow) -> Path | None:
    """Move the drop's file, and what belongs to it first, back to where it was dropped; returns where it is.

    Its .error.txt is removed. None: it is not in input/failed/ any more, or a link stands in its folder's place, and
    nothing is touched.
    """
    name, rests = PurePosixPath(drop.name), PurePosixPath(drop.rests or "")
    if rests.parts[:1] != (instance.failed.name,):
        return None
    with (
        suppress(FileNotFoundError, NotADirectoryError),
        real_folder(instance.input, rests.parent, moved=True) as there,
    ):
        if os.path.lexists(there / rests.name):
            with real_folder(instance.input, name.parent, make=True) as folder:
                return instance.input / name.parent / _move_back(there / rests.name, folder, drop)
    return None


def _move_back(rests: Path, folder: Path, drop: DropRow) -> str:
    """Move a file that failed and what lies beside it; returns the name that it got in ``folder``."""
    name = PurePosixPath(drop.name)
    target, *beside = free_paths(folder, name.stem, (name.suffix, *drop.own_sides))
    for side, side_target in zip(drop.sides, beside, strict=False):
        if rests.with_name(f"{rests.stem}{side}").is_file():
            move(rests.with_name(f"{rests.stem}{side}"), side_target)
    move(rests, target)
    rests.with_name(f"{rests.stem}.error.txt").unlink(missing_ok=True)
    return target.name


def put_back_orphan(instance: Instance, workspace: Workspace) -> Path | None:
    """Move a picture that no ledger knows of, as after a new one was begun, from tmp/jobs/ back into input/.

    Returns where it is; None when none is there. What belongs to it goes first, and goes back without it too. Raises
    OSError where input/ does not take it.
    """
    files = sorted(workspace.source.iterdir()) if workspace.source.is_dir() else []
    beside = [file for file in files if owner_of(file.name) is not None]
    for picture in files:
        if picture not in beside:
            sides = [file.name.removeprefix(picture.stem) for file in beside]
            with Shares(instance).held(instance.input) as folder:
                target, *targets = free_paths(folder, picture.stem, (picture.suffix, *sides, ".toml"))
                for file, side_target in zip(beside, targets, strict=False):
                    move(file, side_target)
                move(picture, target)
            return instance.input / target.name
    for file in beside:  # its picture never came so far
        with Shares(instance).held(instance.input) as folder:
            move(file, free_path(folder, file.name))
    return None
