"""Commands about the systemd service: service install, uninstall, status."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json

if TYPE_CHECKING:
    from framedaemon.instance import Instance
    from framedaemon.manager import Manager
    from framedaemon.unit import Facts

UserOption = Annotated[bool, typer.Option("--user", help="Your own systemd, not the machine's: needs no root.")]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", help="One of several: framedaemon@NAME.service. Default: framedaemon.service."
    ),
]

# What is shown of the journal when a service does not come up.
_LINES = 15

_service = typer.Typer(help="Run it by systemd: install, look after, remove.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (install, uninstall, status):
        _service.command()(command)
    app.add_typer(_service, name="service")


def install(
    name: NameOption = None,
    user: UserOption = False,
    run_as: Annotated[
        str | None, typer.Option("--run-as", metavar="USER", help="Who it is to be. Default: who owns the instance.")
    ] = None,
    show_only: Annotated[bool, typer.Option("--print", help="Print the unit; install nothing.")] = False,
    instance: InstanceOption = None,
) -> None:
    """Have systemd run the instance, now and whenever the machine starts. Called again, it brings the unit up to date.

    Example: sudo framedaemon service install --instance /srv/videos
    """
    from framedaemon.manager import Manager, unit_name

    manager, unit = Manager(user, os.environ), unit_name(name)
    here, _ = open_instance(instance)
    if show_only:
        _print_unit(manager, unit, _facts(manager, here, instance, run_as))
        return
    manager.check("install")
    _refuse_another(manager, unit, here)
    facts = _facts(manager, here, instance, run_as)
    changed = manager.write(unit, facts)
    for path in changed:
        print(f"wrote {path}")
    manager.call("daemon-reload")
    manager.call("enable", unit)
    _start(manager, unit, restart=bool(changed))
    _say_how_to_go_on(manager, unit, here)


def uninstall(name: NameOption = None, user: UserOption = False, instance: InstanceOption = None) -> None:
    """Stop the service and remove its unit. Pictures, videos, settings and the queue stay where they are.

    Example: sudo framedaemon service uninstall --instance /srv/videos
    """
    from framedaemon.manager import Manager

    manager = Manager(user, os.environ)
    manager.check("uninstall")
    unit, root = _meant(manager, name, instance)
    print(f"stopping {unit}: the job at hand may finish within [service] stop_seconds, else it halts")
    manager.call("disable", "--now", unit)
    for path in manager.remove(unit):
        print(f"removed {path}")
    manager.call("daemon-reload")
    if root.is_dir():
        print(f"{root} stays as it is: `framedaemon run --instance {quote(str(root))}` works on")
    else:
        print(f"{root} is not there any more: where it was moved to, `framedaemon service install` makes a new one")


def status(
    name: NameOption = None, user: UserOption = False, instance: InstanceOption = None, json: JsonOption = False
) -> None:
    """Say how the services stand: the machine's and your own, or that of one instance. The exit code is 1 if one does
    not run.

    Example: framedaemon service status
    """
    from framedaemon.errors import FramedaemonError
    from framedaemon.manager import Manager, unit_name

    managers = [Manager(scope, os.environ) for scope in ((True,) if user else (False, True))]
    units = [(manager, unit, root) for manager in managers for unit, root in manager.units().items()]
    if name is not None:
        units = [(manager, unit, root) for manager, unit, root in units if unit == unit_name(name)]
    if instance is not None or (name is None and os.environ.get("FRAMEDAEMON_INSTANCE")):
        here = open_instance(instance)[0]
        units = [(manager, unit, root) for manager, unit, root in units if root == here.root]
    if not units:
        own, folders = " --user" if user else "", " or ".join(str(manager.folder) for manager in managers)
        raise FramedaemonError(f"no such service in {folders}: `framedaemon service install{own}` makes one")
    found = [(manager, _look(manager, unit, root)) for manager, unit, root in units]
    if json:
        print_json([facts for _, facts in found])
    else:
        for manager, facts in found:
            _print_status(manager, facts)
    if any(facts["active"] not in ("active", "reloading") for _, facts in found):
        raise typer.Exit(1)


def _facts(manager: Manager, here: Instance, option: Path | None, run_as: str | None) -> Facts:
    from framedaemon.manager import facts_of, user_for

    settings = open_instance(option)[1]
    user = None if manager.user else user_for(here, run_as)
    return facts_of(here, settings, user, manager.release())


def _print_unit(manager: Manager, unit: str, facts: Facts) -> None:
    files = manager.files(unit, facts)
    for path, text in files.items():
        if len(files) > 1:
            print(f"# {path}")
        print(text)


def _refuse_another(manager: Manager, unit: str, here: Instance) -> None:
    """Raise FramedaemonError where the unit serves another instance, or another unit this one."""
    from framedaemon.errors import FramedaemonError

    units = manager.units()
    if units.get(unit, here.root) != here.root:
        served, own = units[unit], " --user" if manager.user else ""
        if not served.is_dir():
            raise FramedaemonError(
                f"{unit} serves {served}, which is not there: if that was moved to {here.root}, "
                f"`framedaemon service uninstall{own} --instance {quote(str(served))}` first"
            )
        raise FramedaemonError(
            f"{unit} serves {served}: another one beside it needs a name, `framedaemon service install{own} --name …`"
        )
    for other, root in units.items():
        if other != unit and root == here.root:
            raise FramedaemonError(f"{other} serves {root} already: `framedaemon service uninstall` removes that first")


def _start(manager: Manager, unit: str, restart: bool) -> None:
    """Start the unit, or start it anew with what changed; wait until it is up. Raises FramedaemonError."""
    from framedaemon.errors import FramedaemonError

    running = manager.ask(unit).get("ActiveState") == "active"
    if running and not restart:
        print(f"{unit} runs, and is as it would be written: nothing to do")
        return
    print(f"{'restarting' if running else 'starting'} {unit} …")
    try:
        manager.call("restart" if running else "start", unit)
    except FramedaemonError as error:
        raise FramedaemonError(f"{error}\nIt said:\n{manager.journal(unit, _LINES)}") from error
    said = manager.ask(unit)
    print(f"{unit} is up and enabled: {said.get('StatusText', '')}")


def _say_how_to_go_on(manager: Manager, unit: str, here: Instance) -> None:
    from framedaemon.manager import lingers

    own = " --user" if manager.user else ""
    print(f"  drop pictures into  {here.input}")
    print(f"  how it stands       systemctl{own} status {unit}")
    print(f"  its log             journalctl{own} --{'user-unit' if manager.user else 'unit'} {unit} --follow")
    print(f"  changes of yours    systemctl{own} edit {unit}")
    print(f"  remove it           framedaemon service uninstall{own} --instance {quote(str(here.root))}")
    if manager.user and not lingers():
        print("  it runs while you are logged in; to run always: loginctl enable-linger")


def _meant(manager: Manager, name: str | None, instance: Path | None) -> tuple[str, Path]:
    """The unit that is meant, and its instance's folder. Raises FramedaemonError where there is none."""
    from framedaemon.errors import FramedaemonError
    from framedaemon.manager import unit_name

    units = manager.units()
    if name is not None:
        unit = unit_name(name)
        if unit not in units:
            raise FramedaemonError(f"{unit} is not in {manager.folder}")
        if instance is not None and instance.resolve() != units[unit]:
            raise FramedaemonError(f"{unit} serves {units[unit]}, not {instance.resolve()}: say one of the two")
        return unit, units[unit]
    root = instance.resolve() if instance is not None else open_instance(None)[0].root  # it may be gone by now
    for unit, served in units.items():
        if served == root:
            return unit, root
    there = ", ".join(f"{unit} for {served}" for unit, served in units.items()) or "none"
    raise FramedaemonError(f"no service in {manager.folder} serves {root}; there: {there}")


