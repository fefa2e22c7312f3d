"""Working hours: the times of the week at which jobs are begun, by the clock on the wall.

    "Mon-Fri 20:00-07:00"    from each of these evenings until the morning after
    "Sat,Sun 00:00-24:00"    all day
    "22:30-06:00"            every day

What the clock shows decides, so a night in which it is put back is an hour longer, and one in which it is put forward
an hour shorter; where it never shows the time at which a span begins, the span begins with the first time behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from framedaemon.section import Section

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTES = 24 * 60
_WEEK_DAYS = 8  # a week, and the day on which it began

# Clocks are put forward and back at full quarters of an hour of UTC, everywhere, and zones differ by such.
_QUARTER_MINUTES = 15

_SPAN = re.compile(r"(?:(?P<days>[A-Za-z,\- ]+) )?(?P<start>\d\d?:\d\d) ?- ?(?P<stop>\d\d?:\d\d)")


@dataclass(frozen=True, slots=True)
class Span:
    """One entry: the days on which it begins, and minutes of the day."""

    days: frozenset[int]
    """0 is Monday."""
    start: int
    stop: int
    """Not more than ``start``: of the day after."""

    def holds(self, day: int, minute: int) -> bool:
        """Whether it is open at this minute of this day of the week."""
        if self.start < self.stop:
            return day in self.days and self.start <= minute < self.stop
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.stop)


def read_span(text: str) -> Span:
    """The span that ``text`` means. Raises ValueError, which says how one is written."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text[:60]!r} is no span: write 'Mon-Fri 20:00-07:00', 'Sat,Sun 00:00-24:00' or '22:00-06:00'"
        )
    start, stop = _minute(found["start"], text), _minute(found["stop"], text)
    if start in (stop, _MINUTES):
        raise ValueError(f"{text!r} is empty: a whole day is 00:00-24:00")
    return Span(_days(found["days"], text), start, stop)


def _minute(clock: str, text: str) -> int:
    hours, minutes = map(int, clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > _MINUTES:
        raise ValueError(f"{text!r}: {clock} is not a time of day, 00:00 to 24:00")
    return hours * 60 + minutes


def _days(words: str | None, text: str) -> frozenset[int]:
    if words is None:
        return frozenset(range(7))
    found: set[int] = set()
    for word in words.split(","):
        first, dash, last = word.strip().partition("-")
        ends = [_day(first, text), _day(last if dash else first, text)]
        found |= {(ends[0] + more) % 7 for more in range((ends[1] - ends[0]) % 7 + 1)}
    return frozenset(found)


def _day(word: str, text: str) -> int:
    named = word.strip().title()
    if named not in DAYS:
        raise ValueError(f"{text!r}: {word.strip()!r} is not one of {', '.join(DAYS)}")
    return DAYS.index(named)


def _readable(text: str) -> str:
    """`Mon-Fri 20:00-07:00` …"""
    read_span(text)
    return text


class HoursSettings(Section):
    """When jobs are begun."""

    open: Annotated[tuple[Annotated[str, AfterValidator(_readable)], ...], Field(strict=False, max_length=100)] = ()
    """Spans of the week, by the machine's local time; an empty list: always."""
    at_close: Literal["halt", "finish"] = "halt"
    """What a job does that is at work when they end: halt, and go on when they begin again, or be finished."""

    @property
    def spans(self) -> tuple[Span, ...]:
        """What ``open`` means."""
        return tuple(map(read_span, self.open))


def is_open(spans: Iterable[Span], at: datetime) -> bool:
    """Whether a job may be begun when the clock shows ``at``; without spans always."""
    held = list(spans)
    return not held or any(span.holds(at.weekday(), at.hour * 60 + at.minute) for span in held)


def opens_at(
    spans: tuple[Span, ...], wall: float, clock: Callable[[float], datetime] = datetime.fromtimestamp
) -> float:
    """The first moment from ``wall`` on, in seconds since 1970, at which they are open.

    clock: what the clock on the wall shows then. Looks at each time at which a span may begin, or the clock be put.
    """
    end = wall + _WEEK_DAYS * _MINUTES * 60
    while wall < end and not is_open(spans, clock(wall)):
        shown = clock(wall)
        minute = shown.hour * 60 + shown.minute
        ahead = [(span.start - minute) % _MINUTES or _MINUTES for span in spans]
        wall -= wall % 60
        wall += 60 * min(_QUARTER_MINUTES - int(wall // 60) % _QUARTER_MINUTES, *ahead)
    return wall


def show_time(at: datetime) -> str:
    """For people: ``Mon 20:00``."""
    return f"{DAYS[at.weekday()]} {at:%H:%M}"
