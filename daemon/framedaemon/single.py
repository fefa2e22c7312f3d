"""One file, here and now, without a daemon: what `render`, `explain` and `replay` share.

The same opening, planning and pipeline as in a worker, in this very process, with a workspace beside the output.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from framedaemon import pipeline, receipt
from framedaemon.errors import JobRejected, OutOfMemory
from framedaemon.executor import FOR_NETWORKS
from framedaemon.instance import Instance
from framedaemon.layers import Layer, load_layers, read_request
from framedaemon.memory import this_machine, total_ram
from framedaemon.naming import show
from framedaemon.opening import Limits, open_ending, open_source
from framedaemon.pipeline import Made
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.receipt import LastFile
from framedaemon.recipe import Recipe
from framedaemon.settings import Settings
from framedaemon.sidecars import SUFFIX, Pair, is_last, pair_of
from framedaemon.sources import Source
from framedaemon.stages import Machine
from framedaemon.weights import models_folder
from framedaemon.workspace import move, write_atomically

# Begins the name of the hidden folder that a video is made in. Not one that a starting daemon sweeps from output/.
_RENDERING = ".framedaemon_"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file with the plan for one video of it."""

    path: Path
    name: str
    recipe: Recipe
    sha256: str
    plan: Plan
    registry: Registry
    last: LastFile | None
    made_of: tuple[Path, ...]
    """The file, and the picture that its clip is to end with."""


def recipes_for(path: Path, instance: Instance, settings: Settings, *extra: Layer) -> tuple[Recipe, ...]:
    """What is asked for ``path``: config, folder defaults where it lies in input/, its sidecar, then ``extra``.

    Raises JobRejected with every problem.
    """
    if path.suffix.lower() == SUFFIX:
        raise JobRejected(f"{show(path)}: is a recipe; name the picture that it belongs to")
    pair = _pair_of(path)
    sidecar = path.parent / pair.sidecar if pair.sidecar is not None else None
    inside = path.is_relative_to(instance.input)
    root = instance.input if inside else path.parent
    layers = load_layers(root, str(path.relative_to(root)), sidecar)
    if not inside:
        layers = tuple(layer for layer in layers if layer.sidecar)
    return read_request([settings.defaults.layer(), *layers, *extra]).recipes


def last_of(path: Path) -> Path | None:
    """The picture that a clip of ``path`` is to end with. Raises JobRejected where there are several."""
    last = _pair_of(path).last
    return path.parent / last if last is not None else None


def _pair_of(path: Path) -> Pair:
    if is_last(path.name):
        raise JobRejected(f"{show(path)}: is what the clip of another picture ends with; name that, or rename this one")
    pair = pair_of(path.name, (other.name for other in path.parent.iterdir()))
    if pair.refusal is not None:
        raise JobRejected(pair.refusal)
    return pair


def prepare(
    path: Path, instance: Instance, settings: Settings, recipes: Sequence[Recipe], last: Path | None = None
) -> list[Prepared]:
    """Open ``path``, and ``last`` to end with, and plan a video for each recipe. Raises JobRejected."""
    registry, machine, source, sha256 = _open(path, last, instance, settings)
    ending = LastFile(last.name, receipt.hash_file(last)) if last is not None else None
    made_of = (path,) if last is None else (path, last)
    prepared = []
    for number, recipe in enumerate(recipes, start=1):
        try:
            plan = make_plan(source, recipe, registry, machine, receipt.seed_from(sha256, number))
        except OutOfMemory as error:
            raise JobRejected(str(error)) from error
        prepared.append(Prepared(path, path.name, recipe, sha256, plan, registry, ending, made_of))
    return prepared


@dataclass(frozen=True, slots=True)
class Imagined:
    """What a machine that is not at hand would do."""

    machine: Machine
    plan: Plan | None
    reason: str
    """Why there is no plan."""


