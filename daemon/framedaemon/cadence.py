"""From the times at which a video's frames appear to the constant rate at which framedaemon shows them.

    times ─▶ rate that fits ─▶ slot of each frame (`next_slot`) ─▶ frames = last slot + 1

A frame stays on screen until the slot of the next; of two in one slot the later is shown. Whoever knows the rate
can find the slots again while frames stream by: that is all the `video` generator does. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from framedaemon.clip import show_rate

_MAX_RATE = 1000
_USUAL = tuple(Fraction(rate) for rate in (5, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60))
"""Rates for times that keep to no beat."""
_LATITUDE = Fraction(3, 4)
"""A frame takes the next slot where it stands at most this share of a slot off it: above one half, so that times
that tremble about the middle between two slots neither skip nor repeat."""

_NTSC = tuple(Fraction(rate * 1000, 1001) for rate in (12, 15, 24, 30, 48, 60, 120))
_NOMINAL = frozenset((*(Fraction(rate) for rate in range(1, 241)), Fraction(15, 2), Fraction(25, 2), *_NTSC))
"""Rates that devices are set to."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """A constant rate, and how many frames it takes to show all times on it."""

    fps: Fraction
    frames: int
    note: str = ""


def find_cadence(times: Sequence[int], time_base: Fraction, declared: Iterable[Fraction | None]) -> Cadence:
    """The rate at which frames that appear at ``times`` are best shown.

    times: ascending, in units of ``time_base`` seconds.  declared: rates that the file names, the best guess first.
    The file's own rate where the times keep to it within rounding; else a steady beat that moves no frame by half a
    frame; else a usual rate quick enough for the shortest gaps, at which frames are held or left out.
    """
    named = [rate for rate in declared if rate is not None and 0 < rate <= _MAX_RATE]
    if len(times) < 2 or times[-1] == times[0]:
        return Cadence(named[0] if named else Fraction(25), 1)
    count, ticks = len(times), [time - times[0] for time in times]
    mean = (count - 1) / (ticks[-1] * time_base)
    likely = _likely_rates(named, mean)
    for rate in likely:
        if _keeps_to(ticks, rate * time_base, range(count), rate * time_base):
            return Cadence(rate, count)
    gap = _usual_gap(ticks) * time_base
    for rate in sorted(_NOMINAL, key=lambda rate: abs(rate - 1 / gap))[:4]:
        slots = _slots(ticks, rate * time_base)
        if len(set(slots)) == count and _keeps_to(ticks, rate * time_base, slots, rate * time_base):
            held = slots[-1] + 1 - count
            return Cadence(rate, slots[-1] + 1, f"variable frame rate shown at {show_rate(rate)} fps: {held} gaps held")
    for rate in (*likely, mean.limit_denominator(100_000)):
        if _slots(ticks, rate * time_base) == list(range(count)):
            return Cadence(rate, count, f"uneven frame times put on a steady {show_rate(rate)} fps")
    return _variable(ticks, time_base, gap)


def next_slot(place: Fraction, last: int) -> int:
    """The slot of a frame that stands at ``place``, in slots after the first frame, when ``last`` is taken.

    The next one where that is near enough, else the nearest, but never one before ``last``.
    """
    if abs(place - (last + 1)) <= _LATITUDE:
        return last + 1
    return max(last, int((2 * place + 1) // 2))


def _likely_rates(named: Sequence[Fraction], mean: Fraction) -> list[Fraction]:
    """Rates to try, in order: usual ones that the file names, usual ones near the mean, others that it names."""
    near = sorted((rate for rate in _NOMINAL if abs(rate - mean) < mean / 50), key=lambda rate: abs(rate - mean))
    return list(dict.fromkeys([*(rate for rate in named if rate in _NOMINAL), *near, *named]))


def _keeps_to(ticks: Sequence[int], beat: Fraction, slots: Iterable[int], most: Fraction) -> bool:
    """Whether no frame stands more than ``most`` slots off its slot; beat: slots a tick."""
    scale, unit = beat.numerator, beat.denominator
    limit = most * unit
    return all(abs(tick * scale - slot * unit) <= limit for tick, slot in zip(ticks, slots, strict=True))


def _slots(ticks: Sequence[int], beat: Fraction) -> list[int]:
    """The slot of each tick; beat: slots a tick."""
    slots, last = [], -1
    for tick in ticks:
        last = next_slot(tick * beat, last)
        slots.append(last)
    return slots


def _usual_gap(ticks: Sequence[int]) -> int:
    """Ticks between neighbours, the short gaps' measure: a fifth of them are shorter."""
    gaps = sorted(later - earlier for earlier, later in pairwise(ticks) if later > earlier)
    return gaps[len(gaps) // 5]


def _variable(ticks: Sequence[int], time_base: Fraction, gap: Fraction) -> Cadence:
    """Times that keep to no beat, on the first usual rate that is quick enough for their short gaps."""
    rate = next((rate for rate in _USUAL if rate * gap >= _LATITUDE), _USUAL[-1])
    slots = _slots(ticks, rate * time_base)
    frames, shown = slots[-1] + 1, len(set(slots))
    counts = f"{frames - shown} gaps held, {len(slots) - shown} frames left out"
    return Cadence(rate, frames, f"variable frame rate shown at {show_rate(rate)} fps: {counts}")
