"""Which frames of a gap are drawn from which: a tree of halves. Needs no torch.

FILM learned to draw the frame halfway between two, and nothing else. So a time is reached by halves: the frame in the
middle first, then the middle of the half that the time lies in. Times that no halving reaches (a third, 4/5) are drawn
once the first middle is there: straight from the two ends of their half, along the flow between them, scaled.

    1/4, 1/2, 3/4                 2/5
    0 ───── 1/2 ───── 1           0 ───── 1/2 ───── 1
       1/4       3/4                 └ 4/5 of this half
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

Times: TypeAlias = Literal["midpoints", "direct"]

HALF = Fraction(1, 2)
FINEST = 32
"""Times are reached by halves as far as 1/32: more frames than that between two nobody asks for."""


@dataclass(frozen=True, slots=True)
class Straight:
    """Times drawn from the two ends along one flow."""

    times: tuple[Fraction, ...]


@dataclass(frozen=True, slots=True)
class Halved:
    """The frame in the middle is drawn, and what lies before and behind it from it and the ends."""

    before: Straight | Halved | None
    wanted: bool
    """Whether the frame in the middle is asked for itself."""
    behind: Straight | Halved | None


Way: TypeAlias = Straight | Halved


@dataclass(frozen=True, slots=True)
class Work:
    """How often each part of the network runs."""

    features: int = 0
    """Of frames that were drawn on the way."""
    flows: int = 0
    """Both ways, between two frames."""
    frames: int = 0
    """That are drawn, asked for or not."""


def find_way(times: Sequence[Fraction], kind: Times) -> Way:
    """How the frames at ``times``, ascending and between 0 and 1, are drawn."""
    if kind == "direct":
        return Straight(tuple(times))
    return _halve(tuple(times), FINEST)


def _halve(times: tuple[Fraction, ...], finest: int) -> Halved:
    """``finest``: denominator of the times that halving still reaches."""
    return Halved(
        _inside(tuple(2 * time for time in times if time < HALF), finest // 2),
        HALF in times,
        _inside(tuple(2 * time - 1 for time in times if time > HALF), finest // 2),
    )


def _inside(times: tuple[Fraction, ...], finest: int) -> Way | None:
    if not times:
        return None
    reached = any(finest % time.denominator == 0 for time in times)
    return _halve(times, finest) if reached else Straight(times)


def work_of(way: Way | None) -> Work:
    """What drawing it takes."""
    if way is None:
        return Work()
    if isinstance(way, Straight):
        return Work(flows=1, frames=len(way.times))
    before, behind = work_of(way.before), work_of(way.behind)
    return Work(
        before.features + behind.features + (way.before is not None or way.behind is not None),
        before.flows + behind.flows + 1,
        before.frames + behind.frames + 1,
    )


def kept(way: Way | None) -> int:
    """Of how many frames drawn on the way the features are held at once, at most."""
    if way is None or isinstance(way, Straight) or (way.before is None and way.behind is None):
        return 0
    return 1 + max(kept(way.before), kept(way.behind))


def gaps_in_turn(step: Fraction) -> Iterator[tuple[Fraction, ...]]:
    """The times in each gap until they repeat; ``step``: source frames from one output frame to the next."""
    times: dict[int, list[Fraction]] = {gap: [] for gap in range(step.numerator)}
    for index in range(step.denominator):
        gap, time = divmod(index * step, 1)
        if time:
            times[gap].append(time)
    return map(tuple, times.values())
