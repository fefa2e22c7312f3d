"""The command line: ``framedaemon COMMAND --instance DIR``.

Commands import what they need when they are called, so that ``framedaemon --help`` answers at once.

Exit codes: 0 all is well; 1 a picture did not become a video, or something asked for is not there; 2 wrong usage, or
settings that cannot be used. With --json stdout is one JSON document, whatever happens.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from framedaemon.cli import (
    approving,
    doctor,
    making,
    models,
    notifying,
    pausing,
    plugins,
    pruning,
    queue,
    running,
    service,
    setting_up,
    watching,
)
from framedaemon.cli.common import print_error, typed
from framedaemon.errors import FramedaemonError, SettingsError

# Wrong usage; typer brings its own click, or takes the one there is.
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])


class _Commands(TyperGroup):
    """All of them; wrong usage is told to scripts as every other error."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            print_error(cast("Any", error).format_message(), 2)
            raise


app = typer.Typer(
    help="Watches a folder: a still picture goes in, a smooth video comes out.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (
    running,
    setting_up,
    making,
    queue,
    watching,
    pausing,
    approving,
    models,
    plugins,
    doctor,
    notifying,
    pruning,
    service,
):
    _module.add_to(app)


def _say_version(wanted: bool) -> None:
    if wanted:
        from framedaemon import __version__

        print(f"framedaemon {__version__}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version, and end.")
]


@app.callback()
def _framedaemon(version: VersionOption = False) -> None:
    """What stands before any command."""


def main() -> None:
    """Run a command; an error that is meant for a person is printed as one, without a traceback."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal's encoding lacks
    try:
        app()
    except SettingsError as error:
        _end(error, 2)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has heard enough
        sys.exit(1)
    except FramedaemonError as error:
        _end(error, 1)
    except OSError as error:
        from framedaemon.users import explain

        _end(explain(error, typed()), 1)


def _end(error: Exception | str, exit_code: int) -> NoReturn:
    """Say what an error says; names of files in it may hold what steers a terminal."""
    from framedaemon.naming import show

    message = "\n".join(show(line) for line in str(error).split("\n"))
    print(f"framedaemon: {message}", file=sys.stderr)
    print_error(message, exit_code)
    sys.exit(exit_code)
