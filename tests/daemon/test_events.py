from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

import framedaemon
from framedaemon.events import (
    ALL_EVENTS,
    DiskWaited,
    Event,
    JobPublished,
    PluginMuted,
    event_facts,
    event_name,
)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (JobPublished("1-1", "a.jpg", "a.mp4", 8, 1.5, 900), "job_published"),
        (DiskWaited("/tmp", 1, 2), "disk_waited"),
        (PluginMuted("bell", "raised"), "plugin_muted"),
    ],
)
def test_an_event_is_named_in_the_log_by_its_words(event: Event, name: str) -> None:
    assert event_name(event) == name


def test_an_events_facts_are_its_fields() -> None:
    facts = event_facts(DiskWaited("/tmp", free_bytes=1, needed_bytes=2))

    assert facts == {"folder": "/tmp", "free_bytes": 1, "needed_bytes": 2}


def test_the_list_of_events_is_complete_and_public() -> None:
    assert set(ALL_EVENTS) == set(get_args(Event))
    assert {event.__name__ for event in ALL_EVENTS} <= set(framedaemon.__all__)


def test_every_event_about_a_job_says_which_and_of_what_file() -> None:
    of_jobs = {event for event in ALL_EVENTS if event.__name__.startswith("Job")}

    lacking = [event for event in of_jobs if [field.name for field in fields(event)][:2] != ["job", "name"]]

    assert lacking == []


def test_an_observer_cannot_alter_an_event_for_the_next_one() -> None:
    event = PluginMuted("bell", "raised")

    with pytest.raises(FrozenInstanceError):
        event.reason = "fine"  # type: ignore[misc]
