"""A contact sheet: frames of a finished video, evenly spread over it, side by side in one JPEG.

The video is read from its beginning to its end, and of each frame that is wanted only its small copy is kept: memory
does not grow with the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path

from PIL import Image

from framedaemon.readback import pixels_of
from framedaemon.stages import VideoSpec

COLUMNS, ROWS = 3, 3

# Pixels. Three side by side fit a screen; a frame is never made larger than it is.
_WIDEST = 480
_GAP = 8
_GROUND = (24, 24, 24)
_QUALITY = 90


def spread(frames: int) -> tuple[int, ...]:
    """The numbers of the frames to be shown: at most nine, the first and the last among them."""
    count = min(frames, COLUMNS * ROWS)
    return tuple(round(Fraction(k * (frames - 1), max(1, count - 1))) for k in range(count))


def make_sheet(video: Path, spec: VideoSpec, sheet: Path, report: Callable[[int, int], None]) -> None:
    """Write the contact sheet of ``video``, which is as ``spec`` says, as ``sheet``.

    ``report``: told how many frames were passed, of how many. Raises Unreadable where a frame does not decode.
    """
    cells = list(_small(video, spec, report))
    width, height = cells[0].size
    columns, rows = min(COLUMNS, len(cells)), ceil(len(cells) / COLUMNS)
    page = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP), _GROUND)
    for k, cell in enumerate(cells):
        page.paste(cell, (_GAP + k % COLUMNS * (width + _GAP), _GAP + k // COLUMNS * (height + _GAP)))
    page.save(sheet, "JPEG", quality=_QUALITY, subsampling=0)


def _small(video: Path, spec: VideoSpec, report: Callable[[int, int], None]) -> Iterator[Image.Image]:
    wanted = set(spread(spec.frames))
    scale = min(1.0, _WIDEST / spec.width, _WIDEST / spec.height)
    size = max(1, round(spec.width * scale)), max(1, round(spec.height * scale))
    for number, pixels in enumerate(pixels_of(video, spec.fps)):
        if number in wanted:
            yield Image.fromarray(pixels()).resize(size, Image.Resampling.LANCZOS)
        report(number + 1, spec.frames)
