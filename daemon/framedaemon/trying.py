"""One plugin, asked what a job would ask of it, for its author to see at once where it fails. Nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, cast

from framedaemon.blame import let_through, said, trace
from framedaemon.clip import ClipSpec
from framedaemon.errors import JobRejected
from framedaemon.memory import this_machine
from framedaemon.opening import Limits, open_source
from framedaemon.plugins import PluginInfo, Registry
from framedaemon.settings import InboxSettings
from framedaemon.sources import Source
from framedaemon.stages import Estimate, StageKind
from framedaemon.task import StageTask

_CLIP = ClipSpec(1280, 720, 81, Fraction(16))


def ask(registry: Registry, info: PluginInfo) -> list[str]:
    """What is wrong with the plugin's stages and its policy, each with the lines of its code that led there."""
    problems: list[str] = []
    for label in info.stages:
        kind, _, name = label.partition(" ")
        stage = registry.stage(cast("StageKind", kind), name)
        problems += _problems(registry, info, label, partial(_ask_stage, stage))
    if "memory_policy" in info.hooks:
        problems += _problems(registry, info, "memory policy", lambda: _ask_policy(registry))
    return problems


def _problems(registry: Registry, info: PluginInfo, label: str, question: Callable[[], None]) -> list[str]:
    try:
        with registry.trusting(info.name):
            question()
    except JobRejected as error:
        return [f"{label} refuses the photo that comes along: {error}"]
    except BaseException as error:  # noqa: BLE001  (a stranger's stage may raise anything)
        let_through(error)
        return [f"{label}: {said(error)}\n{trace(error)}".rstrip()]
    return []


def _ask_stage(stage: Any) -> None:
    """Raises whatever the stage does; AssertionError where it answers what no plan can be made of."""
    missing = stage.unready(this_machine("auto", 0))
    assert missing is None, f"it cannot work here: {missing}"
    options = stage.options()
    estimate = _estimate(stage, options)
    assert isinstance(estimate, Estimate), f"estimate() answers with an Estimate, not with {estimate!r:.80}"
    assert estimate.seconds > 0, "estimate() says that it takes no time at all: nothing can be planned with that"


def _estimate(stage: Any, options: Any) -> Any:
    if not hasattr(stage, "promise"):
        return stage.estimate(_CLIP, replace(_CLIP, frames=161, fps=Fraction(32)), options)
    if not hasattr(stage, "accepts"):
        stage.promise(_CLIP, False, options)
        return stage.estimate(_CLIP, options)
    photo = _photo()
    if photo.kind not in stage.accepts:
        return Estimate(seconds=1)  # a video is not at hand
    gives = stage.promise(photo, options)
    assert isinstance(gives, ClipSpec), f"promise() answers with a ClipSpec, not with {gives!r:.80}"
    return stage.estimate(photo, gives, options)


def _ask_policy(registry: Registry) -> None:
    machine = this_machine("auto", 0)
    placement = registry.place(StageTask("interpolate", "flow", 1280, 720, 81), Estimate(seconds=1), machine, 0)
    assert "broke:" not in placement.reason, placement.reason


def _photo() -> Source:
    inbox = InboxSettings()
    limits = Limits(inbox.max_pixels, inbox.min_side, inbox.background_rgb)
    with as_file(files("framedaemon") / "demo" / "rocket.jpg") as photo:
        return open_source(Path(photo), photo.name, limits)
