"""Which TOML file of a folder belongs to which picture, by name alone.

``photo.jpg.toml`` belongs to ``photo.jpg``; ``photo.toml`` to every picture of that stem which has none of its own.
The suffix may be in capitals. ``defaults.toml`` belongs to the folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

SUFFIX = ".toml"
FOLDER_DEFAULTS = "defaults.toml"


class Pair(NamedTuple):
    """A picture's sidecar, or why it cannot be told which one it is."""

    sidecar: str | None
    refusal: str | None = None


def is_sidecar(name: str) -> bool:
    """Whether ``name`` is that of a sidecar, whatever it belongs to."""
    return name[-len(SUFFIX) :].lower() == SUFFIX and name.lower() != FOLDER_DEFAULTS


def find_sidecar(picture: str, names: Iterable[str]) -> Pair:
    """The sidecar of ``picture`` among ``names``, all the files of its folder."""
    return pair_up([picture, *names])[picture]


def pair_up(names: Iterable[str]) -> dict[str, Pair]:
    """For each name that is not a TOML file's: its sidecar among ``names``, the files of one folder."""
    names = list(names)
    toml = {name for name in names if name[-len(SUFFIX) :].lower() == SUFFIX}
    if not toml:
        return dict.fromkeys(names, Pair(None))
    sidecars: dict[str, list[str]] = {}
    for name in filter(is_sidecar, toml):
        sidecars.setdefault(name[: -len(SUFFIX)], []).append(name)
    pictures = {name: name.rpartition(".")[0] or name for name in names if name not in toml}
    needed = {stem for name, stem in pictures.items() if name not in sidecars}
    return {name: _choose(name, stem, sidecars, stem in needed) for name, stem in pictures.items()}


def _choose(name: str, stem: str, sidecars: dict[str, list[str]], needed: bool) -> Pair:
    """``needed``: whether another picture takes the stem's sidecar."""
    own, common = sidecars.get(name, []), sidecars.get(stem, []) if stem != name else []
    rivals = sorted(own) + ([] if own and needed else sorted(common))
    if len(rivals) > 1:
        return Pair(rivals[0], f"has several sidecars, {' and '.join(rivals)}; keep one of them")
    return Pair(rivals[0] if rivals else None)
