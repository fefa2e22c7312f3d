"""Finds plugins, loads them one by one, and keeps a broken one from harming the rest.

    entry points "framedaemon" ─┐
    plugins/*.py of the instance ┴─▶ pluggy ─▶ the stages and policies on offer

pluggy's own loader stops at the first plugin that raises, so the loop is ours. Whatever a plugin raises while it is
loaded or asked for its stages (SystemExit too) is kept as the reason why it is broken.
"""

from __future__ import annotations

import importlib.util
import os
import re
import stat
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import pluggy

from framedaemon.errors import JobRejected, OutOfMemory, PluginBroken
from framedaemon.events import Event
from framedaemon.hooks import PROJECT, Hooks
from framedaemon.identity import hash_file
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.published import Row
from framedaemon.sources import SourceKind
from framedaemon.stages import (
    AnyStage,
    EncoderOptions,
    Estimate,
    GeneratorOptions,
    InterpolatorOptions,
    Machine,
    Placement,
    StageKind,
)
from framedaemon.task import StageTask

# A plugin may raise from `happened` this often in a row before it is muted.
_PATIENCE = 3

_HOOK_OF: dict[StageKind, str] = {"generate": "generators", "interpolate": "interpolators", "encode": "encoders"}
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


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin as `framedaemon plugins` shows it."""

    name: str
    origin: str
    """``framedaemon 0.1.0``, or the path of a drop-in file."""
    state: Literal["ready", "broken", "disabled"]
    stages: tuple[str, ...] = ()
    """``generate camera``, …"""
    reason: str = ""
    """Why it is broken, for a person."""


@dataclass(slots=True)
class Registry:
    """What the loaded plugins offer."""

    manager: pluggy.PluginManager
    plugins: dict[str, PluginInfo] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    """sha256 of each drop-in file as it was loaded; what is installed has a version."""
    _stages: dict[StageKind, dict[str, AnyStage]] = field(
        default_factory=lambda: {"generate": {}, "interpolate": {}, "encode": {}}
    )
    _failures: dict[str, int] = field(default_factory=dict)

    def stage(self, kind: StageKind, name: str) -> AnyStage:
        """The stage called ``name``. Raises JobRejected, naming those there are, when there is none."""
        found = self._stages[kind].get(name)
        if found is None:
            there = ", ".join(sorted(self._stages[kind])) or "none"
            broken = "".join(f"; plugin {p.name} is broken: {p.reason}" for p in self.broken())
            raise JobRejected(f"[{kind}] use: there is no {name!r} here; there are: {there}{broken}")
        return found

    def stages(self, kind: StageKind) -> Sequence[AnyStage]:
        """Every stage of a kind, the most preferred first."""
        return sorted(self._stages[kind].values(), key=lambda stage: (-stage.preference, stage.name))

    def broken(self) -> Iterator[PluginInfo]:
        """The plugins that could not be loaded."""
        return (plugin for plugin in self.plugins.values() if plugin.state == "broken")

    def place(self, task: StageTask, estimate: Estimate, machine: Machine, attempt: int) -> Placement:
        """The memory policy's answer. Raises OutOfMemory when nothing smaller is left to try.

        A policy that breaks does not cost the job: the shipped policy answers in its place.
        """
        asked: dict[str, Any] = {"stage": task, "estimate": estimate, "machine": machine, "attempt": attempt}
        try:
            answer = self.manager.hook.memory_policy(**asked)
        except OutOfMemory:
            raise
        except (Exception, SystemExit):  # noqa: BLE001  (a stranger's policy may raise anything)
            reason = traceback.format_exc(limit=-1).strip().splitlines()[-1]
            default = DefaultMemoryPolicy().memory_policy(**asked)
            return replace(default, reason=f"{default.reason} (a memory policy broke: {reason})")
        if not isinstance(answer, Placement):
            return DefaultMemoryPolicy().memory_policy(**asked)
        return answer

    def tell(self, event: Event) -> list[PluginInfo]:
        """Tell every plugin what happened. Returns those that were muted because they keep raising."""
        muted = []
        for implementation in list(self.manager.hook.happened.get_hookimpls()):
            name = implementation.plugin_name
            try:
                implementation.function(*[event for _ in implementation.argnames])
                self._failures.pop(name, None)
            except (Exception, SystemExit) as error:  # noqa: BLE001  (a stranger's observer may raise anything)
                self._failures[name] = self._failures.get(name, 0) + 1
                if self._failures[name] >= _PATIENCE:
                    self.manager.unregister(name=name)
                    info = self.plugins.get(name, PluginInfo(name, "", "broken"))
                    reason = f"raised {_PATIENCE} times in a row from happened(): {_said(error)}"
                    self.plugins[name] = replace(info, state="broken", reason=reason)
                    muted.append(self.plugins[name])
        return muted

    def add(self, name: str, origin: str, plugin: object) -> None:
        """Register a loaded plugin. Raises PluginBroken; nothing of the plugin stays then."""
        if self.manager.has_plugin(name):
            raise PluginBroken(f"there is a plugin {name} already")
        try:
            self.manager.register(plugin, name)
            self.manager.check_pending()
            offered = {kind: self._offered(name, kind) for kind in _HOOK_OF}
        except (Exception, SystemExit) as error:
            self.manager.unregister(name=name) if self.manager.has_plugin(name) else None
            raise PluginBroken(_said(error)) from error
        for kind, stages in offered.items():
            self._stages[kind].update({stage.name: stage for stage in stages})
        labels = tuple(f"{kind} {stage.name}" for kind, stages in offered.items() for stage in stages)
        self.plugins[name] = PluginInfo(name, origin, "ready", labels)

    def _offered(self, name: str, kind: StageKind) -> list[AnyStage]:
        hook = getattr(self.manager.hook, _HOOK_OF[kind])
        mine = [impl for impl in hook.get_hookimpls() if impl.plugin_name == name]
        stages = [stage for impl in mine for stage in impl.function()]
        taken = set(self._stages[kind])
        for stage in stages:
            fault = _fault(kind, stage, taken)
            if fault is not None:
                raise PluginBroken(f"{_HOOK_OF[kind]}(): {fault}")
            taken.add(stage.name)
        return stages


def _fault(kind: StageKind, stage: Any, taken: Collection[str]) -> str | None:
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


def load_plugins(folder: Path | None, disabled: Sequence[str] = ()) -> Registry:
    """The registry of every plugin that can be loaded: installed ones, then ``*.py`` in ``folder``.

    Never raises for a plugin's fault: a broken one is in ``plugins`` with its reason.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    registry = Registry(manager)
    manager.register(DefaultMemoryPolicy(), "framedaemon.memory")
    for entry in sorted(entry_points(group=PROJECT), key=lambda entry: entry.name):
        _load(registry, entry.name, _origin(entry), disabled, entry)
    for path in sorted(folder.glob("*.py")) if folder is not None and folder.is_dir() else ():
        _load(registry, path.stem, str(path), disabled, path)
    return registry


