"""Commands about plugins: plugins."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import asdict

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(plugins)


def plugins(json: JsonOption = False, instance: InstanceOption = None) -> None:
    """List the plugins, where they come from, what they offer, and why one is broken or what a stage lacks.

    Example: framedaemon plugins
    """
    from framedaemon.choosing import unready_stages
    from framedaemon.memory import this_machine
    from framedaemon.plugins import load_plugins
    from framedaemon.weights import models_folder

    here, settings = open_instance(instance)
    models = models_folder(settings.models.folder, here.root, os.environ)
    with redirect_stdout(sys.stderr):  # what a plugin prints is no answer of ours
        registry = load_plugins(here.plugins, settings.plugins.disabled)
        machine = this_machine(settings.worker.device, settings.worker.threads, models)
        lacks = unready_stages(registry, machine)
    if json:
        said = registry.plugins.values()
        print_json([asdict(p) | {"lacks": {s: lacks[s] for s in p.stages if s in lacks}} for p in said])
    else:
        for plugin in registry.plugins.values():
            print(f"{plugin.name:<12}{plugin.state:<10}{', '.join(plugin.stages) or plugin.reason}  ({plugin.origin})")
            for stage in plugin.stages:
                if stage in lacks:
                    print(f"{'':<12}{stage} cannot work here: {lacks[stage]}")
    raise typer.Exit(1 if any(registry.broken()) else 0)
