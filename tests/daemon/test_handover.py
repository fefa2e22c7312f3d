from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count, islice

import pytest

from framedaemon.errors import StageFailed
from framedaemon.handover import HandOver

PATIENCE = 10.0
"""Seconds after which a test that should have ended gives up."""


class Source:
    """Counts what was made, and knows whether it was closed and by whom."""

    def __init__(self, items: Iterator[int], fails: BaseException | None = None) -> None:
        self._items = items
        self._fails = fails
        self.made = 0
        self.made_some = threading.Semaphore(0)
        self.closed_in = ""

    def stream(self) -> Iterator[int]:
        try:
            for item in self._items:
                self.made += 1
                self.made_some.release()
                yield item
            if self._fails is not None:
                raise self._fails
        finally:
            self.closed_in = threading.current_thread().name

    def wait_for(self, items: int) -> None:
        assert all(self.made_some.acquire(timeout=PATIENCE) for _ in range(items))


def _take(items: HandOver[int], arrived: list[int]) -> None:
    """Keep what arrives one by one, although the iteration ends with an error."""
    for item in items:
        arrived.append(item)


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "maker"]


def test_items_arrive_all_and_in_order() -> None:
    with HandOver(iter(range(1000)), "maker") as items:
        assert list(items) == list(range(1000))


def test_the_source_is_iterated_and_closed_in_a_thread_of_its_own() -> None:
    source = Source(iter(range(3)))

    with HandOver(source.stream(), "maker") as items:
        list(items)

    assert source.closed_in == "maker"
    assert _threads() == []


@pytest.mark.parametrize("depth", [1, 3])
def test_the_producer_is_never_further_ahead_than_the_depth_and_the_item_in_its_hands(depth: int) -> None:
    source = Source(count())
    made_at: list[int] = []

    with HandOver(source.stream(), "maker", depth) as items:
        for taken in islice(items, 50):
            made_at.append(source.made - (taken + 1))

    assert max(made_at) <= depth + 1


def test_the_producer_works_ahead_while_the_consumer_is_busy() -> None:
    source = Source(count())

    with HandOver(source.stream(), "maker", 3) as items:
        consumer = iter(items)
        next(consumer)
        source.wait_for(5)  # the one that was taken, three that wait, one in its hands

        assert source.made == 5


@pytest.mark.parametrize("error", [StageFailed("no more"), MemoryError(), SystemExit(3), KeyboardInterrupt()])
def test_what_the_producer_raises_arrives_after_what_it_had_made(error: BaseException) -> None:
    source = Source(iter(range(5)), error)
    arrived: list[int] = []

    with pytest.raises(type(error)) as caught, HandOver(source.stream(), "maker") as items:
        _take(items, arrived)

    assert caught.value is error
    assert arrived == [0, 1, 2, 3, 4]
    assert _threads() == []


def test_an_error_from_cleaning_up_arrives_too() -> None:
    class Source:
        def __iter__(self) -> Iterator[int]:
            return iter([1])

        def __next__(self) -> int:
            return 1

        def close(self) -> None:
            raise StageFailed("cannot clean up")

    with pytest.raises(StageFailed, match="cannot clean up"), HandOver(Source(), "maker") as items:
        list(items)


def test_closing_early_ends_the_producer_and_closes_its_source() -> None:
    source = Source(count())

    with HandOver(source.stream(), "maker") as items:
        list(islice(items, 4))

    assert source.closed_in == "maker"
    assert _threads() == []


def test_a_consumer_that_fails_ends_the_producer() -> None:
    source = Source(count())

    with pytest.raises(ZeroDivisionError), HandOver(source.stream(), "maker") as items:
        for item in items:
            _ = 1 // (2 - item)

    assert source.closed_in == "maker"
    assert _threads() == []


def test_a_hand_over_that_nobody_iterates_closes_its_source_and_starts_no_thread() -> None:
    class Opened:
        closed = False

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            return 1

        def close(self) -> None:
            self.closed = True

    source = Opened()

    with HandOver(source, "maker"):
        assert _threads() == []

    assert source.closed


def test_closing_twice_is_as_good_as_once() -> None:
    items = HandOver(Source(count()).stream(), "maker")
    next(iter(items))

    items.close()
    items.close()

    assert _threads() == []


def test_one_hand_over_may_feed_another() -> None:
    source = Source(count())

    with HandOver(source.stream(), "maker") as first, HandOver(iter(first), "middle") as second:
        taken = list(islice(second, 10))

    assert taken == list(range(10))
    assert source.closed_in == "maker"
    assert {thread.name for thread in threading.enumerate()} & {"maker", "middle"} == set()


def test_the_first_of_two_hand_overs_fails_and_the_consumer_of_the_second_hears_of_it() -> None:
    source = Source(iter(range(5)), StageFailed("no more"))

    with (
        pytest.raises(StageFailed, match="no more"),
        HandOver(source.stream(), "maker") as first,
        HandOver(iter(first), "middle") as second,
    ):
        list(second)
