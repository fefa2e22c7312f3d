"""Commands about one file: render, explain, replay."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from framedaemon.cli.cards import RamOption, VramOption, explain_cards
from framedaemon.cli.common import InstanceOption, JsonOption, console, open_instance, print_json
from framedaemon.cli.completing import stages
from framedaemon.durations import show_seconds

if TYPE_CHECKING:
    from framedaemon.pipeline import Made, Report
    from framedaemon.single import Prepared
    from framedaemon.summary import PlanSummary

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A picture or a video.", exists=True, dir_okay=False)
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="The video to make.")]
GenerateOption = Annotated[
    str | None,
    typer.Option("--generate", metavar="STAGE", help="Which generator draws.", autocompletion=stages("generate")),
]
FramesOption = Annotated[int | None, typer.Option("--frames", help="Frames to draw.")]
InterpolateOption = Annotated[
    str | None,
    typer.Option(
        "--interpolate",
        metavar="STAGE",
        help="Which interpolator fills in; none for no filling.",
        autocompletion=stages("interpolate", "none"),
    ),
]
FpsOption = Annotated[str | None, typer.Option("--fps", help="Frames per second of the video: 30, 29.97, 24000/1001.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="The same seed gives the same frames.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Any other key: encode.crf=16. Repeatable.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is there.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (render, explain, replay):
        app.command()(command)


def render(
    file: FileArgument,
    output: OutputOption,
    generate: GenerateOption = None,
    frames: FramesOption = None,
    interpolate: InterpolateOption = None,
    fps: FpsOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Make one video of one file, here and now, without a daemon.

    Example: framedaemon render test.jpg --frames 161 --interpolate flow --set encode.crf=16 -o test.mp4
    """
    from framedaemon import single
    from framedaemon.layers import Layer
    from framedaemon.naming import show

    here, settings = open_instance(instance, anywhere=True)
    table = _command_line(generate, frames, interpolate, fps, seed, set_ or [])
    table.setdefault("encode", {}).setdefault("container", output.suffix.removeprefix(".").lower() or "png")
    table["generate"].setdefault("preview", False)  # nothing waits here: who says the file's name wants the whole
    file = file.resolve()
    recipes = single.recipes_for(file, here, settings, Layer("command line", table))
    if len(recipes) > 1:
        print(f"{show(file.name)}: its sidecar asks for {len(recipes)} videos; this is the first", file=sys.stderr)
    prepared = single.prepare(file, here, settings, recipes[:1], single.last_of(file))[0]
    made = _render(prepared, output.absolute(), overwrite)
    if json:
        print_json(_facts(prepared, made, output))
    else:
        print(_sentence(prepared, made, output))


