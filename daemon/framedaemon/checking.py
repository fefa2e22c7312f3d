"""What is wrong with an instance, found without running anything: settings, plugins, and the recipes in input/."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from framedaemon.choosing import check_recipe, unready_stages
from framedaemon.errors import JobRejected
from framedaemon.inbox import Inbox, folders_of
from framedaemon.instance import Instance
from framedaemon.layers import load_layers, read_request
from framedaemon.memory import this_machine
from framedaemon.plugins import Registry
from framedaemon.settings import Settings
from framedaemon.sidecars import FOLDER_DEFAULTS
from framedaemon.weights import models_folder

UNWRITABLE = ": cannot be written to"
"""How what is said of a folder ends that may not be written to."""


def problems_of(instance: Instance, settings: Settings, registry: Registry) -> list[str]:
    """Every problem, one line each; an empty list when all is well."""
    problems = [f"{said}{mend}" for said, mend in folder_problems(instance)]
    problems += [f"plugin {plugin.name} ({plugin.origin}): {plugin.reason}" for plugin in registry.broken()]
    return list(dict.fromkeys([*problems, *recipe_problems(instance, settings, registry)]))


def folder_problems(instance: Instance) -> list[tuple[str, str]]:
    """What is wrong with folders and their rights, each with how it is mended."""
    folders = (instance.input, instance.output, instance.tmp)
    missing = f"; `framedaemon init {instance.root}` makes it"
    problems = [(f"{folder}: is not there", missing) for folder in folders if not folder.is_dir()]
    problems += [
        (f"{folder}{UNWRITABLE}", "")
        for folder in folders
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK)
    ]
    problems += [
        (f"{place}: everybody can write to it, and so decide what the daemon does", f": chmod o-w {place}")
        for place in (instance.root, instance.config, instance.tmp)
        if place.exists() and place.stat().st_mode & stat.S_IWOTH
    ]
    return problems


def recipe_problems(instance: Instance, settings: Settings, registry: Registry) -> list[str]:
    """What is wrong with what lies in input/, and with the recipes that speak of it."""
    problems: list[str] = []
    defaults = settings.defaults.layer()
    asked: list[tuple[str, Path | None]] = [("", None)]
    if instance.input.is_dir():
        scan = Inbox(instance.input, settings.inbox.model_copy(update={"settle_seconds": 0.0})).scan(0.0)
        problems += scan.problems
        problems += [f"input/{arrival.name}: {arrival.refusal}" for arrival in scan.arrivals if arrival.refusal]
        asked = [*_folders(instance), *((a.name, a.sidecar) for a in scan.arrivals if not a.refusal)]
        problems += [orphan.wanting for orphan in scan.orphans if orphan.wanting is not None]
        asked += [(orphan.name, orphan.path) for orphan in scan.orphans if orphan.wanting is None]
    for name, sidecar in asked:
        try:
            layers = load_layers(instance.input, name, sidecar)
            for recipe in read_request([defaults, *layers]).recipes:
                problems += check_recipe(recipe, registry)
        except JobRejected as error:
            problems += error.problems
    return list(dict.fromkeys(problems))


def passed_over_by(instance: Instance, settings: Settings, registry: Registry) -> list[str]:
    """The stages that ``use = "auto"`` passes over here, each with what it lacks: no problems, but worth knowing."""
    models = models_folder(settings.models.folder, instance.root, os.environ)
    machine = this_machine(settings.worker.device, settings.worker.threads, models)
    return [f"{stage} cannot work here: {lack}" for stage, lack in unready_stages(registry, machine).items()]


def _folders(instance: Instance) -> list[tuple[str, Path | None]]:
    """A name in input/ and in each folder below it that has defaults, whether or not a picture lies there."""
    folders = (PurePosixPath(prefix) for prefix in folders_of(instance.input))
    with_defaults = [folder for folder in folders if os.path.lexists(instance.input / folder / FOLDER_DEFAULTS)]
    return [("", None), *((str(folder / "any"), None) for folder in sorted(with_defaults))]
