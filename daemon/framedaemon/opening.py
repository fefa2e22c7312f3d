"""What was dropped, opened and understood: a picture, footage, or a refusal that says why.

    path ─▶ open_safely ─▶ identify (first bytes) ─┬▶ pictures.read_picture ─▶ Picture
                                                   ├▶ footage.read_footage  ─▶ Footage
                                                   └▶ JobRejected, naming what it is

Content decides, never the name. Runs in a process that may be killed; by itself it stays below about 1 GB
whatever the file holds, because sizes are read from headers and refused before a pixel is decoded.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from framedaemon.errors import JobRejected
from framedaemon.formats import HEAD_BYTES, Format, identify
from framedaemon.naming import show
from framedaemon.sources import Picture, Source


@dataclass(frozen=True, slots=True)
class Limits:
    """What a dropped file may be."""

    max_pixels: int = 100_000_000
    """Width times height of a picture, or of one frame of a video."""
    min_side: int = 16
    """Pixels of the shorter side."""
    background: tuple[int, int, int] = (0, 0, 0)
    """sRGB, 0..255: what shows through where a picture is transparent."""

    def check(self, width: int, height: int, name: str) -> None:
        """Raises JobRejected, saying what is allowed, for a size outside the limits."""
        if min(width, height) < self.min_side:
            raise JobRejected(
                f"{name} is {width}x{height} pixels: too small, each side needs at least {self.min_side}. "
                "Drop the original instead of an icon or a thumbnail."
            )
        if width * height > self.max_pixels:
            raise JobRejected(
                f"{name} is {width}x{height} pixels, {width * height / 1e6:,.1f} million: "
                f"the limit is {self.max_pixels / 1e6:,.1f} million. Save a smaller copy and drop that."
            )


def open_source(path: Path, name: str, limits: Limits) -> Source:
    """The picture or footage that the file at ``path`` holds.

    name: what the person called it, for messages.  path: where it lies now; its folder is trusted, the file is not.
    Raises JobRejected, in words for the person who dropped it, for anything that cannot become a video.
    """
    from framedaemon import footage, pictures  # Pillow and PyAV load with the first file, not with the daemon

    name = show(name)
    with open_safely(path, name) as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        found = identify(head)
        if found.kind == "picture":
            return pictures.read_picture(file, found, name, limits)
        if found.kind == "footage":
            return footage.read_footage(file, found, path, name, limits)
        raise JobRejected(_refuse(found, name))


def open_ending(source: Source, path: Path, name: str, limits: Limits) -> Source:
    """``source`` with the picture that its clip is to end with, opened as any other. Raises as `open_source` does."""
    last = open_source(path, name, limits)
    if not isinstance(last, Picture):
        raise JobRejected(
            f"{show(name)} is a video: what a clip is to end with is a picture. Take it away, or rename it."
        )
    notes = (*source.notes, *(f"{show(name)}: {note}" for note in last.notes))
    if not isinstance(source, Picture):
        return replace(
            source, notes=(*notes, f"{show(name)} has no use: only a clip of a picture may end with another")
        )
    return replace(source, notes=notes, last=last.pixels)


def open_safely(path: Path, name: str) -> BinaryIO:
    """A regular, non-empty file, open for reading; never follows a link, never waits for a pipe.

    Raises JobRejected otherwise.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if path.is_symlink():
            raise JobRejected(f"{name} is a link, not a file: drop the file itself.") from error
        raise JobRejected(f"{name} cannot be opened: {error.strerror}. Check the file's permissions.") from error
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_size > 0:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISREG(facts.st_mode):
        raise JobRejected(f"{name} is empty: the copy may have failed. Drop it again.")
    raise JobRejected(f"{name} is not a regular file: drop a picture or a video.")


def _refuse(found: Format, name: str) -> str:
    advice = found.advice or "Save it as JPEG or PNG and drop that."
    return f"{name} is {found.label}, which cannot be read here. {advice}"
