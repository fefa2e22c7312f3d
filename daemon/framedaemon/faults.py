"""What is wrong with what a plugin offers or answers, found before it breaks every job that looks at it."""

from __future__ import annotations

import re
from collections.abc import Collection, Set
from typing import Any, get_args

from framedaemon.errors import PluginBroken
from framedaemon.hooks import HOOKS_VERSION
from framedaemon.published import Row
from framedaemon.sources import SourceKind
from framedaemon.stages import (
    EncoderOptions,
    GeneratorOptions,
    InterpolatorOptions,
    Machine,
    Placement,
    StageKind,
)

_OPTIONS_OF: dict[StageKind, type] = {
    "generate": GeneratorOptions,
    "interpolate": InterpolatorOptions,
    "encode": EncoderOptions,
}
_NEEDS_OF: dict[StageKind, tuple[str, ...]] = {
    "generate": ("name", "summary", "options", "accepts", "preference", "unready", "promise", "estimate", "load"),
    "interpolate": ("name", "summary", "options", "preference", "unready", "estimate", "load"),
    "encode": ("name", "summary", "options", "preference", "unready", "promise", "estimate", "load"),
}

_SOURCES: frozenset[str] = frozenset(get_args(SourceKind))


def stage_fault(kind: StageKind, stage: Any, taken: Collection[str]) -> str | None:
    """What is wrong with a stage that would else break every job that looks at it; None when nothing is."""
    if isinstance(stage, type):
        return f"{stage.__name__} is a class, not a stage: return {stage.__name__}()"
    missing = [need for need in _NEEDS_OF[kind] if not hasattr(stage, need)]
    if missing:
        return f"{type(stage).__name__} lacks {', '.join(missing)}"
    if not isinstance(stage.name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", stage.name):
        return f"{stage.name!r} is no stage name: lower case, one word"
    if stage.name in ("auto", "none"):
        return f"{stage.name!r} means something else in a recipe"
    if stage.name in taken:
        return f"there is a {stage.name!r} already"
    if not (isinstance(stage.options, type) and issubclass(stage.options, _OPTIONS_OF[kind])):
        return f"{stage.name}: options must be a class below {_OPTIONS_OF[kind].__name__}"
    if not isinstance(stage.preference, int):
        return f"{stage.name}: preference must be a whole number, not {stage.preference!r}"
    rows = getattr(stage, "weights", ())
    if not (isinstance(rows, tuple) and all(isinstance(row, get_args(Row)) for row in rows)):
        return f"{stage.name}: weights must be a tuple of Weights and Repository, not {rows!r}"
    misnamed = [row.name for row in rows if not row.name.startswith(f"{stage.name}-")]
    if misnamed:
        return f"{stage.name}: its weights {misnamed[0]!r} must be called {stage.name}- and something"
    if kind == "generate" and not (isinstance(stage.accepts, Set) and stage.accepts <= _SOURCES):
        return f"{stage.name}: accepts must be a set of {' and '.join(sorted(_SOURCES))}, not {stage.accepts!r}"
    return None


def placement_fault(answer: object, machine: Machine) -> str | None:
    """What is wrong with a memory policy's answer that every job would break by; None when nothing is."""
    if not isinstance(answer, Placement):
        return f"it answered {answer!r:.80}, which is no Placement"
    if answer.device not in ("cpu", machine.device):
        return f"device {answer.device!r:.80} is not here"
    counts = {"threads": answer.threads, "batch": answer.batch, "tile": answer.tile if answer.tile is not None else 1}
    wrong = [f"{name} {count!r:.80}" for name, count in counts.items() if not isinstance(count, int) or count < 1]
    return f"{', '.join(wrong)}: at least 1" if wrong else None


def check_version(plugin: object) -> None:
    """Raises PluginBroken for a plugin that says it needs hooks which are not here yet."""
    needed = getattr(plugin, "requires_hooks", HOOKS_VERSION)
    if not isinstance(needed, int) or isinstance(needed, bool):
        raise PluginBroken(f"requires_hooks is a whole number, not {needed!r:.80}")
    if needed > HOOKS_VERSION:
        raise PluginBroken(
            f"it was made for version {needed} of the hooks, and this framedaemon has {HOOKS_VERSION}: "
            "update framedaemon, or take an older version of the plugin"
        )
