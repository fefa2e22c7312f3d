"""Commands that look at the whole of an instance: status, and watch, the live screen."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, console, open_instance, print_json

if TYPE_CHECKING:
    from rich.text import Text

    from framedaemon.cli.terminal import Terminal
    from framedaemon.lookout import Lookout

_REFRESH_SECONDS = 1.0

_LEAVING = "qQ\x04"  # Ctrl-D
_ESCAPE = "\x1b"  # alone: with more behind it it is a key with an arrow on it


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (status, watch):
        app.command()(command)


def status(json: JsonOption = False, instance: InstanceOption = None) -> None:
    """Show what the daemon is doing, what waits and why, what went wrong, what ended last, memory and disk.

    Example: framedaemon status --json
    """
    from dataclasses import asdict

    from framedaemon.cli.screen import draw
    from framedaemon.cli.terminal import knows_unicode
    from framedaemon.lookout import Lookout

    seen = Lookout(*open_instance(instance)).look(time.time())
    if json:
        print_json(asdict(seen))
        return
    out = console()
    for line in draw(seen, out.width, plain=not knows_unicode()):
        out.print(line)
    if seen.failures:
        out.print("framedaemon show JOB or NAME tells all of one job", style="dim")


def watch(instance: InstanceOption = None) -> None:
    """Watch the daemon at work on a live screen: queue, progress, times, memory, disk, errors. q or Ctrl-C leaves.

    It only looks, so the daemon may stop, start, or be another user's meanwhile.

    Example: framedaemon watch --instance ~/videos
    """
    from framedaemon.cli.terminal import Terminal, until_interrupted
    from framedaemon.lookout import Lookout

    here, settings = open_instance(instance)
    if not Terminal.possible():
        print("there is no terminal to draw on: use `framedaemon status`, or `status --json`", file=sys.stderr)
        raise typer.Exit(2)
    lookout = Lookout(here, settings)
    with until_interrupted(), Terminal() as terminal:
        while True:
            terminal.draw(_lines(lookout, terminal))
            key = terminal.key(_REFRESH_SECONDS)
            if key is not None and (key[0] in _LEAVING or key == _ESCAPE):
                return
            if key is not None:
                terminal.redraw()


def _lines(lookout: Lookout, terminal: Terminal) -> list[Text]:
    """What is to be seen now; where the instance cannot be read, why. It may be readable again the next time."""
    from framedaemon.cli.drawing import Pen
    from framedaemon.cli.screen import draw
    from framedaemon.cli.terminal import knows_unicode
    from framedaemon.errors import FramedaemonError

    width, height = terminal.size
    try:
        return draw(lookout.look(time.time()), width, height, not knows_unicode())
    except (FramedaemonError, OSError) as error:
        pen = Pen(width, not knows_unicode())
        lines = [pen.text(line, "red") for line in str(error).split("\n")]
        return [pen.text("framedaemon: the instance cannot be read", "bold white on red"), *lines][:height]