def _look(manager: Manager, unit: str, root: Path) -> dict[str, Any]:
    """What is to be known of a service."""
    said = manager.ask(unit)
    memory, pid = said.get("MemoryCurrent", ""), int(said.get("MainPID", "0"))
    stopped = said.get("ActiveState") == "inactive"
    return {
        "unit": unit,
        "user": manager.user,
        "instance": str(root),
        "active": said.get("ActiveState"),
        "state": said.get("SubState"),
        "result": said.get("Result"),
        "exit_code": int(said.get("ExecMainStatus", "0")),
        "enabled": said.get("UnitFileState") == "enabled",
        "status": "" if stopped else said.get("StatusText", ""),  # what it was at long ago
        "since": said.get("ActiveEnterTimestamp", ""),
        "pid": pid or None,
        "memory_bytes": int(memory) if memory.isdecimal() else None,
        "restarts": int(said.get("NRestarts", "0")),
        "reload_needed": said.get("NeedDaemonReload") == "yes",
    }


def _print_status(manager: Manager, facts: dict[str, Any]) -> None:
    from framedaemon.naming import show
    from framedaemon.settings import show_bytes

    own = " --user" if manager.user else ""
    print(f"{facts['unit']}{own}: {facts['active']} ({facts['state']}), {show(facts['instance'])}")
    if facts["status"]:
        print(f"  {show(facts['status'])}")
    memory = f", {show_bytes(facts['memory_bytes'])} of memory" if facts["memory_bytes"] is not None else ""
    if facts["pid"] is not None:
        print(f"  process {facts['pid']} since {facts['since']}{memory}, restarted {facts['restarts']} times")
    if not facts["enabled"]:
        print(f"  it does not start with the machine: `framedaemon service install{own}` sees to it")
    if facts["reload_needed"]:
        print(f"  its unit was changed: `systemctl{own} daemon-reload`, and restart it")
    if facts["active"] not in ("active", "reloading"):
        print(f"  it does not run ({facts['result']}, exit code {facts['exit_code']}); it said last:", flush=True)
        print("\n".join(f"    {show(line)}" for line in manager.journal(facts["unit"], _LINES).splitlines()))
    sys.stdout.flush()
