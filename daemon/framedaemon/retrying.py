"""Moves a picture that failed back into input/, as a person would by hand."""

from __future__ import annotations

from pathlib import PurePosixPath

from framedaemon.instance import Instance
from framedaemon.ledger import DropRow
from framedaemon.naming import free_paths, show
from framedaemon.workspace import move


def put_back(instance: Instance, drop: DropRow) -> str:
    """Move the drop's file, and its sidecar first, back to where it was dropped; returns a sentence about it.

    Its .error.txt is removed. What is not in input/failed/ any more is left alone.
    """
    rests = instance.input / drop.rests if drop.rests is not None else None
    if rests is None or not rests.is_file() or not rests.is_relative_to(instance.failed):
        return f"{show(drop.name)}: is not in {instance.failed} any more"
    name = PurePosixPath(drop.name)
    folder = instance.input / name.parent
    folder.mkdir(parents=True, exist_ok=True)
    side = drop.sidecar.removeprefix(name.stem) if drop.sidecar is not None else ".toml"
    target, side_target = free_paths(folder, name.stem, (name.suffix, side))
    sidecar = rests.with_name(f"{rests.stem}{side}")
    if drop.sidecar is not None and sidecar.is_file():
        move(sidecar, side_target)
    move(rests, target)
    rests.with_name(f"{rests.stem}.error.txt").unlink(missing_ok=True)
    return f"{show(drop.name)}: back in {target.parent}"
