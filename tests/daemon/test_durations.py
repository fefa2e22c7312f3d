from __future__ import annotations

import pytest

from framedaemon.durations import show_roughly, show_seconds


@pytest.mark.parametrize(
    ("seconds", "exactly", "roughly"),
    [
        (None, "", ""),
        (0.4, "0 s", "0 s"),
        (59.4, "59 s", "59 s"),
        (59.6, "1 min 00 s", "1 min"),
        (185, "3 min 05 s", "3 min"),
        (3599.7, "1 h 00 min", "1 h 00 min"),
        (7800, "2 h 10 min", "2 h 10 min"),
        (360_000, "4 d 04 h", "4 d 04 h"),
    ],
)
def test_durations_are_told_in_the_two_largest_units(seconds: float | None, exactly: str, roughly: str) -> None:
    assert (show_seconds(seconds), show_roughly(seconds)) == (exactly, roughly)
