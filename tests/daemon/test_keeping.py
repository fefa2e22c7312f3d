from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from framedaemon import keeping
from framedaemon.keeping import holds, keep_between_jobs, kept, release


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process keeps things, as a worker does."""
    monkeypatch.setattr(keeping, "_SLOT", keeping._Slot())
    keep_between_jobs()
    yield
    release()


class Maker:
    """Makes networks, and knows which of them are open."""

    def __init__(self) -> None:
        self.made = 0
        self.open: list[int] = []

    def __call__(self) -> Callable[[], AbstractContextManager[int]]:
        @contextmanager
        def make() -> Iterator[int]:
            self.made += 1
            number = self.made
            self.open.append(number)
            try:
                yield number
            finally:
                self.open.remove(number)

        return make


def use(key: str, maker: Maker) -> int:
    with kept(key, maker()) as network:
        return network


@pytest.mark.usefixtures("worker")
def test_the_next_job_like_it_gets_what_the_one_before_made() -> None:
    maker = Maker()

    networks = [use("a", maker), use("a", maker), use("b", maker), use("a", maker)]

    assert networks == [1, 1, 2, 3]
    assert maker.open == [3]  # one at a time


@pytest.mark.usefixtures("worker")
def test_what_an_error_went_through_is_not_trusted_again() -> None:
    maker = Maker()
    use("a", maker)

    with pytest.raises(ValueError, match="broken"), kept("a", maker()):
        raise ValueError("broken")

    assert not holds()
    assert maker.open == []
    assert use("a", maker) == 2


@pytest.mark.usefixtures("worker")
def test_what_is_kept_can_be_let_go_of_at_any_time() -> None:
    maker = Maker()
    use("a", maker)

    before = holds()
    release()

    assert (before, holds(), maker.open) == (True, False, [])


@pytest.mark.usefixtures("worker")
def test_of_two_at_once_each_is_its_own_and_the_last_one_is_kept() -> None:
    maker = Maker()

    with kept("a", maker()) as outer, kept("a", maker()) as inner:
        both = [outer, inner]

    assert both == [1, 2]
    assert maker.open == [1]


def test_where_nothing_says_that_jobs_follow_it_is_closed_at_once() -> None:
    maker = Maker()

    use("a", maker)

    assert not holds()
    assert maker.open == []
