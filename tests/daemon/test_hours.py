"""Spans of the week against a clock that is looked at every minute."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from framedaemon.errors import SettingsError
from framedaemon.hours import DAYS, is_open, opens_at, read_span
from framedaemon.settings import read_settings

# Europe puts its clock by an hour; Lord Howe by half an hour; Kathmandu lies 5:45 before UTC and never does.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
# 24 October 2026, a day before Berlin's clock goes back; 27 March 2027, a day before it goes forward.
BACK, FORWARD = 1_792_800_000, 1_806_105_600


def clock_in(zone: str) -> Callable[[float], datetime]:
    place = ZoneInfo(zone)
    return lambda wall: datetime.fromtimestamp(wall, place)


def at(text: str) -> datetime:
    """``Mon 20:00`` of some week."""
    day, time = text.split()
    return datetime(2026, 11, 2 + DAYS.index(day), *map(int, time.split(":")), tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("span", "within", "without"),
    [
        ("Mon-Fri 20:00-07:00", ["Mon 20:00", "Tue 06:59", "Sat 06:59"], ["Mon 06:59", "Mon 19:59", "Sun 21:00"]),
        ("Sat,Sun 00:00-24:00", ["Sat 00:00", "Sun 23:59"], ["Fri 23:59", "Mon 00:00"]),
        ("22:30-06:00", ["Mon 22:30", "Sun 05:59"], ["Wed 06:00", "Wed 22:29"]),
        ("fri-mon 8:00 - 12:00", ["Fri 08:00", "Mon 11:59"], ["Tue 09:00", "Sat 12:00"]),
        ("Sun 23:00-01:00", ["Sun 23:00", "Mon 00:59"], ["Sun 00:30", "Mon 01:00"]),
    ],
)
def test_a_span_holds_from_its_first_minute_to_its_last(span: str, within: list[str], without: list[str]) -> None:
    spans = (read_span(span),)

    assert [is_open(spans, at(one)) for one in within] == [True] * len(within)
    assert [is_open(spans, at(one)) for one in without] == [False] * len(without)


def test_without_spans_it_is_always_open() -> None:
    assert is_open((), at("Sun 03:00"))


times = st.integers(0, 24 * 60 - 1)
spans_of_a_week = st.builds(
    lambda days, start, length: (
        f"{','.join(DAYS[day] for day in sorted(days))} "
        f"{start // 60:02}:{start % 60:02}-{(start + length) % 1440 // 60:02}:{(start + length) % 60:02}"
    ),
    st.sets(st.integers(0, 6), min_size=1, max_size=7),
    times,
    st.integers(1, 24 * 60 - 1),
)


@settings(max_examples=60)
@given(
    st.lists(spans_of_a_week, min_size=1, max_size=3),
    st.sampled_from(ZONES),
    st.sampled_from((BACK, FORWARD, BACK + 100 * 86_400)),
    st.integers(0, 2 * 86_400),
)
@example(["Sun 02:30-02:45"], "Europe/Berlin", FORWARD, 0)  # the clock never shows it: there is no such span
@example(["Sun 02:30-05:00"], "Europe/Berlin", FORWARD, 0)  # it begins with 3:00
@example(["Sun 02:30-02:45"], "Europe/Berlin", BACK, 90_000)  # the clock shows it twice
@example(["Sun 01:45-02:10"], "Australia/Lord_Howe", BACK, 0)
def test_it_opens_at_the_minute_at_which_a_clock_first_shows_it(
    texts: list[str], zone: str, day: int, seconds: int
) -> None:
    spans, clock, wall = tuple(map(read_span, texts)), clock_in(zone), float(day + seconds)

    found = opens_at(spans, wall, clock)

    minutes = (wall if step == 0 else wall - wall % 60 + 60 * step for step in count())
    first = next(minute for minute in minutes if is_open(spans, clock(minute)) or minute > wall + 8 * 86_400)
    assert found == first or min(found, first) > wall + 7.9 * 86_400


def test_a_clock_that_is_put_back_shows_a_span_twice() -> None:
    spans, clock = (read_span("02:30-02:45"),), clock_in("Europe/Berlin")
    first = opens_at(spans, float(BACK + 86_400 - 7200), clock)

    second = opens_at(spans, first + 3000, clock)

    assert clock(first).isoformat() == "2026-10-25T02:30:00+02:00"
    assert clock(second).isoformat() == "2026-10-25T02:30:00+01:00"
    assert timedelta(seconds=second - first) == timedelta(hours=1)


def test_every_mistake_in_the_hours_is_told_with_file_key_and_what_is_allowed(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[hours]\nopen = ["Mun 1:00-2:00", "25:00-26:00", "10:00-10:00", "Mon-Fri 20-7", "Mon 20:00-07:00"]\n'
        'at_close = "stop"\n'
    )

    with pytest.raises(SettingsError) as caught:
        read_settings(config)

    assert caught.value.problems == (
        "config.toml [hours] open 1: 'Mun 1:00-2:00': 'Mun' is not one of Mon, Tue, Wed, Thu, Fri, Sat, Sun",
        "config.toml [hours] open 2: '25:00-26:00': 25:00 is not a time of day, 00:00 to 24:00",
        "config.toml [hours] open 3: '10:00-10:00' is empty: a whole day is 00:00-24:00",
        "config.toml [hours] open 4: 'Mon-Fri 20-7' is no span: write 'Mon-Fri 20:00-07:00', 'Sat,Sun 00:00-24:00' "
        "or '22:00-06:00'",
        "config.toml [hours] at_close: 'stop' is not one of 'halt', 'finish'",
    )
