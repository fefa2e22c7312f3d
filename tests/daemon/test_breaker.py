"""Breakers, in a real ledger: who opens them, what they cost, and who closes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.breaker import LONGEST_WAIT_SECONDS, OPENING, START, Fault, OpenBreaker
from framedaemon.ledger import JobRow, Ledger

WAN = "wan, film, ffmpeg"
CAMERA = "camera, ffmpeg"
GONE = Fault("failed", "RuntimeError", WAN)
DIED = Fault("crashed", "SIGSEGV", WAN)


class Bench:
    """A ledger whose jobs fail as they are told. A breaker opens at three jobs, for a minute."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path)
        self.breaker = self.ledger.breaker

    def add(self, *ids: str, place: str = WAN, now: float = 1.0) -> None:
        for id in ids:
            self.ledger.claiming([(id, id, None, None)], now)
            self.ledger.add_job(id, 1, "{}", id, 0, now)
            self.ledger.set_drop(id, "open")
            self.ledger.set_plan(f"{id}-1", "{}", place)

    def fail(self, id: str, fault: Fault, now: float) -> OpenBreaker | None:
        """As the dispatch does it: noted, then the attempt ends."""
        attempt = self.ledger.start(f"{id}-1", now - 0.5)
        breaker = self.breaker.failed(f"{id}-1", attempt, fault, 3, 60.0, now)
        excused = breaker is not None and self.breaker.excuses(f"{id}-1", breaker, now)
        self.ledger.again(f"{id}-1", fault.outcome, "", now, breaker.until if breaker else now, excused)
        return breaker

    def job(self, id: str) -> JobRow:
        job = self.ledger.job(f"{id}-1")
        assert job is not None
        return job

    def next(self, now: float) -> str | None:
        job = self.ledger.next_job(now)
        return job.drop_id if job is not None else None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def bench(path: Path) -> Iterator[Bench]:
    made = Bench(path)
    made.add("a", "b", "c", "d")
    yield made
    made.ledger.close()


def _open(bench: Bench) -> OpenBreaker:
    opened = [bench.fail(id, GONE, now) for id, now in (("a", 10.0), ("b", 20.0), ("c", 30.0))]
    assert opened[-1] is not None
    return opened[-1]


def test_jobs_of_different_files_that_fail_alike_open_it_and_all_of_their_place_wait(bench: Bench) -> None:
    bench.add("camera", place=CAMERA, now=2.0)

    opened = [bench.fail(id, GONE, now) for id, now in (("a", 10.0), ("b", 20.0), ("c", 30.0))]

    assert opened[:2] == [None, None]
    assert opened[2] == OpenBreaker(
        WAN, f"jobs of 3 different files in a row failed (RuntimeError) in {WAN}", 30.0, 90.0, 60.0
    )
    assert (bench.job("d").state, bench.job("d").not_before) == ("waiting", 90.0)
    assert "the machine seems to be at fault; the next try is at" in bench.job("d").reason
    assert bench.job("camera").state == "queued"
    assert [bench.next(89.9), bench.breaker.blocks(CAMERA, 50.0)] == ["camera", None]
    assert bench.breaker.blocks(WAN, 50.0) == opened[2]


def test_a_job_that_fails_often_is_one_job(bench: Bench) -> None:
    assert [bench.fail("a", GONE, float(now)) for now in range(10, 20)] == [None] * 10


def test_the_jobs_of_one_file_are_one_file_however_many_they_are(bench: Bench) -> None:
    """Else one bad file with a sidecar of a hundred jobs would keep all others waiting."""
    for number in range(2, 6):
        bench.ledger.add_job("a", number, "{}", f"a-{number}", 0, 1.0)
        attempt = bench.ledger.start(f"a-{number}", 10.0)

        assert bench.breaker.failed(f"a-{number}", attempt, DIED, 3, 60.0, 10.0) is None


def test_failures_of_different_kinds_are_no_pattern(bench: Bench) -> None:
    other = Fault("failed", "StageFailed", WAN)
    elsewhere = Fault("failed", "RuntimeError", CAMERA)

    opened = [bench.fail(id, fault, 10.0) for id, fault in zip("abcd", (GONE, DIED, other, elsewhere), strict=True)]

    assert opened == [None] * 4


def test_a_success_of_the_same_place_in_between_starts_the_count_anew(bench: Bench) -> None:
    bench.fail("a", GONE, 10.0)
    bench.fail("b", GONE, 11.0)
    bench.breaker.passed(WAN, 12.0)

    assert bench.fail("c", GONE, 13.0) is None


def test_a_success_elsewhere_says_nothing_about_this_place(bench: Bench) -> None:
    bench.fail("a", GONE, 10.0)
    bench.fail("b", GONE, 11.0)
    bench.breaker.passed(CAMERA, 12.0)

    assert bench.fail("c", GONE, 13.0) is not None


def test_what_opened_it_is_given_back_to_the_jobs(bench: Bench) -> None:
    bench.fail("a", GONE, 9.0)

    _open(bench)

    assert [bench.job(id).strikes for id in "abcd"] == [0, 0, 0, 0]
    assert [bench.job(id).attempts for id in "abcd"] == [2, 1, 1, 0]


