"""Finds plugins, loads them one by one, and keeps a broken one from harming the rest.

    entry points "framedaemon" ─┐
    plugins/*.py of the instance ┴─▶ pluggy ─▶ the stages and policies on offer

pluggy's own loader stops at the first plugin that raises, so the loop is ours. Whatever a plugin raises while it is
loaded or asked for its stages, and that it takes too long, is kept as the reason why it is broken. `Registry.trusting`
guards what is run of it for jobs that never asked for it.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pluggy

from framedaemon.blame import let_through, said, trace
from framedaemon.deadline import deadline
from framedaemon.errors import JobRejected, OutOfMemory, PluginBroken
from framedaemon.events import Event
from framedaemon.faults import check_version, placement_fault, stage_fault
from framedaemon.hooks import PROJECT, Hooks
from framedaemon.identity import hash_file
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.stages import (
    AnyStage,
    Estimate,
    Machine,
    Placement,
    StageKind,
)
from framedaemon.task import StageTask

# A plugin may raise from `happened` this often in a row before it is muted.
_PATIENCE = 3

# Loading it, and asking it what every job depends on, may take so long. A cold disk takes a second or two.
LOAD_SECONDS = 20.0

_HOOK_OF: dict[StageKind, str] = {"generate": "generators", "interpolate": "interpolators", "encode": "encoders"}
_IN_WORDS = {"memory_policy": "memory policy", "happened": "observer"}


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
    trace: str = ""
    """Where in its own code that happened, for its author."""
    hooks: tuple[str, ...] = ()
    """What it implements beside stages: ``memory_policy``, ``happened``."""

    @property
    def offers(self) -> tuple[str, ...]:
        """Its stages, and in words what else it does."""
        return (*self.stages, *(_IN_WORDS[hook] for hook in self.hooks))


@dataclass(slots=True)
class Registry:
    """What the loaded plugins offer."""

    manager: pluggy.PluginManager
    plugins: dict[str, PluginInfo] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    """sha256 of each drop-in file as it was loaded; what is installed has a version."""
    entering: Callable[[str], None] = lambda plugin: None
    """Told the plugin whose code runs for everybody, and "" when that is over: who watches knows whom to blame."""
    _stages: dict[StageKind, dict[str, AnyStage]] = field(
        default_factory=lambda: {"generate": {}, "interpolate": {}, "encode": {}}
    )
    aside: dict[str, str] = field(default_factory=dict)
    """Plugins that brought a process down when they were loaded, and how: they are not loaded again."""
    muted: deque[PluginInfo] = field(default_factory=deque)
    """Plugins that `tell` is to name as muted, whoever found that out; put here from any thread."""
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
        broke = ""
        for policy in reversed(self.manager.hook.memory_policy.get_hookimpls()):  # as pluggy does: the last one first
            try:
                with self.trusting(policy.plugin_name):
                    answer = policy.function(*[asked[name] for name in policy.argnames])
                    fault = placement_fault(answer, machine) if answer is not None else None
            except OutOfMemory:
                raise
            except BaseException as error:  # noqa: BLE001  (a stranger's policy may raise anything)
                let_through(error)
                answer, fault = None, said(error)
            if fault is not None:
                broke = f" (memory policy {policy.plugin_name} broke: {fault})"
            elif isinstance(answer, Placement):
                return replace(answer, reason=f"{answer.reason}{broke}")
        raise OutOfMemory(f"{task.name}: no memory policy says where it is to work{broke}")

    def tell(self, event: Event) -> list[PluginInfo]:
        """Tell every plugin what happened. Returns those that were muted meanwhile because they keep raising."""
        muted = [self.muted.popleft() for _ in range(len(self.muted))]
        for implementation in list(self.manager.hook.happened.get_hookimpls()):
            name = implementation.plugin_name
            try:
                with self.trusting(name):
                    implementation.function(*[event for _ in implementation.argnames])
                self._failures.pop(name, None)
            except BaseException as error:  # noqa: BLE001  (a stranger's observer may raise anything)
                let_through(error)
                self._failures[name] = self._failures.get(name, 0) + 1
                if self._failures[name] >= _PATIENCE:
                    self.manager.unregister(name=name)
                    info = self.plugins.get(name, PluginInfo(name, "", "broken"))
                    reason = f"raised {_PATIENCE} times in a row from happened(): {said(error)}"
                    self.plugins[name] = replace(info, state="broken", reason=reason)
                    muted.append(self.plugins[name])
        return muted

    @contextmanager
    def trusting(self, plugin: str) -> Iterator[None]:
        """Run something of ``plugin`` that jobs depend on which never asked for it. Raises Overdue when it hangs."""
        self.entering(plugin)
        try:
            with deadline(LOAD_SECONDS):
                yield
        finally:
            self.entering("")

    def owner(self, stage: AnyStage) -> str:
        """The plugin that offers the stage."""
        labels = {f"{kind} {stage.name}" for kind, stages in self._stages.items() if stages.get(stage.name) is stage}
        return next((plugin.name for plugin in self.plugins.values() if labels & set(plugin.stages)), "")

    def add(self, name: str, origin: str, plugin: object) -> None:
        """Register a loaded plugin. Raises PluginBroken; nothing of the plugin stays then."""
        if self.manager.has_plugin(name):
            raise PluginBroken(f"there is a plugin {name} already")
        try:
            check_version(plugin)
            self.manager.register(plugin, name)
            self.manager.check_pending()
            offered = {kind: self._offered(name, kind) for kind in _HOOK_OF}
            implemented = {caller.name for caller in self.manager.get_hookcallers(plugin) or ()}
        except BaseException as error:
            self.manager.unregister(name=name) if self.manager.has_plugin(name) else None
            let_through(error)
            raise PluginBroken(said(error)) from error
        for kind, stages in offered.items():
            self._stages[kind].update({stage.name: stage for stage in stages})
        labels = tuple(f"{kind} {stage.name}" for kind, stages in offered.items() for stage in stages)
        hooks = tuple(hook for hook in _IN_WORDS if hook in implemented)
        self.plugins[name] = PluginInfo(name, origin, "ready", labels, hooks=hooks)

    def _offered(self, name: str, kind: StageKind) -> list[AnyStage]:
        hook = getattr(self.manager.hook, _HOOK_OF[kind])
        mine = [impl for impl in hook.get_hookimpls() if impl.plugin_name == name]
        stages = [stage for impl in mine for stage in impl.function()]
        taken = set(self._stages[kind])
        for stage in stages:
            fault = stage_fault(kind, stage, taken)
            if fault is not None:
                raise PluginBroken(f"{_HOOK_OF[kind]}(): {fault}")
            taken.add(stage.name)
        return stages


def new_registry() -> Registry:
    """A registry with nothing but the memory policy that is shipped."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(DefaultMemoryPolicy(), "framedaemon.memory")
    return Registry(manager)