def explain(
    file: FileArgument,
    generate: GenerateOption = None,
    frames: FramesOption = None,
    interpolate: InterpolateOption = None,
    fps: FpsOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    vram: VramOption = None,
    ram: RamOption = None,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Print what would be done with a file, with which stages, frames, memory and disk, and do none of it.

    Example: framedaemon explain input/photo.jpg --generate wan --vram 8GB --vram 24GB --ram 64GB
    """
    from framedaemon import single
    from framedaemon.layers import Layer
    from framedaemon.naming import show

    here, settings = open_instance(instance, anywhere=True)
    layer = Layer("command line", _command_line(generate, frames, interpolate, fps, seed, set_ or []))
    file = file.resolve()
    if vram:
        explain_cards(file, here, settings, layer, vram, ram, json=json)
        return
    with redirect_stdout(sys.stderr):  # what a plugin prints is no answer of ours
        recipes = single.recipes_for(file, here, settings, layer)
        prepared = single.prepare(file, here, settings, recipes, single.last_of(file))
    if json:
        plans = [one.plan for one in prepared]
        print_json([p.summary().model_dump(mode="json") | {"passed_over": list(p.passed_over)} for p in plans])
        return
    for number, one in enumerate(prepared, start=1):
        title = show(file.name) + (f", video {number} of {len(prepared)}" if len(prepared) > 1 else "")
        _print_plan(title, one.plan.summary(), one.plan.need.admission + settings.disk.keep_free_bytes)
        for lack in one.plan.passed_over:
            console().print(f"  auto        {show(lack)}")


def replay(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="photo.json, beside its video.", exists=True)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="The video to make. Default: photo-replay.mp4 beside RECEIPT."
        ),
    ] = None,
    source: Annotated[Path | None, typer.Option("--source", help="The picture, if it is not in input/done/.")] = None,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
    instance: InstanceOption = None,
) -> None:
    """Make a video again from its receipt: same source, recipe and seed. Says whether it came out the same.

    Example: framedaemon replay output/photo.json -o again.mp4
    """
    from framedaemon import replaying

    here, settings = open_instance(instance, anywhere=True)
    facts = replaying.load(receipt)
    prepared = replaying.prepare(facts, here, settings, source)
    target = output or receipt.with_name(f"{receipt.stem}-replay{prepared.plan.video.suffix}")
    made = _render(prepared, target.absolute(), overwrite)
    compared = replaying.compare(facts, made, target)
    if json:
        print_json(_facts(prepared, made, target) | {"compared": compared})
    else:
        print(f"{_sentence(prepared, made, target)}\n{compared}")


def _command_line(
    generate: str | None,
    frames: int | None,
    interpolate: str | None,
    fps: str | None,
    seed: int | None,
    set_: list[str],
) -> dict[str, Any]:
    """The options as the highest layer of the recipe. Raises BadParameter for a --set that is none."""
    from framedaemon.toml import TomlError, read_toml

    table: dict[str, Any] = {"generate": {}, "interpolate": {}, "encode": {}}
    said = {("generate", "use"): generate, ("generate", "frames"): frames, ("generate", "seed"): seed}
    said |= {("interpolate", "use"): interpolate, ("interpolate", "fps"): fps}
    for (kind, key), value in said.items():
        if value is not None:
            table[kind][key] = value
    for word in set_:
        path, equals, value = word.partition("=")
        kind, _, key = path.strip().partition(".")
        if not equals or kind not in table or not key:
            raise typer.BadParameter(f"{word}: write it as encode.crf=16, after generate, interpolate or encode")
        try:
            table[kind][key] = read_toml(f"value = {value}".encode("utf-8", "replace"), "--set")["value"]
        except TomlError:
            table[kind][key] = value.strip()
    return table


def _render(prepared: Prepared, output: Path, overwrite: bool) -> Made:
    from framedaemon import single
    from framedaemon.naming import show

    signal.signal(signal.SIGTERM, _interrupt)
    with _progress(prepared.plan.shown.frames) as report:
        made = single.render(prepared, output, report, overwrite)
    for note in prepared.plan.notes:
        print(f"note: {show(note)}", file=sys.stderr)
    return made


def _sentence(prepared: Prepared, made: Made, output: Path) -> str:
    from dataclasses import replace

    from framedaemon.naming import show
    from framedaemon.settings import show_bytes

    video, took = prepared.plan.video, show_seconds(sum(made.seconds.values()))
    clip = replace(prepared.plan.shown, width=video.width, height=video.height)  # an odd size was cropped by a pixel
    return f"{show(output.absolute())}: {clip.describe()}, {show_bytes(made.bytes)}, {took} of work"


def _facts(prepared: Prepared, made: Made, output: Path) -> dict[str, Any]:
    from framedaemon.naming import show

    plan = prepared.plan.summary()
    return {
        "video": show(output.absolute()),
        "frames": plan.frames,
        "fps": plan.fps,
        "width": prepared.plan.video.width,
        "height": prepared.plan.video.height,
        "bytes": made.bytes,
        "seconds": made.seconds,
        "notes": [show(note) for note in plan.notes],
    }


def _interrupt(number: int, frame: object) -> NoReturn:
    """SIGTERM clears away what Ctrl-C does."""
    raise KeyboardInterrupt


@contextmanager
def _progress(total: int) -> Iterator[Report]:
    """A bar on a terminal; elsewhere a line for every tenth of the way."""
    if not sys.stderr.isatty():
        yield _plain_report(total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=of)
            bar.update(tasks[stage], completed=done)

        yield report


def _plain_report(total: int) -> Report:
    said = 0

    def report(stage: str, done: int, of: int) -> None:
        nonlocal said
        tenth = done * 10 // of if of == total else 0
        if tenth > said:
            said = tenth
            print(f"{stage}: {done} of {of} frames", file=sys.stderr)

    return report


def _print_plan(title: str, plan: PlanSummary, admission: int) -> None:
    from framedaemon.naming import show
    from framedaemon.settings import show_bytes

    out = console()
    out.print(f"{title}: {plan.source}")
    for step in plan.steps:
        placement = step.placement
        out.print(f"  {step.kind:<12}{step.stage}")
        options = {key: value for key, value in step.options.items() if value not in (None, "")}
        if options:
            out.print("              " + show(", ".join(f"{key} = {value}" for key, value in options.items())))
        where = f"{placement['device']}, {placement['threads']} threads: {placement['reason']}"
        beside = f" and {show_bytes(step.vram_bytes)} on the device" if step.vram_bytes else ""
        memory = f"{show_bytes(step.ram_bytes)} of memory{beside}"
        out.print(f"              about {memory}, {show_seconds(step.seconds)}; {where}")
        if step.phases:
            said = ", ".join(f"{phase.name} {show_bytes(phase.working_bytes)}" for phase in step.phases)
            out.print(f"              one after the other: {said}")
    out.print(f"  drawn       {plan.drawn}")
    coded = f"{plan.codec} {plan.pixel_format} {plan.width}x{plan.height} {plan.suffix or 'folder'}"
    out.print(f"  video       {plan.shown}; as {coded}")
    out.print(f"  memory      about {show_bytes(plan.ram_bytes)}")
    temporary = show_bytes(plan.temporary_bytes + (plan.video_copies - 1) * plan.video_bytes)
    video = show_bytes(plan.video_bytes)
    out.print(f"  disk        {temporary} temporary, {video} video; starts when {show_bytes(admission)} are free")
    out.print(f"  time        about {show_seconds(plan.seconds)}")
    out.print(f"  seed        {plan.seed}")
    for note in plan.notes:
        out.print(f"  note        {show(note)}")
