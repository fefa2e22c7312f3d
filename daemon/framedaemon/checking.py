"""What is wrong with an instance, found without running anything: settings, plugins, and the recipes in input/."""

from __future__ import annotations

import os

from framedaemon.errors import JobRejected
from framedaemon.inbox import Inbox
from framedaemon.instance import Instance
from framedaemon.layers import Layer, load_layers, read_request
from framedaemon.plan import check_recipe
from framedaemon.plugins import load_plugins
from framedaemon.settings import Settings


def problems_of(instance: Instance, settings: Settings) -> list[str]:
    """Every problem, one line each; an empty list when all is well."""
    problems = [
        f"{folder}: is not there; `framedaemon init {instance.root}` makes it"
        for folder in (instance.input, instance.output, instance.tmp)
        if not folder.is_dir()
    ]
    problems += [
        f"{folder}: cannot be written to"
        for folder in (instance.input, instance.output, instance.tmp)
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK)
    ]
    registry = load_plugins(instance.plugins, settings.plugins.disabled)
    problems += [f"plugin {plugin.name} ({plugin.origin}): {plugin.reason}" for plugin in registry.broken()]
    defaults = Layer("config.toml", settings.defaults.table())
    scan = Inbox(instance.input, settings.inbox.model_copy(update={"settle_seconds": 0.0})).scan(0.0)
    problems += scan.problems
    pictures = [(arrival.name, arrival.sidecar) for arrival in scan.arrivals if arrival.refusal is None]
    problems += [f"input/{arrival.name}: {arrival.refusal}" for arrival in scan.arrivals if arrival.refusal is not None]
    for name, sidecar in [("", None), *pictures]:
        try:
            layers = load_layers(instance.input, name, sidecar) if name else ()
            for recipe in read_request([defaults, *layers]).recipes:
                problems += check_recipe(recipe, registry)
        except JobRejected as error:
            problems += error.problems
    return list(dict.fromkeys(problems))
