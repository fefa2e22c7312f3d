"""The interpolators that are ready here, opened as a job would open them, and a plain mix to hold them against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from jobs import machine

from framedaemon import ClipSpec, Fill, Filled, Frame, Gap
from framedaemon.plugins import load_plugins
from framedaemon.task import StageTask

BLEND = "blend"
"""Not a stage: `mix` at each time."""


def ready() -> list[str]:
    """The names of those that can work here, the plain ones first."""
    here = machine()
    stages = load_plugins(None).stages("interpolate")
    return [stage.name for stage in reversed(stages) if stage.unready(here) is None]


@contextmanager
def opened(wanted: str, takes: ClipSpec, threads: int = 0) -> Iterator[Fill]:
    """The Fill of an interpolator for a clip like ``takes``, placed by the memory policy.

    wanted: its name, and behind commas its options: ``flow,quality=best``.  threads: 0 for all cores.
    """
    if wanted == BLEND:
        yield blend
        return
    name, *options = wanted.split(",")
    registry, here = load_plugins(None), machine(threads)
    stage: Any = registry.stage("interpolate", name)
    chosen = stage.options.model_validate(dict(option.split("=", 1) for option in options))
    gives = replace(takes, frames=2 * takes.frames - 1, fps=2 * takes.fps)
    task = StageTask("interpolate", name, takes.width, takes.height, takes.frames)
    placement = registry.place(task, stage.estimate(takes, gives, chosen), here, 0)
    with stage.load(replace(placement, models=here.models), chosen) as fill:
        yield fill


def blend(gaps: Iterable[Gap]) -> Iterator[Filled]:
    """Both frames, mixed by time."""
    for gap in gaps:
        yield [mix(gap.x0, gap.x1, float(time)) for time in gap.times]


def mix(x0: Frame, x1: Frame, time: float) -> Frame:
    return np.rint(x0 * np.float32(1 - time) + x1 * np.float32(time)).astype(x0.dtype)
