"""What passes between the service and the process of the observers; `test_bystanders` runs that process."""

from __future__ import annotations

import pytest

from framedaemon.events import ALL_EVENTS, Event, JobPublished, StageSeconds
from framedaemon.hearing import read_event, write_event
from framedaemon.testing.observer import sample_events


@pytest.mark.parametrize("kind", [kind for kind in ALL_EVENTS if kind is not JobPublished], ids=lambda k: k.__name__)
def test_every_event_arrives_as_it_was(kind: type[Event]) -> None:
    events = sample_events(kind)

    assert [read_event(write_event(event)) for event in events] == events


def test_what_lies_within_an_event_arrives_too() -> None:
    event = JobPublished("1", "süß\n.jpg", "a.mp4", 3, 1.5, 1000, stages=(StageSeconds("encode", "ffmpeg", 1.25),))

    heard = read_event(write_event(event))

    assert heard == event
    assert isinstance(heard, JobPublished)
    assert isinstance(heard.stages[0], StageSeconds)