def _load(registry: Registry, name: str, origin: str, disabled: Sequence[str], found: EntryPoint | Path) -> None:
    if name in disabled:
        registry.plugins[name] = PluginInfo(name, origin, "disabled")
        return
    if name in registry.plugins:
        reason = f"there is a plugin {name} already, from {registry.plugins[name].origin}"
        registry.plugins[f"{name} ({origin})"] = PluginInfo(name, origin, "broken", reason=reason)
        return
    try:
        if isinstance(found, Path):
            registry.hashes[name] = hash_file(found)
        plugin = _import_file(name, found) if isinstance(found, Path) else found.load()
        registry.add(name, origin, plugin)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (importing a stranger's module may raise anything)
        registry.plugins[name] = PluginInfo(name, origin, "broken", reason=_said(error))


def _import_file(name: str, path: Path) -> ModuleType:
    _check_owned(path)
    spec = importlib.util.spec_from_file_location(f"framedaemon_instance_plugins.{name}", path)
    if spec is None or spec.loader is None:
        raise PluginBroken(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up here while it is being executed
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _check_owned(path: Path) -> None:
    """Raises PluginBroken when somebody else could change what is run: the file, a folder on the way, its bytecode."""
    real = path.resolve()
    cache = real.parent / "__pycache__"
    for place in dict.fromkeys((path.parent, real.parent, *([cache] if cache.exists() else []), real)):
        if place.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PluginBroken(f"{place} can be written by others: chmod go-w {place}")
        if place.stat().st_uid not in (0, os.geteuid()):
            raise PluginBroken(f"{place} belongs to another user: chown it to the daemon's")


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _said(error: BaseException) -> str:
    """What a person should read of an error: its type, unless it is ours, and its words."""
    if isinstance(error, PluginBroken):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")
