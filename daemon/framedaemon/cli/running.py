"""Commands that run the daemon, or prepare for it: init, run, once, demo, check."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, open_instance, print_json

_DEMO_PHOTO = "rocket.jpg"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (init, run, once, demo, check):
        app.command()(command)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")],
) -> None:
    """Make a folder an instance: input/, output/, tmp/, plugins/ and a config.toml that explains itself.

    Example: framedaemon init ~/videos
    """
    from framedaemon.instance import Instance, furnish
    from framedaemon.naming import show

    folder.mkdir(parents=True, exist_ok=True)
    instance = Instance(folder.resolve())
    furnish(instance)
    print(f"{show(instance.root)} is ready: drop pictures into {show(instance.input)} and start")
    print(f"  framedaemon run --instance {show(quote(str(instance.root)))}")


def run(
    instance: InstanceOption = None,
    hold: Annotated[bool, typer.Option(help="Start, but leave input/ and the queue alone.")] = False,
) -> None:
    """Watch input/ and make videos until told to stop.

    SIGTERM or Ctrl-C lets the job at hand go on for stop_seconds, then halts it: it goes on at the next start.

    A second one stops at once. SIGHUP reads config.toml again.

    Example: framedaemon run --instance ~/videos
    """
    from framedaemon.loop import serve

    serve(open_instance(instance, anywhere=True)[0], hold=hold)


def once(json: JsonOption = False, instance: InstanceOption = None) -> None:
    """Make videos of all that lies in input/, then end. The exit code is 1 if any picture did not become one.

    Example: framedaemon once --instance ~/videos
    """
    from framedaemon.loop import serve

    served = serve(open_instance(instance, anywhere=True)[0], until_empty=True)
    lost = sum(served.ended.get(state, 0) for state in ("failed", "quarantined", "vanished"))
    if json:
        ended = {state: count for state, count in served.ended.items() if count}
        print_json({"ended": ended, "problems": served.problems})
    raise typer.Exit(1 if lost or served.problems else 0)


def demo(json: JsonOption = False, instance: InstanceOption = None) -> None:
    """Drop a photo that comes with framedaemon into input/, make its video, and say where it is.

    Example: framedaemon demo --instance .
    """
    from importlib.resources import files

    from framedaemon.errors import FramedaemonError
    from framedaemon.instance import create
    from framedaemon.ledger import Ledger
    from framedaemon.loop import serve
    from framedaemon.naming import free_path, show
    from framedaemon.requests import daemon_pid
    from framedaemon.workspace import write_atomically

    here, _ = open_instance(instance, anywhere=True)
    create(here)
    if (pid := daemon_pid(here)) is not None:
        watch = f"framedaemon watch --instance {quote(str(here.root))}"
        raise FramedaemonError(
            f"{here.root}: a daemon runs here already (process {pid}): drop a picture into input/, and `{watch}` shows "
            "what becomes of it"
        )
    photo = free_path(here.input, _DEMO_PHOTO)
    write_atomically(photo, (files("framedaemon") / "demo" / _DEMO_PHOTO).read_bytes())
    print(f"dropped {show(photo)}", file=sys.stderr)
    serve(here, until_empty=True)
    ledger = Ledger(here.ledger, read_only=True)
    job = next(job for job in ledger.jobs() if job.name == photo.name)
    ledger.close()
    if job.output is None or job.state != "done":
        raise FramedaemonError(f"no video: {job.reason}")
    if json:
        print_json({"job": job.id, "video": show(here.output / job.output)})
    else:
        print(f"the video is {show(here.output / job.output)}")


def check(json: JsonOption = False, instance: InstanceOption = None) -> None:
    """Say what is wrong with the settings, the plugins and the recipes in input/, without running anything.

    Example: framedaemon check --instance ~/videos
    """
    import os

    from framedaemon.checking import passed_over_by, problems_of
    from framedaemon.errors import SettingsError
    from framedaemon.instance import find_instance
    from framedaemon.naming import show
    from framedaemon.plugins import load_plugins
    from framedaemon.settings import Settings, read_settings

    here = find_instance(instance, os.environ)
    unusable: tuple[str, ...] = ()
    try:
        settings = read_settings(here.config)
    except SettingsError as error:  # the rest is looked at all the same, under default settings
        settings, unusable = Settings(), error.problems
    with redirect_stdout(sys.stderr):  # what a plugin prints is no answer of ours
        registry = load_plugins(here.plugins, settings.plugins.disabled)
        lacks = passed_over_by(here, settings, registry)
    problems = [*unusable, *problems_of(here, settings, registry)]
    if json:
        print_json({"problems": [show(problem) for problem in problems], "notes": [show(lack) for lack in lacks]})
    else:
        for problem in problems:
            print(show(problem))
        for lack in lacks:
            print(f"note: {show(lack)}", file=sys.stderr)
    if problems:
        raise typer.Exit(2 if unusable else 1)
    if not json:
        print("all is well")
