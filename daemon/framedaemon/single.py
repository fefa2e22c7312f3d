"""One file, here and now, without a daemon: what `render`, `explain` and `replay` share.

The same opening, planning and pipeline as in a worker, in this very process, with a workspace beside the output.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framedaemon import pipeline, receipt
from framedaemon.errors import JobRejected, OutOfMemory
from framedaemon.instance import Instance
from framedaemon.layers import Layer, load_layers, read_request
from framedaemon.memory import this_machine
from framedaemon.opening import Limits, open_source
from framedaemon.pipeline import Made
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.recipe import Recipe
from framedaemon.settings import Settings
from framedaemon.sidecars import find_sidecar
from framedaemon.workspace import COPYING, move, write_atomically


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file with the plan for one video of it."""

    path: Path
    name: str
    recipe: Recipe
    sha256: str
    plan: Plan
    registry: Registry


def recipes_for(path: Path, instance: Instance, settings: Settings, *extra: Layer) -> tuple[Recipe, ...]:
    """What is asked for ``path``: config, folder defaults where it lies in input/, its sidecar, then ``extra``.

    Raises JobRejected with every problem.
    """
    pair = find_sidecar(path.name, (other.name for other in path.parent.iterdir()))
    if pair.refusal is not None:
        raise JobRejected(pair.refusal)
    sidecar = path.parent / pair.sidecar if pair.sidecar is not None else None
    inside = path.is_relative_to(instance.input)
    root = instance.input if inside else path.parent
    layers = load_layers(root, str(path.relative_to(root)), sidecar)
    if not inside:
        layers = tuple(layer for layer in layers if layer.sidecar)
    return read_request([Layer("config.toml", settings.defaults.table()), *layers, *extra]).recipes


def prepare(
    path: Path, instance: Instance, settings: Settings, recipes: Sequence[Recipe], registry: Registry | None = None
) -> list[Prepared]:
    """Open ``path`` and plan a video for each recipe. Raises JobRejected."""
    registry = registry or load_plugins(instance.plugins, settings.plugins.disabled)
    machine = this_machine(settings.worker.device, settings.worker.threads)
    inbox = settings.inbox
    source = open_source(path, path.name, Limits(inbox.max_pixels, inbox.min_side, inbox.background_rgb))
    sha256 = receipt.hash_file(path)
    prepared = []
    for number, recipe in enumerate(recipes, start=1):
        try:
            plan = make_plan(source, recipe, registry, machine, receipt.seed_from(sha256, number))
        except OutOfMemory as error:
            raise JobRejected(str(error)) from error
        prepared.append(Prepared(path, path.name, recipe, sha256, plan, registry))
    return prepared


def render(prepared: Prepared, output: Path, report: pipeline.Report, overwrite: bool = False) -> Made:
    """Make the video as ``output``, its receipt beside it; nothing partial is ever visible.

    Raises FileExistsError, StageFailed, OutOfMemory, DiskFull.
    """
    if not overwrite and output.exists():
        raise FileExistsError(f"{output} exists already; --overwrite replaces it")
    folder = Path(tempfile.mkdtemp(prefix=COPYING, suffix=".part", dir=output.parent))
    try:
        comment = receipt.comment(prepared.plan, prepared.sha256)
        made = pipeline.run(prepared.plan, folder, prepared.registry, comment, report)
        facts = receipt.describe(prepared.plan, made, name=prepared.name, sha256=prepared.sha256, job="", attempt=1)
        facts["video"]["file"] = output.name
        if overwrite and output.exists():
            shutil.rmtree(output) if output.is_dir() else output.unlink()
        move(made.video, output)
        write_atomically(receipt.beside(output), receipt.encode(facts))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return made
