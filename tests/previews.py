"""An instance whose pictures were previewed, and what a person does with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av

from framedaemon.instance import Instance
from living import drop, files_below, make_instance, run_all

PREVIEW = "[generate]\npreview = true\n"


def preview_two(folder: Path) -> Path:
    """An instance in which cat.png, with a sidecar, and pets/dog.png, by its folder's defaults, were previewed."""
    instance = make_instance(folder)
    (instance.input / "pets").mkdir()
    (instance.input / "pets" / "defaults.toml").write_text(PREVIEW)
    drop(instance, "cat.png", f"{PREVIEW}frames = 4\n")
    drop(instance, "pets/dog.png")
    run_all(instance)
    return instance.root


def by_hand(instance: Instance, name: str) -> None:
    """Move a picture alone, as a person does over a share."""
    (instance.approved / name).parent.mkdir(parents=True, exist_ok=True)
    (instance.waiting / name).rename(instance.approved / name)


def receipt_of(instance: Instance, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((instance.output / name).read_text())
    return facts


def videos(instance: Instance) -> set[str]:
    return {name for name in files_below(instance.output) if name.endswith(".mp4")}


def frames_in(video: Path) -> int:
    with av.open(str(video)) as file:
        return sum(1 for _ in file.decode(video=0))
