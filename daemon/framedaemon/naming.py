"""Names of files: made safe for every system, numbered when taken, shown without surprises.

A name that was dropped is any bytes but "/" and NUL: not UTF-8, newlines, a leading dash, right-to-left marks.
Inside framedaemon it is text with Python's surrogate escapes; only what this module makes goes into output/.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath, PurePosixPath

MAX_BYTES = 200
"""Of an output's stem in UTF-8; leaves room in 255 for a number, a suffix and the copies that systems make."""
WAITING, APPROVED = "waiting", "approved"
"""Folders of input/ for pictures whose preview is there: as long as nobody has seen it, and from then on."""
PREVIEW = ".preview"
"""Ends the stem of a preview: ``photo.preview.mp4``."""
_NAME_MAX = 255
_EMPTY = "picture"
_LOGS = "logs"  # output/logs/ is the daemon's own

# Embeddings, overrides, isolates and marks that make a name read other than it is written (UAX #9).
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_FORBIDDEN = re.compile(rf'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u2028\u2029\ufeff\ud800-\udfff{_BIDI}]')
# Names that Windows keeps for devices, with or without a suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\..*)?", re.IGNORECASE)
_JOINERS = "\u200c\u200d"  # in Persian words and in emoji: not printable, and harmless


def output_stem(name: str) -> str:
    """What the video of the picture ``name`` is called, without suffix: safe on every system, never empty."""
    stem = name if name.startswith(".") and name.count(".") == 1 else name.rpartition(".")[0] or name
    return safe_name(stem)


def output_path(name: str) -> PurePosixPath:
    """Where in output/ the video of ``name`` (relative to input/) goes, without suffix: sub-folders are mirrored."""
    *folders, last = mirrored(name).parts or ("",)
    top, *below = [*(safe_name(folder) for folder in folders), output_stem(last)]
    return PurePosixPath(f"_{top}" if top.lower() == _LOGS else top, *below)


def mirrored(name: str) -> PurePosixPath:
    """Where in input/ a picture belongs that lies at ``name``: the folders of `WAITING` and `APPROVED` are no part."""
    path = PurePosixPath(name)
    ours = len(path.parts) > 1 and path.parts[0] in (WAITING, APPROVED)
    return path.relative_to(path.parts[0]) if ours else path


def safe_name(name: str) -> str:
    """``name`` as every system takes it: NFC, no control characters, none of ``/\\:*?"<>|``, at most 200 bytes."""
    text = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", _FORBIDDEN.sub("_", name)))
    text = text.lstrip(" .-")
    if _RESERVED.fullmatch(text):
        text = f"_{text}"
    return _cut(text, MAX_BYTES).rstrip(" .") or _EMPTY


def numbered(stem: str, n: int) -> str:
    """``stem`` for n = 1, ``stem-2`` for 2, and so on."""
    return stem if n == 1 else f"{stem}-{n}"


def show(name: str | PurePath) -> str:
    """``name`` on one line for people and logs: what does not print, or turns the line round, is escaped."""
    return "".join(_show_character(c) for c in str(name))


def free_path(folder: Path, name: str) -> Path:
    """Where ``name`` fits into ``folder`` without touching what is there: ``photo.jpg``, else ``photo-2.jpg``."""
    stem, dot, suffix = name.rpartition(".")
    return free_paths(folder, stem, [dot + suffix])[0] if stem else free_paths(folder, name, [""])[0]


def free_paths(folder: Path, stem: str, endings: Iterable[str]) -> tuple[Path, ...]:
    """Free places for files that belong together: ``photo`` with ``.jpg``, ``.jpg.toml`` and ``.error.txt``.

    All get the same number, so that the sidecar still belongs to its picture. A stem too long for its endings is cut.
    """
    endings = tuple(endings)

    def paths(n: int) -> tuple[Path, ...]:
        fitting = _shorten(stem, numbered("", n), endings)
        return tuple(folder / f"{numbered(fitting, n)}{ending}" for ending in endings)

    return paths(first_free(lambda n: any(os.path.lexists(path) for path in paths(n))))


def first_free(taken: Callable[[int], bool]) -> int:
    """The first number, from 1, that is not taken; where those that are have gaps, one that is free.

    Asks some 2 log2(n) times: ten thousand files of one name must not cost fifty million looks.
    """
    last, n = 0, 1
    while taken(n):
        last, n = n, 2 * n
    while n - last > 1:
        middle = (last + n) // 2
        last, n = (middle, n) if taken(middle) else (last, middle)
    return n


def _shorten(stem: str, number: str, endings: tuple[str, ...]) -> str:
    room = _NAME_MAX - max((len(os.fsencode(f"{number}{ending}")) for ending in endings), default=0)
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem


def _cut(text: str, limit: int) -> str:
    """The longest beginning of ``text`` that fits in ``limit`` UTF-8 bytes and splits no accent from its letter."""
    kept = text.encode()[:limit].decode(errors="ignore")
    while len(kept) < len(text) and kept and unicodedata.combining(text[len(kept)]):
        kept = kept[:-1]
    return kept


def _show_character(c: str) -> str:
    if c.isprintable() or c in _JOINERS:
        return c
    if "\udc80" <= c <= "\udcff":  # one byte that was not UTF-8
        return f"\\x{ord(c) - 0xDC00:02x}"
    return (
        c.encode("unicode_escape", "surrogatepass").decode()
        if ord(c) < 0xD800 or ord(c) > 0xDFFF
        else f"\\u{ord(c):04x}"
    )
