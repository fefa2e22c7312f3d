"""`explain --vram`: what would be done on graphics cards that are not at hand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framedaemon.cli.common import console, print_json
from framedaemon.durations import show_seconds

if TYPE_CHECKING:
    from framedaemon.instance import Instance
    from framedaemon.layers import Layer
    from framedaemon.settings import Settings
    from framedaemon.single import Imagined

VramOption = Annotated[
    list[str] | None,
    typer.Option(
        "--vram",
        metavar="SIZE",
        help="Plan for a GPU with so much free memory, 24GB or 22 GiB, that need not be here. Repeatable.",
    ),
]
RamOption = Annotated[
    str | None,
    typer.Option("--ram", metavar="SIZE", help="With --vram: free main memory. Default: all of this machine."),
]


def explain_cards(
    file: Path, here: Instance, settings: Settings, layer: Layer, vram: Sequence[str], ram: str | None, *, json: bool
) -> None:
    """Print a table with a line for each card. Raises JobRejected, BadParameter for a size that is none."""
    from framedaemon import single

    sizes, main = [_bytes(word, "--vram") for word in vram], None if ram is None else _bytes(ram, "--ram")
    with redirect_stdout(sys.stderr):  # what a plugin prints is no answer of ours
        recipe = single.recipes_for(file, here, settings, layer)[0]
        cards = single.imagine(file, here, settings, recipe, sizes, main)
    if json:
        print_json([_facts(card) for card in cards])
    else:
        _print_table(vram, cards)


def _bytes(word: str, option: str) -> int:
    from framedaemon.settings import parse_bytes

    try:
        return parse_bytes(word)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _facts(card: Imagined) -> dict[str, Any]:
    plan = card.plan.summary().model_dump(mode="json") if card.plan is not None else None
    return {"vram_bytes": card.machine.vram, "ram_bytes": card.machine.ram, "plan": plan, "reason": card.reason}


def _print_table(words: Sequence[str], cards: Sequence[Imagined]) -> None:
    from rich.table import Table

    from framedaemon.naming import show
    from framedaemon.settings import show_bytes

    table = Table(box=None, pad_edge=False)
    for column in ("card", "stage", "largest phase", "on the card", "in memory", "on disk", "time"):
        table.add_column(column, no_wrap=True)
    table.add_column("how, and why")
    notes: dict[str, None] = {}
    for word, card in zip(words, cards, strict=True):
        if card.plan is None:
            table.add_row(word, "", "", "", "", "", "", show(card.reason))
            continue
        step = card.plan.summary().steps[0]
        largest = max(step.phases, key=lambda phase: phase.working_bytes).name if step.phases else ""
        memory = (show_bytes(step.vram_bytes), show_bytes(step.ram_bytes), show_bytes(step.disk_bytes))
        how = f"{card.plan.drawn.describe()}: {step.placement['reason']}"
        table.add_row(word, step.stage, largest, *memory, show_seconds(step.seconds), show(how))
        notes |= dict.fromkeys(card.plan.notes)
    out = console()
    out.print(f"with {show_bytes(cards[0].machine.ram)} of main memory")
    out.print(table)
    for note in notes:
        out.print(f"note  {show(note)}")
