from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.text import Text

from framedaemon.cli.drawing import Pen


def test_a_rows_ends_stand_at_its_ends() -> None:
    assert Pen(20).row(Text("left"), Text("right")).plain == "left           right"


def test_where_both_ends_are_long_each_keeps_a_part() -> None:
    row = Pen(30).row(Text("a name of some length"), Text("and a reason that is longer still")).plain

    assert row == "a name of…  and a reason that…"
    assert len(row) == 30


@pytest.mark.parametrize("width", [30, 31])
def test_wide_characters_count_twice(width: int) -> None:
    row = Pen(width).row(Text("東京タワーの写真と山の写真"), Text("next"))

    assert cell_len(row.plain) == width
    assert row.plain.endswith("  next")


def test_a_bars_parts_stand_one_after_the_other_and_never_leave_it() -> None:
    assert Pen(80).bar(10, (0.3, "a"), (0.2, "b")).plain == "━━━━━─────"
    assert Pen(80).bar(10, (0.9, "a"), (0.9, "b")).plain == "━" * 10
    assert Pen(80).bar(10, (-1.0, "a"), (0.5, "b")).plain == "━━━━━─────"
    assert Pen(80, plain=True).bar(4, (0.5, "a")).plain == "##--"


def test_a_meter_says_as_much_as_leaves_room_for_a_bar() -> None:
    said = ("1 GiB of 4 GiB free; all the rest", "1 GiB of 4 GiB free", "1 GiB")

    assert Pen(50).meter("disk", [(0.5, "")], *said).plain == "disk ━━━━━━───── 1 GiB of 4 GiB free; all the rest"
    assert Pen(34).meter("disk", [(0.5, "")], *said).plain == "disk ━━━━───── 1 GiB of 4 GiB free"
    assert Pen(10).meter("disk", [(0.5, "")], *said).plain == "disk 1 GiB"


def test_a_banner_is_a_band_of_as_many_lines_as_it_needs() -> None:
    lines = Pen(20).banner("the disk is full: nothing is made", "red")

    assert [line.plain for line in lines] == ["the disk is full:   ", "nothing is made     "]


@pytest.mark.parametrize("width", [1, 5, 12, 40])
def test_a_rule_is_as_wide_as_it_may_be(width: int) -> None:
    assert cell_len(Pen(width).rule("queue", "12 jobs").plain) == width


def test_what_steers_a_terminal_is_escaped() -> None:
    assert Pen(80).text("a\x1b[31m\nb\u202e").plain == r"a\x1b[31m\nb\u202e"
