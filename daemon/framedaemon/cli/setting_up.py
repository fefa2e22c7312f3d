"""The command that makes all ready: setup."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import typer

from framedaemon.cli.common import InstanceOption, open_instance
from framedaemon.cli.models import YesOption, fetch, open_catalogue, somebody_is_here

if TYPE_CHECKING:
    from framedaemon.catalogue import Catalogue
    from framedaemon.plugins import Registry
    from framedaemon.stages import AnyStage, Machine

# Device files of NVIDIA's and AMD's drivers.
_GPUS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(setup)


def setup(yes: YesOption = False, instance: InstanceOption = None) -> None:
    """Make an instance ready: its folders, and the weights of the stages that `use = "auto"` would take.

    What is there stays as it is: it can be run again at any time.

    Example: framedaemon setup --yes
    """
    from framedaemon.instance import furnish
    from framedaemon.memory import this_machine
    from framedaemon.naming import show

    here, settings = open_instance(instance, anywhere=True)
    furnish(here)
    print(f"{show(here.root)}: drop pictures into {show(here.input)}")
    catalogue, offline = open_catalogue(instance)
    machine = this_machine(settings.worker.device, settings.worker.threads, catalogue.models)
    for stage in _first_choices(catalogue.registry, machine):
        _bring(stage, catalogue, machine, yes=yes, offline=offline)
    print(f"ready: framedaemon run --instance {show(quote(str(here.root)))}")


def _first_choices(registry: Registry, machine: Machine) -> list[AnyStage]:
    """Of each kind the stage that auto would take if nothing were missing, where it is one with weights."""
    from typing import get_args

    from framedaemon.published import rows_of
    from framedaemon.stages import StageKind

    best = []
    for kind in get_args(StageKind):
        able = (
            s for s in registry.stages(kind) if machine.device != "cpu" or not getattr(s, "wants_accelerator", False)
        )
        best.append(next(able, None))
    return [stage for stage in best if stage is not None and stage.preference >= 0 and rows_of(stage)]


def _bring(stage: AnyStage, catalogue: Catalogue, machine: Machine, *, yes: bool, offline: bool) -> None:
    """Say what the stage lacks and how to get it; weights are fetched here. Raises FramedaemonError."""
    from framedaemon.choosing import lacks
    from framedaemon.published import Repository
    from framedaemon.storing import TO_ASK_A_HUB, TO_READ, how_to_install, missing_packages

    row = catalogue.row(stage.name)
    needed = (*TO_READ, *TO_ASK_A_HUB) if isinstance(row, Repository) else TO_READ
    missing = missing_packages(needed)
    if missing:
        print(f"{stage.name} would be taken first, and needs {' and '.join(missing)}:")
        print(f"  {quote(sys.executable)} -m {how_to_install(stage.name, needed)}")
        if not any(path.exists() for path in _GPUS):
            print("  there is no GPU here: PyTorch's build for CPUs will do, and is much smaller; see pytorch.org")
        print("  and then `framedaemon setup` again")
        return
    if not catalogue.whole(row):
        if offline or not (yes or somebody_is_here()):
            why = "offline" if offline else "nobody is here to be asked"
            print(f"{row.name} ({row.licence}) is not fetched, {why}: `framedaemon models pull {row.name}`")
            return
        fetch(catalogue, row, yes=yes, offline=offline)
    lack = lacks(catalogue.registry, stage, machine)
    print(f"{stage.name} is ready" if lack is None else f"{stage.name} cannot work here: {lack}")