def load_plugins(
    folder: Path | None,
    disabled: Sequence[str] = (),
    aside: Mapping[str, str] | None = None,
    entering: Callable[[str], None] | None = None,
) -> Registry:
    """The registry of every plugin that can be loaded: installed ones, then ``*.py`` in ``folder``.

    Never raises for a plugin's fault: a broken one is in ``plugins`` with its reason. ``aside``: those not to be
    loaded since they brought a process down, and how. ``entering``: see `Registry.entering`.
    """
    registry = new_registry()
    registry.entering = entering or registry.entering
    registry.aside.update(aside or {})
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
    if name in registry.aside:
        registry.plugins[name] = PluginInfo(name, origin, "broken", reason=registry.aside[name])
        return
    try:
        if isinstance(found, Path):
            registry.hashes[name] = hash_file(found)
        with registry.trusting(name):
            plugin = _import_file(name, found) if isinstance(found, Path) else found.load()
            registry.add(name, origin, plugin)
    except BaseException as error:  # noqa: BLE001  (importing a stranger's module may raise anything)
        let_through(error)
        registry.plugins[name] = PluginInfo(name, origin, "broken", reason=said(error), trace=trace(error))


def load_file(registry: Registry, path: Path) -> str:
    """Load one more file, wherever it lies, as if it lay in the instance's folder; returns the plugin's name."""
    known = set(registry.plugins)
    _load(registry, path.stem, str(path), (), path)
    return next(iter(set(registry.plugins) - known), path.stem)


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
