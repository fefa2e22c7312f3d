"""Moves a picture that failed back into input/, as a person would by hand."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from framedaemon.instance import Instance
from framedaemon.ledger import DropRow
from framedaemon.naming import free_paths
from framedaemon.workspace import move


def put_back(instance: Instance, drop: DropRow) -> Path | None:
    """Move the drop's file, and its sidecar first, back to where it was dropped; returns where it is.

    Its .error.txt is removed. None: it is not in input/failed/ any more, and nothing is touched.
    """
    rests = instance.input / drop.rests if drop.rests is not None else None
    if rests is None or not os.path.lexists(rests) or not rests.is_relative_to(instance.failed):
        return None
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
    return target
