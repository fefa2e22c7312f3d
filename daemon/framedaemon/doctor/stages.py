"""Plugins and their stages, settings and recipes, weights, encoders: what the probes of the plugins found."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

from framedaemon.doctor.finding import Finding, State, pip_command
from framedaemon.doctor.patient import Patient
from framedaemon.doctor.probe import ProbeFailed
from framedaemon.settings import show_bytes
from framedaemon.workspace import bytes_below

_SHOWN = 5


def examine_plugins(found: dict[str, Any]) -> Iterator[Finding]:
    """Plugins that are broken or disabled, and stages that cannot work here."""
    for plugin in found["plugins"]:
        if plugin["state"] == "broken":
            yield _broken(plugin)
        elif plugin["state"] == "disabled":
            said = f"{plugin['name']} is disabled by config.toml [plugins]"
            yield Finding("plugins", "disabled", "ok", said)
    ready = [plugin["name"] for plugin in found["plugins"] if plugin["state"] == "ready"]
    yield Finding("plugins", "plugins", "ok", f"loaded: {', '.join(ready) or 'none'}")
    yield from stage_findings(found["stages"])


def plugins_unloadable(patient: Patient, failed: ProbeFailed) -> Finding:
    """The process that loads the plugins broke: the daemon, and its worker, would too."""
    own = Path(failed.file).is_relative_to(patient.instance.plugins) if failed.file else False
    mend = f"mv {quote(failed.file)} {quote(failed.file)}.off" if own else "framedaemon plugins  # to see it happen"
    return Finding("plugins", "plugins", "error", f"the process that loads the plugins {failed}", mend)


def _broken(plugin: dict[str, Any]) -> Finding:
    own = plugin["origin"].startswith("/")
    where = quote(plugin["origin"]) if own else plugin["origin"].split(" ")[0]
    mend = f"mv {where} {where}.off" if own else f"pip install -U {where}"
    off = f'config.toml [plugins] disabled = ["{plugin["name"]}"] leaves it out, too'
    said = f"plugin {plugin['name']} is broken: {plugin['reason']}"
    return Finding("plugins", "broken", "error", said, f"{mend}  # or mend it; {off}")


def stage_findings(stages: list[dict[str, Any]]) -> Iterator[Finding]:
    """Of each kind what works; what auto would have preferred to it, and what it lacks."""
    for kind in ("generate", "interpolate", "encode"):
        ours = [stage for stage in stages if stage["stage"].startswith(f"{kind} ")]
        able = [stage for stage in ours if stage["lack"] is None and stage["preference"] >= 0]
        first = next((stage for stage in able if not stage["spared"]), None)
        if first is None:
            said = f"no stage here can {kind}: jobs fail"
            yield Finding("plugins", kind, "error", said, "mend what the lines about its stages say")
        else:
            works = ", ".join(stage["stage"].partition(" ")[2] for stage in able)
            yield Finding("plugins", kind, "ok", f"{kind}: {works}")
        for stage in ours:
            if stage["lack"] is None:
                continue
            missed = stage["preference"] >= 0 and not stage["spared"]
            better = missed and first is not None and stage["preference"] > first["preference"]
            said, mend = _split(stage["lack"])
            hours = ", and would take hours here: there is no GPU" if stage["spared"] else ""
            said = f"{stage['stage']} cannot work: {said}{hours}"
            state: State = "error" if missed and first is None else "warning" if better else "ok"
            yield Finding("plugins", stage["stage"], state, said, mend)


def examine_settings(patient: Patient, found: dict[str, Any] | None) -> Iterator[Finding]:
    """What `framedaemon check` says, in short. ``found``: None where the plugins could not be loaded."""
    config = quote(str(patient.instance.config))
    for problem in patient.unusable[:_SHOWN]:
        yield Finding("settings", "config", "error", problem, f"${{EDITOR:-nano}} {config}")
    if not patient.unusable:
        there = patient.instance.config.exists()
        said = "config.toml can be used" if there else "there is no config.toml: all settings are at their defaults"
        yield Finding("settings", "config", "ok", said)
    if found is None:
        return
    problems = found["recipes"]
    check = f"framedaemon check --instance {quote(str(patient.instance.root))}"
    for problem in problems[:_SHOWN]:
        yield Finding("settings", "recipe", "warning", problem, "" if len(problems) > _SHOWN else check)
    if problems[_SHOWN:]:
        yield Finding("settings", "recipe", "warning", f"{len(problems) - _SHOWN} more problems in input/", check)
    if not problems:
        yield Finding("settings", "recipe", "ok", "the recipes in input/ can be used")


def examine_weights(patient: Patient, found: dict[str, Any]) -> Iterator[Finding]:
    """Weights that are there, by their sizes, or by all of their bytes where the look is deep."""
    models, weights = patient.models, found["weights"]
    for one in weights:
        if one["fault"] is not None:
            yield Finding("weights", one["name"], "error", one["fault"], _command(one["mend"]))
    whole = [one for one in weights if one["fault"] is None]
    size = show_bytes(sum(one["bytes"] for one in whole))
    how = "all of their bytes were read" if patient.deep else "by their sizes; --deep reads all of them"
    if whole:
        names = ", ".join(one["name"] for one in whole)
        yield Finding("weights", "whole", "ok", f"{names}: {size} in {models}, whole {how}")
    elif not weights:
        yield Finding("weights", "whole", "ok", f"none in {models}: `framedaemon models list` shows what there is")
    if models.is_dir() and not os.access(models, os.W_OK):
        said = f"{models} cannot be written to: no weights can be fetched"
        yield Finding("weights", "folder", "warning", said, f"sudo chown -R $USER {quote(str(models))}")
    yield from _half_fetched(models / ".pulling")


def _half_fetched(pulling: Path) -> Iterator[Finding]:
    size = bytes_below(pulling)
    if size:
        said = f"{show_bytes(size)} of a pull that was interrupted lie in {pulling}"
        yield Finding(
            "weights", "interrupted", "ok", said, "framedaemon models pull NAME  # goes on; remove NAME removes it"
        )


def examine_tried(tried: dict[str, dict[str, str | None]]) -> Iterator[Finding]:
    """What stages have really tried here: the encoders."""
    for stage, tries in tried.items():
        works = [name for name, fault in tries.items() if fault is None]
        if works:
            yield Finding("encoders", stage, "ok", f"{stage} was tried, and works: {', '.join(works)}")
        for name, fault in tries.items():
            if fault is not None:
                said, mend = _split(fault)
                otherwise = (
                    pip_command("install -U --force-reinstall imageio-ffmpeg") + "  # and unset IMAGEIO_FFMPEG_EXE"
                )
                yield Finding("encoders", name, "warning" if works else "error", f"{name}: {said}", mend or otherwise)


def _split(lack: str) -> tuple[str, str]:
    """What is lacking, and the command, as stages say both: ``weights missing: framedaemon models pull x``."""
    for word in ("framedaemon ", "pip install", "unset "):
        before, found, after = lack.partition(word)
        if found and before.rstrip(" :;,`('\""):
            return before.rstrip(" :;,`('\""), _command(f"{found}{after}".rstrip("`)"))
    return lack, ""


def _command(words: str) -> str:
    """What stands between backticks, if anything does; what else may be done is put behind the command."""
    command, *others = re.split(", (?=or |with )", words.split("`")[1] if words.count("`") >= 2 else words, maxsplit=1)
    if command.startswith("pip "):
        command = pip_command(command.removeprefix("pip "))
    return "  # ".join([command, *others])
