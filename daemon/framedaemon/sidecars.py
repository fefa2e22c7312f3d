"""Which files of a folder belong to which picture, by name alone: its sidecar, and the picture that it is to end with.

``photo.jpg.toml`` belongs to ``photo.jpg``; ``photo.toml`` to every picture of that stem which has none of its own.
``photo.jpg.last.png`` and ``photo.last.png`` likewise. What ends the name may be in capitals. ``defaults.toml`` belongs
to the folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SUFFIX = ".toml"
FOLDER_DEFAULTS = "defaults.toml"

# Of pictures only: ``party.last.mp4`` beside ``party.mp4`` is one more video.
_PICTURES = r"jpe?g|jpe|jfif|mpo|a?png|webp|avif|gif|tiff?|bmp|dib|p[npgb]m|jp2|j2k|jpx|hei[cf]"
_LAST = re.compile(rf"(.+)\.last\.(?:{_PICTURES})", re.IGNORECASE | re.DOTALL)


class Pair(NamedTuple):
    """What belongs to a picture, or why it cannot be told which one does."""

    sidecar: str | None
    refusal: str | None = None
    last: str | None = None
    """The picture that it is to end with."""

    @property
    def beside(self) -> tuple[str, ...]:
        """All that is there."""
        return tuple(name for name in (self.sidecar, self.last) if name is not None)


def is_sidecar(name: str) -> bool:
    """Whether ``name`` is that of a sidecar, whatever it belongs to."""
    return name[-len(SUFFIX) :].lower() == SUFFIX and name.lower() != FOLDER_DEFAULTS


def is_last(name: str) -> bool:
    """Whether ``name`` is that of a picture that another one is to end with."""
    return ".last." in name.lower() and _LAST.fullmatch(name) is not None


def owner_of(name: str) -> str | None:
    """What the picture is called, with or without its suffix, that ``name`` belongs to; None for a picture's own."""
    if is_sidecar(name):
        return name[: -len(SUFFIX)]
    last = _LAST.fullmatch(name) if is_last(name) else None
    return last[1] if last is not None else None


def pair_of(picture: str, names: Iterable[str]) -> Pair:
    """What belongs to ``picture`` among ``names``, all the files of its folder. Not for one that `is_last` itself."""
    return pair_up([picture, *names])[picture]


def pair_up(names: Iterable[str]) -> dict[str, Pair]:
    """For each name that is a picture's own: what belongs to it among ``names``, the files of one folder."""
    names = list(names)
    toml = {name for name in names if name[-len(SUFFIX) :].lower() == SUFFIX}
    lasts = {name for name in names if is_last(name)}
    if not toml and not lasts:
        return dict.fromkeys(names, Pair(None))
    pictures = {name: name.rpartition(".")[0] or name for name in names if name not in toml and name not in lasts}
    sidecars, ends = _assign(pictures, filter(is_sidecar, toml)), _assign(pictures, lasts)
    return {name: _pair(sidecars.get(name, ()), ends.get(name, ())) for name in pictures}


def _assign(pictures: Mapping[str, str], names: Iterable[str]) -> dict[str, list[str]]:
    """Those of ``names`` that belong to each picture; more than one are rivals. ``pictures``: their names and stems."""
    owned: dict[str, list[str]] = {}
    for name in sorted(names):
        owned.setdefault(owner_of(name) or "", []).append(name)
    if not owned:
        return {}
    needed = {stem for name, stem in pictures.items() if name not in owned}
    return {name: _rivals(name, stem, owned, stem in needed) for name, stem in pictures.items()}


def _rivals(name: str, stem: str, owned: Mapping[str, list[str]], needed: bool) -> list[str]:
    """``needed``: whether another picture takes what belongs to the stem."""
    own, common = owned.get(name, []), owned.get(stem, []) if stem != name else []
    return own + ([] if own and needed else common)


def _pair(sidecars: Sequence[str], lasts: Sequence[str]) -> Pair:
    refusals = [
        f"has several {what}, {' and '.join(names)}; keep one of them"
        for what, names in (("sidecars", sidecars), ("last pictures", lasts))
        if len(names) > 1
    ]
    return Pair(sidecars[0] if sidecars else None, "; ".join(refusals) or None, lasts[0] if lasts else None)
