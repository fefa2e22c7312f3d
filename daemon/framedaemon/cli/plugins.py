"""Commands about plugins: plugins, plugin new, plugin check."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json

if TYPE_CHECKING:
    from framedaemon.authoring import PluginKind
    from framedaemon.plugins import PluginInfo

_KINDS = "generator, interpolator, encoder, policy or observer"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(plugins)
    group = typer.Typer(help="Write a plugin, and see why one does not work.", no_args_is_help=True)
    for command in (new, check):
        group.command()(command)
    app.add_typer(group, name="plugin")


def plugins(json: JsonOption = False, instance: InstanceOption = None) -> None:
    """List the plugins, where they come from, what they offer, and why one is broken or what a stage lacks.

    Example: framedaemon plugins
    """
    from framedaemon.choosing import unready_stages
    from framedaemon.memory import this_machine
    from framedaemon.plugins import load_plugins
    from framedaemon.weights import models_folder

    here, settings = open_instance(instance, anywhere=True)
    models = models_folder(settings.models.folder, here.root, os.environ)
    with redirect_stdout(sys.stderr):  # what a plugin prints is no answer of ours
        registry = load_plugins(here.plugins, settings.plugins.disabled)
        machine = this_machine(settings.worker.device, settings.worker.threads, models)
        lacks = unready_stages(registry, machine)
    if json:
        said = registry.plugins.values()
        print_json([asdict(p) | {"lacks": {s: lacks[s] for s in p.stages if s in lacks}} for p in said])
    else:
        wide = max(map(len, registry.plugins), default=0) + 2
        for plugin in registry.plugins.values():
            offers = ", ".join(plugin.offers) or plugin.reason
            print(f"{plugin.name:<{wide}}{plugin.state:<10}{offers}  ({plugin.origin})")
            for stage in plugin.stages:
                if stage in lacks:
                    print(f"{'':<{wide}}{stage} cannot work here: {lacks[stage]}")
    raise typer.Exit(1 if any(registry.broken()) else 0)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower case, one word: a recipe's `use` says it.")],
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help=f"What it is to be: {_KINDS}.")],
    drop_in: Annotated[
        bool, typer.Option("--drop-in", help="A single file in the instance's plugins/, in place of a package.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="Where to write it. Default: the current folder.")
    ] = None,
    instance: InstanceOption = None,
) -> None:
    """Write a new plugin that works at once: a package with its tests, or a single file.

    Example: framedaemon plugin new sparkle --kind interpolator
    """
    from framedaemon import __version__
    from framedaemon.authoring import check_name, how_to_try, write_drop_in, write_package
    from framedaemon.naming import show

    chosen, name = _known_kind(kind), check_name(name)
    here, settings = open_instance(instance, anywhere=True)
    _check_free(name, here.plugins, settings.plugins.disabled)
    if drop_in:
        path = write_drop_in(name, chosen, into if into is not None else here.plugins)
        print(f"{show(path)}: edit it, and look at what it does:")
        print(f"  framedaemon plugin check {name if into is None else show(path)}")
    else:
        path = write_package(name, chosen, into if into is not None else Path(), __version__)
        print(f"{show(path)}: install it, so that it is found and each edit counts at once, and test it:")
        print(f"  cd {show(path)}")
        print(f"  {sys.executable} -m pip install -e '.[test]'")
        print("  pytest")
    print(f"  {how_to_try(name, chosen)}")


def check(
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="A plugin's name, or a file that is to be one.")],
    instance: InstanceOption = None,
) -> None:
    """Load one plugin and ask its stages what a job would ask, on the photo that comes along; say where it fails.

    Example: framedaemon plugin check plugins/sparkle.py
    """
    from framedaemon import trying
    from framedaemon.plugins import load_file, load_plugins

    here, settings = open_instance(instance, anywhere=True)
    with redirect_stdout(sys.stderr):
        registry = load_plugins(here.plugins, settings.plugins.disabled)
        path = Path(plugin)
        name = plugin
        if path.suffix == ".py" and path.parent.resolve() != here.plugins.resolve():
            name = load_file(registry, path)
        elif path.suffix == ".py":
            name = path.stem
        info = registry.plugins.get(name)
        if info is None:
            there = ", ".join(registry.plugins)
            raise typer.BadParameter(f"there is no plugin {name}, and no such file; there are: {there}")
        problems = trying.ask(registry, info) if info.state == "ready" else []
    _print_checked(info, problems)
    raise typer.Exit(1 if problems or info.state != "ready" else 0)


def _print_checked(info: PluginInfo, problems: list[str]) -> None:
    from framedaemon.naming import show

    if info.state == "disabled":
        print(f"{show(info.name)} is disabled: config.toml [plugins] disabled")
        return
    if info.state == "broken":
        print(f"{show(info.name)} is broken: {show(info.reason)}")
        print(info.trace, end="", file=sys.stderr)
        return
    print(f"{show(info.name)} is loaded from {show(info.origin)}, and offers: {', '.join(info.offers) or 'nothing'}")
    for problem in problems:
        print(problem)


def _check_free(name: str, folder: Path, disabled: tuple[str, ...]) -> None:
    """Raises FramedaemonError where a plugin or a stage has the name already."""
    from framedaemon.errors import FramedaemonError
    from framedaemon.plugins import load_plugins

    with redirect_stdout(sys.stderr):
        registry = load_plugins(folder, disabled)
    for plugin in registry.plugins.values():
        stages = [stage.partition(" ")[2] for stage in plugin.stages]
        if name == plugin.name or name in stages:
            raise FramedaemonError(
                f"there is a plugin or stage {name} already, from {plugin.origin}: choose another name"
            )


def _known_kind(word: str) -> PluginKind:
    from framedaemon.authoring import KINDS

    for kind in KINDS:
        if kind == word:
            return kind
    raise typer.BadParameter(f"{word} is none of {', '.join(KINDS)}", param_hint="--kind")
