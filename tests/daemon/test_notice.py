from __future__ import annotations

import json
from pathlib import Path

import pytest

from framedaemon.events import (
    BreakerClosed,
    BreakerOpened,
    DiskWaited,
    Event,
    JobClaimed,
    JobFailed,
    JobPublished,
    JobRetried,
    JobWaiting,
    PluginMuted,
    WorkPaused,
    WorkResumed,
)
from framedaemon.notice import LISTED, News, Notice, compose, news_of

DONE = JobPublished("1-1", "cat.jpg", "pets/cat.mp4", 321, 12.34, 1000, at=50.0)
FAILED = JobFailed("2-1", "dog.jpg", "failed", "[encode] crf: 99 is not in 0..51\n[encode] fps: is not known", 60.0)
ROOT = Path("/srv/videos")


def _news(event: Event) -> News:
    news = news_of(event, 100.0)
    assert news is not None
    return news


def _notice(*events: Event) -> Notice:
    return compose([_news(event) for event in events], ROOT, "box", 100.0)


def test_a_video_is_told_with_its_name_and_path() -> None:
    notice = _notice(DONE)

    assert notice.title == "Done: pets/cat.mp4"
    assert notice.body == "cat.jpg is done: pets/cat.mp4 (321 frames in 12 s)\n\nframedaemon on box, /srv/videos"
    assert json.loads(notice.payload) == {
        "type": "framedaemon.done",
        "timestamp": "1970-01-01T00:01:40.000Z",
        "data": {
            "host": "box",
            "instance": "/srv/videos",
            "title": "Done: pets/cat.mp4",
            "counts": {"done": 1},
            "events": [
                {
                    "kind": "done",
                    "at": "1970-01-01T00:00:50.000Z",
                    "job": "1-1",
                    "name": "cat.jpg",
                    "output": "pets/cat.mp4",
                    "path": "/srv/videos/output/pets/cat.mp4",
                    "frames": 321,
                    "seconds": 12.3,
                    "bytes": 1000,
                }
            ],
            "more": 0,
        },
    }


def test_a_failure_is_told_with_its_reason_and_what_to_do() -> None:
    notice = _notice(FAILED)

    assert notice.title == "Failed: dog.jpg"
    assert "dog.jpg did not become a video: [encode] crf: 99 is not in 0..51; [encode] fps" in notice.body
    assert "move it back into input/" in notice.body
    assert notice.grave


@pytest.mark.parametrize(
    ("event", "kind", "title"),
    [
        (JobWaiting("1-1", "cat.jpg", "1 GiB are free in /x"), "waiting", "Waiting: cat.jpg"),
        (BreakerOpened("camera, flow", "3 files failed", 60.0), "breaker", "The machine seems to be at fault"),
        (BreakerClosed("camera, flow", 99.0), "breaker", "The machine works again"),
        (WorkPaused("paused by hand"), "paused", "Paused"),
        (WorkResumed(60.0), "paused", "Going on"),
        (PluginMuted("bell", "raised"), "plugin", "Plugin bell set aside"),
    ],
)
def test_what_stops_the_work_is_told(event: Event, kind: str, title: str) -> None:
    assert (_news(event).kind, _news(event).title) == (kind, title)


@pytest.mark.parametrize(
    "event",
    [
        JobClaimed("1-1", "cat.jpg"),
        JobRetried("1-1", "cat.jpg", 1, "it broke"),
        JobFailed("1-1", "cat.jpg", "cancelled", "cancelled by hand"),
        DiskWaited("/x", 1, 2),  # told by the job that waits
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_nobody_waits_for_is_no_news(event: Event) -> None:
    assert news_of(event, 100.0) is None


def test_a_digest_counts_all_and_names_failures_first() -> None:
    notice = _notice(*[DONE] * 37, FAILED, FAILED)

    facts = json.loads(notice.payload)["data"]
    assert notice.title == "2 failed, 37 videos done"
    assert facts["counts"] == {"failed": 2, "done": 37}
    assert [event["kind"] for event in facts["events"]][:3] == ["failed", "failed", "done"]
    assert (len(facts["events"]), facts["more"]) == (LISTED, 19)
    assert "… and 19 more." in notice.body


def test_what_nobody_kept_is_counted() -> None:
    notice = compose([_news(DONE)], ROOT, "box", 100.0, {"done": 5000, "failed": 2})

    assert notice.title == "2 failed, 5001 videos done"


@pytest.mark.parametrize(
    "endless",
    [
        JobFailed("1-1", "x" * 5000, "failed", "because\n" * 100_000),
        JobPublished("1-1", "é" * 2000, "é" * 2000, 1, 1.0, 1, at=1.0),
    ],
    ids=["failed", "done"],
)
def test_a_notice_stays_small_whatever_it_tells_of(endless: Event) -> None:
    notice = _notice(*[endless] * 100)

    facts = json.loads(notice.payload)["data"]
    assert len(notice.payload) <= 64 * 1024
    assert len(notice.body) < 30_000
    assert len(facts["events"]) + facts["more"] == 100


def test_the_same_news_have_the_same_id_and_others_another() -> None:
    assert _notice(DONE).id == compose([_news(DONE)], ROOT, "box", 999.0).id
    assert _notice(DONE).id != _notice(FAILED).id != _notice(DONE, FAILED).id
