"""Writes a new plugin for its author to go on from: an installable package with its tests, or a single file.

What is written stands in `yours`, as files that work and are tested; only the names in them change.
"""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from framedaemon.errors import FramedaemonError
from framedaemon.naming import show

PluginKind: TypeAlias = Literal["generator", "interpolator", "encoder", "policy", "observer"]
KINDS: tuple[PluginKind, ...] = get_args(PluginKind)

STAGE_OF: dict[PluginKind, str] = {"generator": "generate", "interpolator": "interpolate", "encoder": "encode"}
"""The table of a recipe that names the stage."""

_FROM = files("framedaemon") / "yours"
_RESERVED = ("auto", "none", "framedaemon", "yours")


def check_name(name: str) -> str:
    """``name``, if it can be that of a plugin, its module and its stage. Raises FramedaemonError."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,29}", name):
        raise FramedaemonError(
            f"{show(name)} is no name for a plugin: lower-case letters, digits and _, at most 30, the first a letter"
        )
    if name in _RESERVED or keyword.iskeyword(name):
        raise FramedaemonError(f"{name} means something else already: choose another name")
    return name


def write_package(name: str, kind: PluginKind, into: Path, version: str) -> Path:
    """The folder of a new package in ``into``; ``version``: of framedaemon, the oldest that it works with.

    Raises FramedaemonError where something is there already.
    """
    root = into / f"framedaemon-{name}"
    if root.exists() or root.is_symlink():
        raise FramedaemonError(f"{show(root)} is there already, and stays as it is: choose another name")
    source = root / "src" / f"framedaemon_{name}"
    texts = {
        root / "pyproject.toml": _text("package.toml", name, kind).replace("{version}", version),
        root / "README.md": _readme(name, kind),
        root / ".gitignore": _text("gitignore", name, kind),
        source / "__init__.py": _text(f"{kind}.py", name, kind),
        source / "py.typed": "",
        root / "tests" / f"test_{name}.py": _text(f"test_{kind}.py", name, kind),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def write_drop_in(name: str, kind: PluginKind, into: Path) -> Path:
    """The new file in ``into``, which nobody else may write to. Raises FramedaemonError where one is there already."""
    path = into / f"{name}.py"
    into.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_text(f"{kind}.py", name, kind))
    except FileExistsError:
        raise FramedaemonError(f"{show(path)} is there already, and stays as it is: choose another name") from None
    path.chmod(0o644)
    return path


def how_to_try(name: str, kind: PluginKind) -> str:
    """The command that shows what a new plugin does."""
    if kind == "policy":
        return "framedaemon explain photo.jpg"
    if kind == "observer":
        return f"framedaemon once; cat {name}.txt"
    suffix = "mkv" if kind == "encoder" else "mp4"
    chosen = f"--set encode.use={name}" if kind == "encoder" else f"--{STAGE_OF[kind]} {name}"
    return f"framedaemon render photo.jpg {chosen} -o try.{suffix}"


def _readme(name: str, kind: PluginKind) -> str:
    recipe = f'[{STAGE_OF[kind]}]\nuse = "{name}"\n' if kind in STAGE_OF else ""
    shown = f"\nA recipe names it:\n\n```toml\n{recipe}```\n" if recipe else ""
    about = {"policy": "A memory policy", "observer": "An observer", "encoder": "An encoder"}
    words = about.get(kind, f"{'An' if kind[0] in 'aeio' else 'A'} {kind}")
    text = _text("readme.md", name, kind).replace("{about}", words).replace("{try}", how_to_try(name, kind))
    return text.replace("{kind}", words.partition(" ")[2]).replace("{recipe}", shown)


def _text(file: str, name: str, kind: PluginKind) -> str:
    """A file of `yours`, by the author's name."""
    text = (_FROM / file).read_text(encoding="utf-8")
    text = text.replace(f"framedaemon.yours.{kind}", f"framedaemon_{name}")
    return text.replace("yours", name).replace("Yours", _class_of(name))


def _class_of(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
