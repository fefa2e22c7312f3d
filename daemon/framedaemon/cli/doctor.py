"""The command that says what is wrong, and how to mend it: doctor."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, print_json

if TYPE_CHECKING:
    from framedaemon.doctor import Finding

_WIDTH = 80
_STATES = {"ok": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31;1m"}
_PLAIN, _BOLD = "\x1b[0m", "\x1b[1m"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Read all weights, too: minutes, where they are large.")] = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Look at everything that the daemon needs: say what is wrong, and the command that mends it. Changes nothing.

    The exit code is 1 if there is an error.

    Example: framedaemon doctor
    """
    import os
    import time

    from framedaemon.doctor import examine
    from framedaemon.doctor.patient import admit
    from framedaemon.identity import version_of
    from framedaemon.instance import find_instance
    from framedaemon.naming import show

    here = find_instance(instance, os.environ)
    findings = examine(admit(here, time.time(), deep))
    found = [*findings] if json else [*_printed(findings)]
    counts = {state: sum(one.state == state for one in found) for state in ("error", "warning", "ok")}
    if json:
        keys = ("group", "name", "state", "said", "mend")
        rows = [{key: show(getattr(one, key)) for key in keys} for one in found]
        about = {"framedaemon": version_of("framedaemon"), "instance": show(str(here.root))}
        print_json(about | {"errors": counts["error"], "warnings": counts["warning"], "findings": rows})
    else:
        said = [
            f"{count} {state}{'s' if count > 1 and state != 'ok' else ''}" for state, count in counts.items() if count
        ]
        print(f"\n{', '.join(said)}" + ("" if counts["error"] or counts["warning"] else ": all is well"))
    raise typer.Exit(1 if counts["error"] else 0)


def _printed(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Print each as it is found, its group above it; on to whoever counts them."""
    group = ""
    for one in findings:
        if one.group != group:
            print(("\n" if group else "") + _coloured(one.group, _BOLD))
            group = one.group
        _print(one)
        yield one


def _print(one: Finding) -> None:
    """What was found, wrapped; the command whole on lines of its own, to be pasted."""
    from textwrap import wrap

    from framedaemon.naming import show

    first, *rest = wrap(show(one.said), _WIDTH - 11, break_long_words=False, break_on_hyphens=False) or [""]
    print(f"  {_coloured(f'{one.state:<9}', _STATES[one.state])}{first}", flush=True)
    for line in rest:
        print(f"{'':<11}{line}")
    for line in one.mend.splitlines():
        print(f"{'':<11}{_coloured('>', _BOLD)} {show(line)}", flush=True)


def _coloured(text: str, colour: str) -> str:
    import os

    return f"{colour}{text}{_PLAIN}" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
