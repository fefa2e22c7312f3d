"""What the pipeline costs beyond its stages: CPU seconds of a whole job over those of its stages run alone.

    python benchmarks/whole_and_parts.py [--frames 81] [--size 832x1216] [--rounds 3]

Whole: `pipeline.run`, ffmpeg included. Parts: the generator alone; the interpolator alone, over frames in memory; the
encoder alone, from frames in memory; the quality gate alone. CPU seconds are the process's and its children's. Rounds
alternate, medians are printed; also the wall time over that of the slowest stage alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import cast

from jobs import draw_picture

from framedaemon import pipeline
from framedaemon.clip import Clip
from framedaemon.fingerprint import Fingerprints
from framedaemon.memory import this_machine
from framedaemon.opening import Limits, open_source
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.quality import inspect
from framedaemon.recipe import Recipe, StageChoice
from framedaemon.stages import AnyEncoder, AnyGenerator, AnyInterpolator, Delivery, Scratch
from framedaemon.weave import Tally, weave


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--size", default="832x1216")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="whole-and-parts-") as folder:
        picture = Path(folder) / "photo.png"
        draw_picture(picture, width, height)
        registry = load_plugins(None)
        options = {"frames": arguments.frames, "move": "pan_right", "width": width, "height": height}
        recipe = Recipe(generate=StageChoice(use="camera", options=options))
        source = open_source(picture, picture.name, Limits())
        plan = make_plan(source, recipe, registry, this_machine("cpu", 0), seed=1)
        rounds = [measure(plan, registry, Path(folder)) for _ in range(arguments.rounds)]
    print(plan.shown.describe())
    print(f"{'':16}{'CPU s':>8}{'wall s':>8}")
    for name in rounds[0]:
        cpu, wall = (median(each[name][index] for each in rounds) for index in (0, 1))
        print(f"{name:16}{cpu:8.2f}{wall:8.2f}")
    parts = [name for name in rounds[0] if name != "whole"]
    ratios = [each["whole"][0] / sum(each[name][0] for name in parts) for each in rounds]
    overlaps = [each["whole"][1] / max(each[name][1] for name in parts) for each in rounds]
    print(f"CPU of the whole / CPU of its parts: {median(ratios):.3f} ({min(ratios):.3f}..{max(ratios):.3f})")
    print(f"wall of the whole / wall of its slowest part alone: {median(overlaps):.2f}")


def measure(plan: Plan, registry: Registry, folder: Path) -> dict[str, tuple[float, float]]:
    """CPU and wall seconds of the whole and of each part."""
    assert plan.interpolate is not None
    generator = cast(AnyGenerator, registry.stage("generate", plan.generate.task.name))
    filler = cast(AnyInterpolator, registry.stage("interpolate", plan.interpolate.task.name))
    encoder = cast(AnyEncoder, registry.stage("encode", plan.encode.task.name))
    prints = Fingerprints(plan.video.width, plan.video.height)
    scratch = Scratch(folder)
    output = folder / f"alone{plan.video.suffix}"
    output.unlink(missing_ok=True)
    spent: dict[str, tuple[float, float]] = {}

    def alone(name: str, work: Callable[[], object]) -> object:
        before, started = cpu_seconds(), time.perf_counter()
        result = work()
        spent[name] = (cpu_seconds() - before, time.perf_counter() - started)
        return result

    alone("whole", lambda: pipeline.run(plan, folder, registry, "{}", lambda *_: None))
    with generator.load(plan.generate.placement, plan.generate.options) as generate:
        drawn = cast(list, alone("generator", lambda: list(generate(plan.source, scratch))))
    with filler.load(plan.interpolate.placement, plan.interpolate.options) as fill:
        clip = Clip(plan.drawn, iter(drawn))
        shown = cast(list, alone("interpolator", lambda: list(weave(clip, plan.timeline, fill, "flow", Tally()))))
    with encoder.load(plan.encode.placement, plan.encode.options) as encode:
        delivery = Delivery(output, "{}", None, scratch)
        alone("encoder", lambda: encode(Clip(plan.shown, iter(shown)), delivery))

    def gate() -> None:
        for frame in shown:
            prints.add(frame)
        sources = tuple(plan.timeline.shown_sources())
        assert inspect(output, plan.video, prints, plan.source, sources_at=sources).passed

    alone("quality gate", gate)
    return spent


def cpu_seconds() -> float:
    """Of this process and its finished children."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