def imagine(
    path: Path, instance: Instance, settings: Settings, recipe: Recipe, vram: Sequence[int], ram: int | None
) -> list[Imagined]:
    """The plan for ``path`` on a GPU of each of the sizes ``vram``, of which all bytes are free.

    ``ram``: bytes of free main memory; None: as much as this machine has in all. Raises JobRejected for a file that
    cannot be opened.
    """
    registry, here, source, sha256 = _open(path, last_of(path), instance, settings)
    main = total_ram() if ram is None else ram
    imagined = []
    for size in vram:
        machine = replace(here, device="cuda:0", vram=size, ram=main, identity="", imagined=True)
        plan, reason = None, ""
        try:
            plan = make_plan(source, recipe, registry, machine, receipt.seed_from(sha256, 1))
        except (JobRejected, OutOfMemory) as error:
            reason = str(error)
        imagined.append(Imagined(machine, plan, reason))
    return imagined


def _open(
    path: Path, last: Path | None, instance: Instance, settings: Settings
) -> tuple[Registry, Machine, Source, str]:
    """Plugins, this machine, the source, and the sha256 of its bytes. Raises JobRejected."""
    for name, value in FOR_NETWORKS.items():
        os.environ.setdefault(name, value)
    registry = load_plugins(instance.plugins, settings.plugins.disabled)
    models = models_folder(settings.models.folder, instance.root, os.environ)
    machine = this_machine(settings.worker.device, settings.worker.threads, models)
    inbox = settings.inbox
    limits = Limits(inbox.max_pixels, inbox.min_side, inbox.background_rgb)
    source = open_source(path, path.name, limits)
    if last is not None:
        source = open_ending(source, last, last.name, limits)
    return registry, machine, source, receipt.hash_file(path)


def render(prepared: Prepared, output: Path, report: pipeline.Report, overwrite: bool = False) -> Made:
    """Make the video as ``output``, its receipt beside it; nothing partial is ever visible.

    Raises JobRejected for an ``output`` that this video cannot be, StageFailed, OutOfMemory, DiskFull.
    """
    _check_output(prepared, output, overwrite)
    folder = Path(tempfile.mkdtemp(prefix=_RENDERING, dir=output.parent))
    try:
        comment = receipt.comment(prepared.plan, prepared.sha256, prepared.last)
        made = pipeline.run(prepared.plan, folder, prepared.registry, comment, report)
        named = {"name": prepared.name, "sha256": prepared.sha256, "job": ""}
        facts = receipt.describe(prepared.plan, made, **named, attempt=1, last=prepared.last)
        facts["video"]["file"] = output.name
        if overwrite and output.is_dir():
            output.rename(folder / "replaced")
        if overwrite and output.is_file():
            made.video.replace(output)
        else:
            move(made.video, output)
        write_atomically(_receipt_of(prepared, output), receipt.encode(facts))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return made


def _check_output(prepared: Prepared, output: Path, overwrite: bool) -> None:
    """Raises JobRejected where ``output`` would be misnamed, or cost somebody a file."""
    suffix, beside = prepared.plan.video.suffix, _receipt_of(prepared, output)
    if output.suffix.lower() != suffix:
        kind = f"a {suffix} file" if suffix else "a folder of pictures, whose name has no suffix"
        raise JobRejected(f"{show(output)}: the video will be {kind}; name it so")
    if not output.parent.is_dir():
        raise JobRejected(f"{show(output.parent)}: is no folder")
    for path in (output, beside):
        if path.exists() and not overwrite:
            raise JobRejected(f"{show(path)} exists already; --overwrite replaces it")
        if path.exists() and any(map(path.samefile, prepared.made_of)):
            raise JobRejected(f"{show(path)} is what the video is to be made of: choose another name")
    if beside.exists() and _video_of(beside) is None:
        raise JobRejected(f"{show(beside)} is no receipt, and would be replaced by one: choose another name")
    if output.is_dir() and (suffix or _video_of(beside) != output.name):
        raise JobRejected(f"{show(output)} is a folder that no receipt beside it knows: choose another name")


def _receipt_of(prepared: Prepared, output: Path) -> Path:
    return output.with_name(f"{output.stem if prepared.plan.video.suffix else output.name}.json")


def _video_of(path: Path) -> str | None:
    """The name of the video that the receipt at ``path`` is of; None when it is no receipt."""
    try:
        return str(receipt.read_receipt(path)["video"].get("file"))
    except (OSError, ValueError):
        return None
