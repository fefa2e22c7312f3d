"""A few of the random kills; all of them: `python tests/torture`."""

from __future__ import annotations

import random

import pytest

from torture.invariants import Violation
from torture.kills import FAULTS
from torture.report import Row, table
from torture.stream import Stream, lives
from torture.workbench import Workbench, unended, wait_until


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_when_it_is_killed_at_a_random_moment(bench: Workbench, fault: str) -> None:
    row = FAULTS[fault](bench, 2, random.Random(0))

    assert (row.fault, row.trials, row.violations) == (fault, 2, [])
    assert sum(row.states.values()) >= 2


def test_a_daemon_that_ends_by_itself_breaks_a_promise(bench: Workbench) -> None:
    row = Row("ended")
    stream = Stream(bench, bench.instance("ended"), random.Random(0), row)

    with lives(stream) as daemon:
        wait_until(stream.instance.status.exists, "the daemon")
        daemon.process.terminate()
        daemon.process.wait()

    assert [str(violation) for violation in row.violations] == ["lost: the daemon ended by itself, with 0"]


def test_a_held_daemon_does_nothing(bench: Workbench) -> None:
    stream = Stream(bench, bench.instance("held"), random.Random(0), Row("held"))

    with lives(stream) as daemon:
        stream.feed_until_finished()
        with daemon.stopped():
            stream.drop()
            before = unended(stream.instance), stream.finished()
            stream.struck()
            after = unended(stream.instance), stream.finished()
        stream.rest()

    assert before[0] == after[0]
    assert stream.row.violations == []


def test_the_table_counts_what_was_broken() -> None:
    row = Row("service killed")
    row.add([Violation("lost", "a picture"), Violation("lost", "another")], trials=3)
    row.states["publishing"] = 2

    assert table([row]).splitlines() == [
        "fault           trials      lost   doubled   partial differing    ledger    litter  seconds",
        "service killed       3         2         0         0         0         0         0        0",
        "all                  3         2         0         0         0         0         0        0",
        "service killed: publishing 2",
    ]
