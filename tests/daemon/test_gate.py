from __future__ import annotations

import math
from datetime import datetime, timezone
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from framedaemon.events import Event, WorkPaused, WorkResumed
from framedaemon.gate import Closed, Gate, by_hand, by_hours, together
from framedaemon.gpu import Card, Unwatched
from framedaemon.hours import HoursSettings
from framedaemon.instance import Instance, create
from framedaemon.messages import Ready
from framedaemon.requests import Pause, pause, resume
from framedaemon.settings import Settings, WorkerSettings

DEFAULTS = Settings()
COOL, HOT = Card(60, 0, 0), Card(91, 0, 0)
ON_CARD = Ready(pid=1, device="cuda:0", uuid="GPU-1")


def utc(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, timezone.utc)


class Door:
    """A gate whose card says what the test says."""

    def __init__(self, folder: Path) -> None:
        self.instance = Instance(folder)
        create(self.instance)
        self.events: list[Event] = []
        self.card: Card | Unwatched = COOL
        self.looks: list[tuple[str, str]] = []
        self.gate = Gate(self.instance, self.events.append, self._read)

    def _read(self, device: str, uuid: str, mark: str) -> Card:
        self.looks.append((device, uuid))
        if isinstance(self.card, Unwatched):
            raise self.card
        return self.card

    def ask(
        self, now: float, settings: Settings = DEFAULTS, worker: Ready | None = ON_CARD, busy: bool = False
    ) -> Closed | None:
        return self.gate.ask(settings, worker, now, now, busy=busy, due=True)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_hours_close_until_they_begin_and_say_when() -> None:
    hours = HoursSettings(open=("Mon-Fri 20:00-07:00",))
    noon = datetime(2026, 11, 23, 12, tzinfo=timezone.utc).timestamp()  # a Monday

    closed = by_hours(hours, noon, utc)

    assert closed == Closed({"hours": "outside working hours until Mon 20:00"}, noon + 8 * 3600, halts=True)
    assert by_hours(hours, noon + 8 * 3600, utc) is None
    finishing = by_hours(hours.model_copy(update={"at_close": "finish"}), noon, utc)
    assert finishing is not None
    assert not finishing.halts


def test_several_reasons_are_told_at_once_and_all_must_go() -> None:
    hours = Closed({"hours": "outside working hours until Mon 20:00"}, 100.0, halts=False)

    both = together(by_hand(Pause(1.0, now=True)), hours, None)

    assert both is not None
    assert both.reason == "paused by hand; outside working hours until Mon 20:00"
    assert (both.until, both.halts) == (math.inf, True)
    assert together(None, None) is None


def test_a_pause_is_told_once_and_its_end_with_how_long_it_was(door: Door) -> None:
    pause(door.instance, now=False, wall=10.0)
    asked = [door.ask(10.0), door.ask(20.0)]
    resume(door.instance)
    asked.append(door.ask(40.0))

    assert [one.reason if one is not None else None for one in asked] == ["paused by hand", "paused by hand", None]
    assert door.events == [WorkPaused("paused by hand"), WorkResumed(30.0)]


def test_a_card_that_becomes_hotter_is_not_told_again(door: Door) -> None:
    door.card = HOT
    first = door.ask(0.0)
    door.card = Card(95, 0, 0)

    second = door.ask(20.0)

    assert first is not None and second is not None
    assert first.halts
    assert second.reason == "the graphics card is too hot: 95 °C, waits for 75 °C"
    assert len(door.events) == 1


def test_the_card_is_looked_at_now_and_then_and_by_the_name_that_the_worker_has_for_it(door: Door) -> None:
    before = door.ask(0.0, worker=None)
    door.ask(5.0)

    door.ask(10.0)

    assert before is None
    assert door.looks == [("auto", ""), ("cuda:0", "GPU-1")]


def test_nobody_looks_at_a_card_while_nothing_is_to_be_done(door: Door) -> None:
    """A card that sleeps is woken by it."""
    closed = door.gate.ask(Settings(), ON_CARD, 0.0, 0.0, busy=False, due=False)

    assert closed is None
    assert door.looks == []


@pytest.mark.parametrize("worker", [Ready(pid=1, device="cpu"), None])
def test_a_worker_on_a_cpu_waits_for_no_card(door: Door, worker: Ready | None) -> None:
    door.card = HOT

    assert door.ask(0.0, Settings(worker=WorkerSettings(device="cpu")), worker) is None
    assert door.looks == []


def test_a_card_that_cannot_be_watched_keeps_no_job_and_is_told_once(door: Door) -> None:
    door.card = Unwatched("nvidia-ml-py is not installed")

    with capture_logs() as lines:
        asked = [door.ask(0.0), door.ask(20.0), door.ask(40.0, worker=None)]

    assert asked == [None, None, None]
    assert [line["reason"] for line in lines] == ["nvidia-ml-py is not installed"]
