"""Weaves source frames and the frames that fill the gaps between them into the output clip.

    source clip ─▶ shown sources ──────────────────────▶ output clip
                └▶ gaps ─▶ the interpolator's Fill ─▶┘

Source frames go straight through: an interpolator never touches them. Where two neighbours are one and the same
picture the gap is held without asking; where the interpolator answers CUT the nearer source is held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from framedaemon.clip import Clip, ClipSpec, Frame
from framedaemon.errors import StageFailed
from framedaemon.stages import Cut, Fill, Filled, Gap
from framedaemon.timeline import START, Beginning, Timeline

# Mean absolute difference in 8-bit levels: true duplicates of re-encoded video stay below, the slowest real
# motion that was looked at stays above.
_DUPLICATE_LEVELS = 0.05

# The same for the pixel that differs most: a ball of 20 pixels that crosses a still 1080p scene moves the mean by
# 0.03 only. Duplicates stay below, but for a few at low quality; asking the interpolator about those does no harm.
_DUPLICATE_PEAK = 32

# Frames that may wait behind an unanswered gap, or run on with no gap at all (a still scene), and gaps that may wait
# for an answer, before the interpolator's stream is ended and begun anew: this bounds memory whatever the clip does.
_WAITING_FRAMES = 16
_UNANSWERED_GAPS = 16


# Frames that show one picture and are bridged where duplicates are dropped: up to 8 in 60 for what moves 7.5 times a
# second. What stays longer stands still.
_LONGEST_RUN = 8

# What becomes of an output frame. A gap that is held is told by the first of its frames.
_SOURCE, _FILLED, _CUT, _DUPLICATE, _HELD = b"sfcdh"


@dataclass(slots=True)
class Tally:
    """What weaving met, for the receipt: a byte for each output frame, so that parts of a clip add up."""

    marks: bytearray = field(default_factory=bytearray)

    @property
    def filled(self) -> int:
        """Frames drawn by the interpolator."""
        return self.marks.count(_FILLED)

    @property
    def cuts(self) -> int:
        """Gaps across scene cuts, held."""
        return self.marks.count(_CUT)

    @property
    def duplicates(self) -> int:
        """Gaps between one and the same picture, held."""
        return self.marks.count(_DUPLICATE)


def woven_spec(takes: ClipSpec, timeline: Timeline) -> ClipSpec:
    """The clip that weaving ``takes`` along ``timeline`` gives."""
    return replace(takes, frames=timeline.frames, fps=timeline.target_fps)


def weave(clip: Clip, timeline: Timeline, fill: Fill, made_by: str, tally: Tally, begin: Beginning = START) -> Clip:
    """The output clip of ``timeline`` over ``clip``, gaps filled by ``fill``.

    A timeline with no frame between two others gives ``fill`` no gap; `no_fill` will do.
    With ``begin``, the output clip is its rest from ``begin.shown`` on, and ``clip`` holds the source frames from
    ``begin.source`` on, and where a loop is to be closed frame 0 behind them (see `sources_from`).
    ``tally`` is counted up while the clip flows. Iterating raises StageFailed, naming ``made_by``, when the
    interpolator gives other than one answer a gap, one frame a time, in the clip's shape and dtype.
    """
    loom = _Loom(clip, timeline, made_by, tally, begin)
    gives = replace(clip.spec, frames=timeline.frames - begin.shown, fps=timeline.target_fps)
    return Clip(gives, loom.weave(fill), made_by)


def sources_from(begin: Beginning, timeline: Timeline) -> int:
    """How many source frames weaving takes from ``begin`` on; a loop that begins in its middle takes frame 0 last."""
    return timeline.source_frames - begin.source + (timeline.loop and begin.source > 0)


def frames_in_gap(timeline: Timeline) -> int:
    """How many frames a gap wants at most."""
    between = -(-timeline.target_fps // timeline.source_fps)
    return int(between) * (_LONGEST_RUN if timeline.dedupe else 1)


def looked_back(timeline: Timeline, gaps: int) -> int:
    """How many source frames before a gap tell what it is, where the interpolator looks back by ``gaps``."""
    return (gaps + 1) * (_LONGEST_RUN + 1) if timeline.dedupe else gaps


def no_fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
    """The Fill of a timeline that shows source frames only."""
    for gap in gaps:
        raise StageFailed(f"no interpolator, and {len(gap.times)} frames to fill in")
    yield from ()


def is_duplicate(x0: Frame, x1: Frame) -> bool:
    """Whether two frames are the same picture, but for a codec's noise."""
    levels = 1.0 if x0.dtype == np.uint8 else 257.0
    sample = np.abs(x0[::8, ::8].astype(np.int32) - x1[::8, ::8])
    if sample.mean() > 10 * _DUPLICATE_LEVELS * levels:
        return False
    difference = np.maximum(x0, x1) - np.minimum(x0, x1)
    return bool(difference.max() <= _DUPLICATE_PEAK * levels and difference.mean() < _DUPLICATE_LEVELS * levels)


_Neighbours: TypeAlias = "tuple[Frame, Frame | None, tuple[Fraction, ...]]"
"""A frame, the next one (None at an open end), and the times wanted from the one on: 0 is the frame itself."""


