"""Whether the frames themselves are ones that a video may have: not blank where the source is not, and not all one.

What a network leaves behind when it breaks down is NaN, which as pixels is one flat colour, mostly black. Flat frames
can be honest (a fade, a white wall that the camera comes close to), so it is the way they come about that is judged.
These rules would rather miss a fault than refuse an honest clip: see docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import cv2
import numpy as np
import numpy.typing as npt

from framedaemon.fingerprint import GRID, LUMA, Fingerprint, Fingerprints, colour_of, distance
from framedaemon.sources import Picture, Source

# Levels of spread: below the first a frame is of one colour, above the second it is a picture of something.
_FLAT = 0.5
_DETAILED = 4.0
# Levels of luma up to which a flat frame is called black.
_BLACK = 8.0
# The share of a picture's pixels that have a colour, within so many levels, from which on a camera that came close may
# see nothing else: 1/25, for it comes as close as 1/5 of each side. More for black, since that is what NaN looks like.
_SAME = 3.0
_COMMON = 0.04
_COMMON_BLACK = 0.5
# Levels. A frame that comes out of nothing is further than this, and so many usual steps, from its neighbour.
_LEAP = 4.0
_LEAP_STEPS = 5.0
# A blank frame that lies between two sources is further from their mean than a blend of them could be.
_STRANGE = 16.0
# Levels from one of 64 columns or rows to the next: then a move by 1/100 of a picture's side cannot go unseen.
_LIVELY = 3.0


def blank_frames(streamed: Fingerprints, source: Source, sources_at: Sequence[tuple[int, int]]) -> list[int]:
    """Frames of one flat colour that nothing in the source accounts for.

    sources_at: (output frame, source frame) for each that is an untouched source frame.
    """
    flat = {index for index in range(len(streamed)) if streamed.spread(index) < _FLAT}
    if not flat:
        return []
    sources = [frame for frame, _ in sources_at]
    if not isinstance(source, Picture):
        return _between_detailed(streamed, flat, sources)
    if len(flat) == len(streamed):
        blank = flat
    else:  # what is filled in leads gently to a blank source frame and away again: sources are judged by themselves too
        blank = {*_out_of_nothing(streamed, flat, range(len(streamed))), *_out_of_nothing(streamed, flat, sources)}
        blank |= {*_between_detailed(streamed, flat, sources)}
    return [index for index in sorted(blank) if not _is_common(streamed, index, source)]


def is_black(streamed: Fingerprints, index: int) -> bool:
    """Whether a blank frame is black; NaN leaves other flat colours as well."""
    return float(streamed[index][:LUMA].mean()) <= _BLACK


def stands_still(streamed: Fingerprints, source: Source) -> bool:
    """Whether a clip drawn from a picture never moves, although any move over what it shows would be seen."""
    if len(streamed) < 2 or not isinstance(source, Picture):
        return False
    if any(streamed.moved(index) for index in range(1, len(streamed))):
        return False
    small = cv2.resize(source.pixels, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    shown = streamed[0][:LUMA].reshape(GRID, GRID)
    return _liveliness(small) > _LIVELY and _liveliness(shown) > _LIVELY


def _between_detailed(streamed: Fingerprints, flat: set[int], sources: Sequence[int]) -> list[int]:
    """Flat filled-in frames between two sources that both show something, and whose blend they are not."""
    blank = []
    for before, after in pairwise(sources):
        filled = [index for index in range(before + 1, after) if index in flat]
        if not filled or min(streamed.spread(before), streamed.spread(after)) < _DETAILED:
            continue
        mean = (streamed[before] + streamed[after]) / np.float32(2)
        blank += [index for index in filled if distance(streamed[index], mean) > _STRANGE]
    return blank


def _out_of_nothing(streamed: Fingerprints, flat: set[int], frames: Sequence[int]) -> list[int]:
    """Those of ``frames`` in runs of flat ones that begin or end with a leap such as ``frames`` have not elsewhere.

    With fewer than three frames there is nothing to tell a leap from the camera's own pace.
    """
    if len(frames) < 3:
        return []
    shown = [streamed[index] for index in frames]
    blank = {place for place, index in enumerate(frames) if index in flat}
    usual = _usual_step(shown, blank)
    found: list[int] = []
    for first, last in _runs(blank):
        if _leaps(shown, first, -1, blank, usual) or _leaps(shown, last, 1, blank, usual):
            found += [frames[place] for place in range(first, last + 1)]
    return found


def _runs(numbers: set[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of successive numbers."""
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda item: item[1] - item[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]


def _usual_step(shown: Sequence[Fingerprint], flat: set[int]) -> float:
    """The median distance between neighbours that are not flat; 0 where there are none."""
    steps = [
        distance(shown[index - 1], shown[index])
        for index in range(1, len(shown))
        if index not in flat and index - 1 not in flat
    ]
    return float(np.median(steps)) if steps else 0.0


def _leaps(shown: Sequence[Fingerprint], blank: int, way: int, flat: set[int], usual: float) -> bool:
    """Whether a flat frame is much further from its neighbour that way than that is from the next, as in no fade."""
    neighbour, beyond = blank + way, blank + 2 * way
    if not 0 <= neighbour < len(shown):
        return False
    pace = 0.0
    if 0 <= beyond < len(shown) and beyond not in flat:
        pace = distance(shown[neighbour], shown[beyond])
    return distance(shown[blank], shown[neighbour]) > max(_LEAP, _LEAP_STEPS * max(usual, pace))


def _is_common(streamed: Fingerprints, index: int, picture: Picture) -> bool:
    """Whether the picture itself has much of a flat frame's colour."""
    sample = picture.pixels[::2, ::2].astype(np.float32)
    off = np.abs(sample - colour_of(streamed[index]).astype(np.float32)).max(axis=2)
    share = float((off <= _SAME).mean())
    return share >= (_COMMON_BLACK if is_black(streamed, index) else _COMMON)


def _liveliness(cells: npt.NDArray[np.float32]) -> float:
    """The mean difference between neighbours, along rows or along columns, whichever is less."""
    return min(float(np.abs(np.diff(cells, axis=axis)).mean()) for axis in (0, 1))