def test_only_what_was_of_that_kind_is_given_back(bench: Bench) -> None:
    bench.fail("a", DIED, 9.0)

    _open(bench)

    assert bench.job("a").strikes == 1


def test_a_second_time_it_is_given_back_to_those_alone_who_were_not_there_the_first_time(bench: Bench) -> None:
    """Jobs that are at fault themselves come to their end; where it is the machine they lose one chance."""
    _open(bench)
    bench.breaker.passed(WAN, 90.0)

    for id, now in (("a", 100.0), ("b", 101.0), ("d", 102.0)):
        bench.fail(id, GONE, now)

    assert [bench.job(id).strikes for id in "abcd"] == [1, 1, 0, 0]


def test_even_the_one_that_opens_it_again_pays_the_second_time(bench: Bench) -> None:
    _open(bench)
    bench.breaker.passed(WAN, 90.0)

    again = [bench.fail(id, GONE, now) for id, now in (("a", 100.0), ("b", 101.0), ("c", 102.0))]

    assert again[2] is not None
    assert [bench.job(id).strikes for id in "abc"] == [1, 1, 1]


def test_a_job_that_is_tried_in_vain_while_it_is_open_doubles_the_wait_and_loses_nothing(bench: Bench) -> None:
    _open(bench)

    waits = [bench.fail("d", fault, now) for fault, now in ((GONE, 90.0), (DIED, 210.0), (GONE, 450.0))]

    assert [wait and wait.seconds for wait in waits] == [120.0, 240.0, 480.0]
    assert [wait and wait.opened for wait in waits] == [30.0] * 3
    assert bench.job("d").strikes == 0
    assert bench.job("a").not_before == 930.0


def test_no_wait_is_longer_than_an_hour(bench: Bench) -> None:
    last, now = _open(bench), 90.0

    for _ in range(10):
        last, now = bench.fail("a", GONE, now) or last, last.until

    assert last.seconds == LONGEST_WAIT_SECONDS


def test_the_first_to_be_tried_is_one_that_has_not_failed_there(bench: Bench) -> None:
    _open(bench)
    bench.add("new", now=80.0)

    assert bench.next(90.0) == "d"
    bench.fail("d", GONE, 90.0)
    assert bench.next(211.0) == "new"


def test_those_that_failed_take_turns(bench: Bench) -> None:
    _open(bench)
    bench.ledger.finish("d-1", "cancelled", "", 40.0)
    tried = []

    for now in (91.0, 300.0, 700.0, 1500.0):
        tried.append(bench.next(now))
        bench.fail(tried[-1] or "", GONE, now)

    assert tried == ["a", "b", "c", "a"]


def test_a_success_closes_it_and_all_go_on_at_once(bench: Bench) -> None:
    opened = _open(bench)
    bench.ledger.wait("d-1", "no room", 500.0)

    closed = bench.breaker.passed(WAN, 95.0)

    assert closed == opened
    assert bench.breaker.standing() == []
    assert [bench.job(id).not_before for id in "abcd"] == [95.0, 95.0, 95.0, 500.0]
    assert (bench.job("a").state, bench.job("a").reason) == ("queued", "")


def test_it_survives_a_restart(bench: Bench, path: Path) -> None:
    opened = _open(bench)
    bench.ledger.close()

    bench.ledger = Ledger(path)

    assert bench.ledger.breaker.blocks(WAN, 89.0) == opened
    assert bench.ledger.breaker.blocks(WAN, 90.0) is None


def test_a_clock_that_was_set_back_makes_nobody_wait_longer(bench: Bench) -> None:
    _open(bench)

    assert bench.breaker.blocks(WAN, -1e9) is None
    assert bench.next(-1e9) == "d"


def test_a_worker_that_does_not_come_up_is_nobodys_fault_and_holds_all(bench: Bench) -> None:
    opened = [bench.fail("a", Fault("crashed", "exit code 1", START), now) for now in (10.0, 70.0)]

    assert [wait and wait.seconds for wait in opened] == [60.0, 120.0]
    assert bench.job("a").strikes == 0
    assert bench.breaker.blocks(None, 71.0) == bench.breaker.blocks(CAMERA, 71.0) == opened[1]
    assert bench.job("d").reason.startswith("the worker did not come up, it crashed (exit code 1)")


def test_pictures_that_crash_whoever_opens_them_hold_all_until_one_is_opened(bench: Bench) -> None:
    for id in "abc":
        bench.fail(id, Fault("crashed", "SIGSEGV", OPENING), 10.0)

    assert bench.breaker.blocks(CAMERA, 11.0) is not None
    assert bench.next(70.0) == "d"
    bench.breaker.passed(OPENING, 71.0)
    assert bench.breaker.blocks(CAMERA, 71.0) is None


def test_a_failure_that_is_noted_twice_counts_once(bench: Bench) -> None:
    """What could not be recorded on a full disk is heard again."""
    opened = _open(bench)

    again = bench.breaker.failed("c-1", 1, GONE, 3, 60.0, 31.0)

    assert again == opened


def test_an_operator_may_have_it_tried_at_once(bench: Bench) -> None:
    _open(bench)

    bench.ledger.try_now(40.0)

    assert bench.breaker.blocks(WAN, 40.0) is None
    assert bench.next(40.0) == "d"
    assert len(bench.breaker.standing()) == 1, "it is closed by a success only"