@dataclass(slots=True)
class _Loom:
    clip: Clip
    timeline: Timeline
    made_by: str
    tally: Tally
    begin: Beginning
    waiting: deque[tuple[Frame, int] | Gap] = field(default_factory=deque)
    """Frames with what became of them, and gaps that are not answered yet."""
    unanswered: int = 0
    asked: bool = False
    """Whether the interpolator, in its present stream, took anything at all."""
    finished: bool = False

    def weave(self, fill: Fill) -> Iterator[Frame]:
        neighbours = _without_duplicates(self._neighbours()) if self.timeline.dedupe else self._neighbours()
        unwanted = self.begin.shown - self.begin.woven
        try:
            while not self.finished:
                with closing(self._stream(fill(self._gaps(neighbours)))) as woven:
                    for frame, mark in woven:
                        if unwanted:
                            unwanted -= 1
                            continue
                        self.tally.marks.append(mark)
                        yield frame
        finally:
            self.clip.close()

    def _stream(self, answers: Iterator[Filled]) -> Generator[tuple[Frame, int], None, None]:
        """What one stream of the interpolator's leads to."""
        self.asked = False
        try:
            for answer in answers:
                yield from self._before_gap()
                yield from self._answered(answer)
            yield from self._before_gap()
        finally:
            close = getattr(answers, "close", None)
            if close is not None:
                close()
        if self.waiting:
            raise StageFailed(f"{self.made_by}: left {self.unanswered} gaps unanswered")
        if not self.asked:
            raise StageFailed(f"{self.made_by}: ended without a look at its gaps")

    def _neighbours(self) -> Iterator[_Neighbours]:
        """(frame, next frame or None at an open end, the times wanted in [frame, next frame))."""
        frames = (_locked(frame) for frame in self.clip)
        first = current = next(frames)
        for index, times in self.timeline.times(self.begin):
            last = index == self.timeline.source_frames - 1
            following = next(frames, None)
            if following is None and last and self.timeline.loop:
                following = first
            yield current, following, times
            if not last:
                assert following is not None  # Clip raises where frames are missing
                current = following

    def _gaps(self, neighbours: Iterator[_Neighbours]) -> Iterator[Gap]:
        """Hands out gaps, queueing what surrounds them in ``waiting``."""
        self.asked = True
        for x0, x1, times in neighbours:
            between = times
            if times and times[0] == 0:
                self.waiting.append((x0, _SOURCE))
                between = times[1:]
            if between and x1 is not None:
                if x0 is x1 or is_duplicate(x0, x1):
                    self.waiting.extend((x0, mark) for mark in _held(_DUPLICATE, len(between)))
                else:
                    gap = Gap(x0, x1, between)
                    self.waiting.append(gap)
                    self.unanswered += 1
                    yield gap
                    if self.unanswered > _UNANSWERED_GAPS:
                        return
                    continue  # between neighbours a stream does not end: what the second is given is told by them alone
            if len(self.waiting) - self.unanswered > _WAITING_FRAMES:
                return
        self.finished = True

    def _before_gap(self) -> Iterator[tuple[Frame, int]]:
        while self.waiting and not isinstance(self.waiting[0], Gap):
            shown = self.waiting.popleft()
            assert not isinstance(shown, Gap)
            yield shown

    def _answered(self, answer: object) -> Iterator[tuple[Frame, int]]:
        if not self.waiting:
            raise StageFailed(f"{self.made_by}: answered more gaps than it was given")
        gap = self.waiting.popleft()
        assert isinstance(gap, Gap)
        self.unanswered -= 1
        if isinstance(answer, Cut):
            held = (gap.x0 if t <= Fraction(1, 2) else gap.x1 for t in gap.times)
            yield from zip(held, _held(_CUT, len(gap.times)), strict=True)
            return
        if not isinstance(answer, (list, tuple)) or len(answer) != len(gap.times):
            found = f"{len(answer)} frames" if isinstance(answer, (list, tuple)) else f"a {type(answer).__name__}"
            raise StageFailed(f"{self.made_by}: gave {found} for a gap that wants {len(gap.times)}")
        yield from ((frame, _FILLED) for frame in answer)


def _without_duplicates(neighbours: Iterator[_Neighbours]) -> Iterator[_Neighbours]:
    """``neighbours``, those that show one picture taken for one: its first frame, and the times up to the next one.

    What stands still for more than `_LONGEST_RUN` frames, and what the clip ends with, is held: (frame, itself, times).
    """
    run: list[tuple[Fraction, ...]] = []
    first: Frame | None = None
    still = False
    for current, following, times in neighbours:
        first = current if first is None else first
        repeats = following is not None and is_duplicate(current, following)
        if still:
            yield current, current if repeats else following, times
            still = repeats
            first = None
            continue
        run.append(times)
        if repeats and len(run) < _LONGEST_RUN:
            continue
        still = repeats
        if still or (following is None and len(run) > 1):
            yield from ((first, first, times) for times in run)
        else:
            count = len(run)
            yield first, following, tuple((place + t) / count for place, times in enumerate(run) for t in times)
        first, run = None, []
    if first is not None:  # of a loop that ends as it begins
        yield from ((first, first, times) for times in run)


def _held(why: int, count: int) -> list[int]:
    """The marks of ``count`` frames of a gap that is held."""
    return [why] + [_HELD] * (count - 1)


def _locked(frame: Frame) -> Frame:
    """The frame, read-only: a plugin that writes into a source frame fails at once and by name."""
    if frame.flags.writeable:
        frame = frame.view()
        frame.flags.writeable = False
    return frame
