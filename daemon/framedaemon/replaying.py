"""Makes a video again from its receipt, and says whether it came out the same."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from framedaemon import receipt, single
from framedaemon.errors import JobRejected
from framedaemon.instance import Instance
from framedaemon.layers import Layer, read_request
from framedaemon.naming import show
from framedaemon.pipeline import Made
from framedaemon.settings import Settings
from framedaemon.sidecars import is_last
from framedaemon.single import Prepared


def load(path: Path) -> dict[str, Any]:
    """The receipt's facts. Raises JobRejected when it is none."""
    try:
        return receipt.read_receipt(path)
    except ValueError as error:
        raise JobRejected(str(error)) from error


def prepare(facts: dict[str, Any], instance: Instance, settings: Settings, source: Path | None) -> Prepared:
    """The receipt's plan over its own files. Raises JobRejected when one of them is gone or another."""
    name, sha256 = facts["source"]["name"], facts["source"]["sha256"]
    path = source or _find(instance, name, sha256)
    if path is None:
        raise JobRejected(f"{show(name)} is not in {instance.done} or waiting/: say where it is with --source")
    if receipt.hash_file(path) != sha256:
        raise JobRejected(f"{path} is not the file that the video was made of (its sha256 differs)")
    (recipe,) = read_request([Layer("receipt", facts["recipe"])]).recipes
    path = path.resolve()
    return single.prepare(path, instance, settings, [recipe], _find_last(path, facts["source"]))[0]


def compare(facts: dict[str, Any], made: Made, output: Path) -> str:
    """A sentence on whether the video is the one of the receipt, byte for byte."""
    if output.is_dir():
        return "a folder of pictures: compare them one by one"
    if receipt.hash_file(output) == facts["video"]["sha256"]:
        return "the same as the first one, byte for byte"
    if facts["versions"] != receipt.versions():
        return "not the same bytes as the first one: versions of what makes it have changed since"
    return "not the same bytes as the first one; with [encode] threads = 1 the encoder repeats itself exactly"


def _find(instance: Instance, name: str, sha256: str) -> Path | None:
    """The source in input/done/, or in waiting/ where it is only previewed, under its own name or a numbered one."""
    for resting in (instance.done, instance.waiting):
        wanted = resting / name
        beside = sorted(wanted.parent.glob(f"*{wanted.suffix}")) if wanted.parent.is_dir() else []
        for path in (wanted, *beside):
            if path.is_file() and receipt.hash_file(path) == sha256:
                return path
    return None


def _find_last(path: Path, facts: dict[str, Any]) -> Path | None:
    """The picture that the clip of ``path`` ended with, beside it. Raises JobRejected when it is gone or another.

    ``facts``: what the receipt says of the source.
    """
    if "last" not in facts:
        return None
    name, sha256 = facts["last"]["name"], facts["last"]["sha256"]
    side = PurePosixPath(name).name.removeprefix(PurePosixPath(facts["name"]).stem)
    wanted = path.with_name(f"{path.stem}{side}")
    others = sorted(other for other in path.parent.iterdir() if is_last(other.name))
    found = next((p for p in (wanted, *others) if p.is_file() and receipt.hash_file(p) == sha256), None)
    if found is None:
        raise JobRejected(f"{show(name)}, which the video ends with, is not beside {show(path)}: put it there")
    return found
