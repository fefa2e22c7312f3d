"""What every observer must do, as tests to inherit.

Subclass `ObserverContract` in a test module and give it one fixture, ``observer``: your function `happened`. Each test
runs in an empty folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from framedaemon.events import ALL_EVENTS, Event
from framedaemon.testing.held import check_given_back, held
from framedaemon.testing.stopwatch import Stopwatch

PATIENCE = 1.0
"""Seconds for an event: in the daemon others wait behind it, and after ten it is held to hang."""

_SAMPLES: dict[str, tuple[object, ...]] = {
    "str": ("cat.jpg", "", "süß/写真 (1).jpg", "x" * 5000),
    "int": (3, 0, 10**15, 1),
    "float": (12.3, 0.0, 1e9, 0.5),
}


class ObserverContract:
    """Tests for an observer; a subclass's name starts with ``Test``."""

    @pytest.fixture
    def observer(self) -> Callable[..., None]:
        """The function, marked `@hookimpl`."""
        raise NotImplementedError("a fixture `observer` that returns your function happened")

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The current folder, as the instance's is in the daemon."""
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_it_is_marked_as_a_hook(self, observer: Callable[..., None]) -> None:
        assert hasattr(observer, "framedaemon_impl"), "write @hookimpl above the function"
        assert set(signature(observer).parameters) <= {"event"}, "it is given `event`, and nothing else"

    @pytest.mark.parametrize("kind", ALL_EVENTS, ids=lambda kind: kind.__name__)
    def test_it_hears_every_kind_of_event(self, observer: Callable[..., None], kind: type[Event]) -> None:
        """Those that it does not speak of too, and names that it did not think of; soon."""
        for event in sample_events(kind):
            watch = Stopwatch()
            _tell(observer, event)
            seconds = watch.seconds
            assert seconds < PATIENCE, f"it took {seconds:.1f} s for {event}: hand what takes long to a thread"

    def test_it_gives_back_what_it_took(self, observer: Callable[..., None]) -> None:
        """The first events may leave what stays for good, such as one thread; those after them no more."""
        events = [event for kind in ALL_EVENTS for event in sample_events(kind)]
        _tell(observer, *events)
        before = held()

        _tell(observer, *events)

        check_given_back(before)


def sample_events(kind: type[Event]) -> list[Event]:
    """A few events of a kind, some with strange words and numbers."""
    return [kind(*(_sample(str(field.type), turn) for field in fields(kind))) for turn in range(4)]


def _sample(annotation: str, turn: int) -> Any:
    for name, values in _SAMPLES.items():
        if annotation.startswith(name):
            return values[turn]
    return None


def _tell(observer: Callable[..., None], *events: Event) -> None:
    takes = signature(observer).parameters
    for event in events:
        observer(*(event for _ in takes))
