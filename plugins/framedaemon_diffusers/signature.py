"""What a pipeline's call takes, read from the source of the installed diffusers.

Neither diffusers nor torch is imported: a clip is promised where neither is loaded. Where the pipeline is loaded, the
same is asked of the class itself.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a call."""

    defaults: Mapping[str, Any]
    """By name; None where the default is no plain number, word or truth."""
    needed: tuple[str, ...]
    """Those without a default."""

    def __contains__(self, name: str) -> bool:
        return name in self.defaults or name in self.needed

    def first(self, *names: str) -> str | None:
        """The first of ``names`` that the call takes."""
        return next((name for name in names if name in self), None)

    def number(self, *names: str) -> float | None:
        """The default of the first of ``names`` that the call takes, where that is a number."""
        name = self.first(*names)
        value = None if name is None else self.defaults.get(name)
        return value if isinstance(value, int | float) else None


def signature_of(pipeline: type) -> Signature:
    """What a class that was loaded takes."""
    defaults, needed = {}, []
    for name, parameter in list(inspect.signature(pipeline.__call__).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty:
            needed.append(name)
        else:
            defaults[name] = parameter.default if isinstance(parameter.default, int | float | str) else None
    return Signature(defaults, tuple(needed))


def read_signature(name: str) -> Signature | None:
    """What the pipeline class ``name`` takes; None where the installed diffusers has no such class.

    Read once in a process: hundreds of files are looked through.
    """
    spec = find_spec("diffusers")
    if spec is None or not spec.submodule_search_locations:
        return None
    return _read(Path(next(iter(spec.submodule_search_locations))) / "pipelines", name)


@lru_cache(maxsize=64)
def _read(folder: Path, name: str) -> Signature | None:
    found = _class(folder, name)
    while found is not None:
        call = next((one for one in found.body if isinstance(one, ast.FunctionDef) and one.name == "__call__"), None)
        if call is not None:
            return _signature(call.args)
        bases = (base.id for base in found.bases if isinstance(base, ast.Name))
        found = next((one for one in (_class(folder, base) for base in bases) if one is not None), None)
    return None


def _class(folder: Path, name: str) -> ast.ClassDef | None:
    for path in _sources(folder):
        source = path.read_text(encoding="utf-8")
        if f"\nclass {name}(" in source:
            body = ast.parse(source).body
            return next((one for one in body if isinstance(one, ast.ClassDef) and one.name == name), None)
    return None


def _sources(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("pipeline_*.py"))


def _signature(arguments: ast.arguments) -> Signature:
    taken = [*arguments.posonlyargs, *arguments.args][1:]
    given = [None] * (len(taken) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(taken, given, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    defaults = {argument.arg: _plain(default) for argument, default in pairs if default is not None}
    return Signature(defaults, tuple(argument.arg for argument, default in pairs if default is None))


def _plain(default: ast.expr) -> Any:
    try:
        value = ast.literal_eval(default)
    except ValueError:
        return None
    return value if isinstance(value, int | float | str) else None
