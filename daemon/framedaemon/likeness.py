"""Whether a decoded video shows what was streamed into its encoder: frame for frame, in that order, in those colours.

A codec's error is not known beforehand: at its default quality fingerprints come back within 0.5 levels, at its worst
within 9, and on very small frames further off. So the file is mostly held against itself. A frame is in the wrong
place when it is far nearer to a neighbour's fingerprint than to its own; colours are wrong when one of the known
mistakes explains nearly all of the difference. Only a frame beyond all a codec may do is wrong by itself.
docs/quality.md has the measurements behind every number here.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import sqrt

import numpy as np
import numpy.typing as npt

from framedaemon.fingerprint import GRID, LUMA, Fingerprint, Fingerprints, distance, matrix_between

# How far to both sides a misplaced frame is looked for.
_REACH = 2
# A frame is misplaced when another's fingerprint is nearer than half as far as its own, and its own further off than
# so many times the file's usual error. Honest files stay below 3.3 and 1.6; docs/quality.md says how they were tried.
_MISPLACED = 4.0
_REVERSED = 2.5
# Levels; what a file without any error is taken to have, so that rounding is never judged.
_LEAST_ERROR = 0.05
# Beyond this no picture is like another, whatever the codec's quality.
_UNLIKE = 16.0
_EXPLAINED = 0.15
_COLOUR_ERROR = 0.6


def tolerance(width: int, height: int) -> float:
    """Levels that a fingerprint may be off where codecs are at their worst: the fewer pixels a cell has, the more."""
    return 4.0 + 125.0 / sqrt(max(1.0, width * height / LUMA))


class Likeness:
    """Compares decoded frames with the streamed ones as they come; holds five numbers a frame."""

    def __init__(self, streamed: Fingerprints) -> None:
        self.seen = 0
        self._streamed = streamed
        self._tolerance = tolerance(streamed.width, streamed.height)
        self._own, self._nearest, self._offset = array("f"), array("f"), array("b")
        self._forward, self._backward = array("f"), array("f")
        self._last: Fingerprint | None = None
        self._anchor: tuple[int, Fingerprint] | None = None
        self._frozen: list[int] = []
        self._moments = np.zeros((7, 7))

    def see(self, decoded: Fingerprint) -> None:
        """Take the next decoded frame. Frames beyond the streamed ones are counted and not looked at."""
        index = self.seen
        self.seen += 1
        if index >= len(self._streamed):
            return
        first = max(0, index - _REACH)
        around = self._streamed.between(first, index + _REACH + 1)
        own = index - first
        self._place(np.sqrt(np.square(around - decoded).mean(axis=1)), own)
        if self._last is not None:
            moved, streamed = decoded - self._last, around[own] - around[own - 1]
            self._forward.append(distance(moved, streamed))
            self._backward.append(distance(moved, -streamed))
        self._follow(index, decoded, around[own])
        colours = np.concatenate([_coarse(decoded), _coarse(around[own]), _ONES])
        self._moments += colours @ colours.T
        self._last = decoded

    def wrong_content(self) -> list[str]:
        """Frames that show something else, or what belongs elsewhere."""
        if not self._own:
            return []
        own, nearest, offsets = np.array(self._own), np.array(self._nearest), np.array(self._offset)
        usual = float(np.percentile(nearest, 75))
        limit = max(self._tolerance, min(_UNLIKE, 3 * usual))
        misplaced = (nearest < 0.5 * own) & (own > _MISPLACED * (usual + _LEAST_ERROR)) & (offsets != 0)
        unlike = (own > limit) & ~misplaced
        problems = []
        if misplaced.any():
            at = int(np.flatnonzero(misplaced)[0])
            problems.append(
                f"{name_frames(np.flatnonzero(misplaced))} in the wrong place: frame {at} shows what belongs to "
                f"frame {at + int(offsets[at])}"
            )
        if unlike.any():
            worst = int(own.argmax())
            problems.append(
                f"{name_frames(np.flatnonzero(unlike))} not what was encoded: frame {worst} is {own[worst]:.1f} levels "
                f"off, a codec's error is at most {limit:.1f}"
            )
        if not misplaced.any() and (swapped := self._swapped()):
            problems.append(f"frames {swapped[0]} and {swapped[0] + 1} are swapped ({_count(swapped)})")
        return problems

    def wrong_colours(self) -> list[str]:
        """The mistake in colours that explains what the frames differ by."""
        if not self._own:
            return []
        as_it_is = _left(self._moments, np.eye(3), np.zeros(3))
        otherwise = [_left(self._moments, turn, shift) for turn, shift in _MISTAKES.values()]
        best = int(np.argmin(otherwise))
        if as_it_is < _COLOUR_ERROR**2 or otherwise[best] > _EXPLAINED * as_it_is:
            return []
        return [f"colours are {sqrt(as_it_is):.1f} levels off, as when {list(_MISTAKES)[best]}"]

    def frozen(self) -> list[str]:
        """Where the file stands still while the streamed frames moved."""
        return [f"{name_frames(self._frozen)} frozen while the frames that were encoded move"] if self._frozen else []

    def errors(self) -> dict[str, float]:
        """How the file did, in levels, for the receipt: its usual error and its worst frame."""
        if not self._own:
            return {}
        return {
            "usual_error_levels": round(float(np.percentile(self._own, 75)), 3),
            "worst_error_levels": round(max(self._own), 3),
        }

    def _place(self, distances: npt.NDArray[np.float32], own: int) -> None:
        nearest = int(distances.argmin())
        self._own.append(distances[own])
        self._nearest.append(distances[nearest])
        self._offset.append(nearest - own)

    def _swapped(self) -> list[int]:
        """First frames of pairs between which the file moves backwards."""
        forward, backward = np.array(self._forward), np.array(self._backward)
        if not len(forward):
            return []
        usual = float(np.percentile(np.minimum(forward, backward), 75))
        reverse = (backward < 0.5 * forward) & (forward > _REVERSED * (usual + _LEAST_ERROR))
        return [int(index) for index in np.flatnonzero(reverse)]

    def _follow(self, index: int, decoded: Fingerprint, streamed: Fingerprint) -> None:
        """Whenever the stream has moved clearly away from where it was, the file must have moved as well."""
        if self._anchor is None:
            self._anchor = (index, decoded)
            return
        start, there = self._anchor
        gone = distance(streamed, self._streamed[start])
        if gone < self._tolerance:
            return
        if distance(decoded, there) < 0.25 * gone:
            self._frozen += range(start + 1, index + 1)
        self._anchor = (index, decoded)


def name_frames(numbers: Iterable[int]) -> str:
    """``frame 7 is``, ``frames 7, 9 and 12 are``, ``frames 7..190 (44 of them) are``."""
    found = [int(number) for number in numbers]
    if len(found) == 1:
        return f"frame {found[0]} is"
    if len(found) <= 3:
        return f"frames {', '.join(map(str, found[:-1]))} and {found[-1]} are"
    return f"frames {found[0]}..{found[-1]} ({len(found)} of them) are"


def _count(pairs: list[int]) -> str:
    return "1 such pair" if len(pairs) == 1 else f"{len(pairs)} such pairs"


def _coarse(fingerprint: Fingerprint) -> npt.NDArray[np.float64]:
    """(3, 16): Y', Cb and Cr of the coarse cells."""
    half = GRID // 2
    luma = fingerprint[:LUMA].reshape(half, 2, half, 2).sum(axis=(1, 3), dtype=np.float64).reshape(1, -1) / 4
    return np.concatenate([luma, fingerprint[LUMA:].reshape(2, -1)])


def _left(moments: npt.NDArray[np.float64], turn: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]) -> float:
    """The mean square of ``turn`` @ decoded + ``shift`` - streamed.

    moments: the sum of products of (decoded Y', Cb, Cr, streamed Y', Cb, Cr, 1) over all that was compared.
    """
    rows = np.hstack([turn, -np.eye(3), shift[:, None]])
    return float(np.trace(rows @ moments @ rows.T) / (3 * moments[6, 6]))


_ONES = np.ones((1, (GRID // 2) ** 2))

# What takes each mistake back, on (Y', Cb, Cr): a matrix, and what is then added.
_MISTAKES: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = {
    "BT.601's matrix is used and BT.709's is meant": (matrix_between("bt601", "bt709"), np.zeros(3)),
    "full range is written and limited range is meant": (
        np.diag([219 / 255, 224 / 255, 224 / 255]),
        np.array([16.0, 0.0, 0.0]),
    ),
    "limited range is written and full range is meant": (
        np.diag([255 / 219, 255 / 224, 255 / 224]),
        np.array([-16 * 255 / 219, 0.0, 0.0]),
    ),
    "red and blue change places": (matrix_between("bt709", "bt709", swapped=True), np.zeros(3)),
}
