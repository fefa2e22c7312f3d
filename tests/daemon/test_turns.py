from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framedaemon.ledger import Ledger
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.rows import likeness_of
from framedaemon.turns import Turns, in_turn

RECIPES = {kind: Recipe(interpolate=InterpolateChoice(use=kind)).to_json() for kind in ("flow", "rife", "film")}


class Queue:
    """A ledger whose jobs are begun one after the other; each takes a minute."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path)
        self.turns = Turns(self.ledger)
        self.wall = 1000.0

    def add(self, *kinds: str, priority: int = 0) -> None:
        for kind in kinds:
            self.wall += 0.001
            id = f"{self.wall:.3f}"
            self.ledger.claiming([(id, f"{kind}.png", None, None)], self.wall)
            self.ledger.add_job(id, 1, RECIPES[kind], id, priority, self.wall)

    def begin(self, seconds: float = 60.0) -> str:
        """The kind of the next job, which is done then; empty when there is none."""
        self.wall += seconds
        job = self.turns.next(self.wall)
        if job is None:
            return ""
        self.turns.began(job, self.wall)
        self.ledger.start(job.id, self.wall)
        self.ledger.finish(job.id, "done", "", self.wall)
        return job.name.removesuffix(".png")

    def begin_all(self, seconds: float = 60.0) -> list[str]:
        return list(iter(lambda: self.begin(seconds), ""))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path / "ledger.sqlite3")
    yield made
    made.ledger.close()


def test_jobs_alike_are_done_one_after_the_other(queue: Queue) -> None:
    queue.add("rife", "flow", "rife", "rife", "flow")

    assert queue.begin_all() == ["rife", "rife", "rife", "flow", "flow"]


def test_a_higher_priority_goes_first_whatever_is_loaded(queue: Queue) -> None:
    queue.add("rife", "rife", "rife")
    begun = [queue.begin()]
    queue.add("flow", priority=5)

    assert begun + queue.begin_all() == ["rife", "flow", "rife", "rife"]


def test_nobody_is_passed_over_by_more_than_eight(queue: Queue) -> None:
    queue.add("rife", "flow", *["rife"] * 12)

    assert queue.begin_all(1.0) == ["rife"] * 9 + ["flow"] + ["rife"] * 4


def test_nobody_is_passed_over_for_more_than_ten_minutes(queue: Queue) -> None:
    queue.add("rife", "flow", *["rife"] * 8)

    assert queue.begin_all(400.0)[:5] == ["rife", "rife", "rife", "flow", "rife"]


def test_a_job_that_cannot_begin_is_passed_over_as_ever(queue: Queue) -> None:
    queue.add("flow", "rife")
    first = queue.ledger.next_job(queue.wall)
    assert first is not None
    queue.ledger.wait(first.id, "no room", queue.wall + 100)

    assert queue.begin_all(1.0) == ["rife"]


def test_jobs_are_alike_whatever_is_drawn_but_not_where_sizes_probably_differ() -> None:
    said = [StageChoice(use="wan", options=options) for options in ({"prompt": "a"}, {"prompt": "b"}, {"size": "720p"})]
    one, other, larger = (
        Recipe(generate=choice, interpolate=InterpolateChoice(origins={"use": f"{number}.toml"})).to_json()
        for number, choice in enumerate(said)
    )

    assert likeness_of(one, "sea/a.png") == likeness_of(other, "sea/b.png")
    assert likeness_of(one, "sea/a.png") != likeness_of(one, "a.png")
    assert likeness_of(one, "a.png") != likeness_of(larger, "a.png")


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(sorted(RECIPES)), st.integers(0, 2)), max_size=20), st.floats(1, 900))
def test_each_job_is_begun_once_and_those_of_a_higher_priority_first(
    tmp_path_factory: pytest.TempPathFactory, jobs: list[tuple[str, int]], seconds: float
) -> None:
    queue = Queue(tmp_path_factory.mktemp("turns") / "ledger.sqlite3")
    with queue.ledger.transaction():
        for kind, priority in jobs:
            queue.add(kind, priority=priority)
        begun = queue.begin_all(seconds)
        ended = sorted(queue.ledger.jobs("done"), key=lambda job: job.ended or 0.0)
    queue.ledger.close()

    assert sorted(begun) == sorted(kind for kind, _ in jobs)
    assert [job.priority for job in ended] == sorted((priority for _, priority in jobs), reverse=True)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(sorted(RECIPES)), st.integers(0, 1)), max_size=25))
def test_the_queue_is_foretold_as_it_is_begun(
    tmp_path_factory: pytest.TempPathFactory, jobs: list[tuple[str, int]]
) -> None:
    queue = Queue(tmp_path_factory.mktemp("turns") / "ledger.sqlite3")
    with queue.ledger.transaction():
        for kind, priority in jobs:
            queue.add(kind, priority=priority)
        foretold = in_turn(queue.ledger.lookup.queue(), "", 99)
        begun = queue.begin_all(1.0)
    queue.ledger.close()

    assert [job.name.removesuffix(".png") for job in foretold] == begun
