"""Mailboxes and their threads, with real sockets and programs: what hangs, refuses, bursts, and ends in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from commands import wait_until
from framedaemon.audience import CommandTarget, NotifySettings, WebhookTarget
from framedaemon.events import BreakerClosed, BreakerOpened, JobFailed, JobPublished, PluginMuted
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from framedaemon.notices import Notices, Patience
from handles import no_handle_left
from posted import Receiver, receiving

SOON = Patience(first_seconds=0.02, longest_seconds=0.05)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Ends when every mailbox has ended: else the last lines of one would stand in the next test's log."""
    before = set(threading.enumerate())
    with receiving() as receiver:
        yield receiver
    wait_until(lambda: set(threading.enumerate()) <= before, "the mailboxes")


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = Instance(tmp_path)
    create(made)
    Ledger(made.ledger).close()
    return made


def _webhook(receiver: Receiver, **settings: object) -> NotifySettings:
    target = {"url": SecretStr(receiver.url), "timeout_seconds": 30.0, "digest_seconds": 0.2, **settings}
    return NotifySettings(webhook=(WebhookTarget.model_validate(target),))


@contextmanager
def _telling(instance: Instance, settings: NotifySettings, patience: Patience = SOON) -> Iterator[Notices]:
    notices = Notices(instance, patience)
    notices.equip(settings)
    try:
        yield notices
    finally:
        notices.close(0.0)


def _done(number: int, at: float | None = None) -> JobPublished:
    return JobPublished(f"{number}-1", f"{number}.jpg", f"{number}.mp4", 3, 1.0, 9, at=at or time.time())


def _failed(number: int) -> JobFailed:
    return JobFailed(f"{number}-1", f"{number}.jpg", "failed", "it broke", time.time())


def _wait_for(receiver: Receiver, count: int) -> None:
    wait_until(lambda: len(receiver.posts) >= count, f"{count} posts")


def test_the_first_news_go_out_at_once_and_the_rest_together(instance: Instance, receiver: Receiver) -> None:
    with _telling(instance, _webhook(receiver)) as notices:
        notices.happened(_done(0))
        _wait_for(receiver, 1)
        for number in range(1, 38):
            notices.happened(_done(number))
        notices.happened(_failed(38))
        notices.happened(_failed(39))
        _wait_for(receiver, 2)

    assert receiver.titles == ["Done: 0.mp4", "2 failed, 37 videos done"]


def test_nothing_goes_out_again_before_its_time(instance: Instance, receiver: Receiver) -> None:
    """Seen by one who is told everything by itself, of the same news."""
    with receiving() as hasty:
        both = (*_webhook(receiver, digest_seconds=3600.0).webhook, *_webhook(hasty, digest_seconds=0.0).webhook)
        with _telling(instance, NotifySettings(webhook=both)) as notices:
            notices.happened(_done(0))
            _wait_for(receiver, 1)
            for number in range(1, 4):
                notices.happened(_done(number))
                _wait_for(hasty, number + 1)
            before = len(receiver.posts)

    assert before == 1


def test_more_than_can_be_kept_is_dropped_with_a_line_in_the_log(instance: Instance, receiver: Receiver) -> None:
    receiver.hangs.clear()

    with capture_logs() as lines, _telling(instance, _webhook(receiver, digest_seconds=0.0)) as notices:
        notices.happened(_done(0))
        _wait_for(receiver, 1)
        for number in range(10_007):
            notices.happened(_done(number))
        receiver.hangs.set()
        wait_until(lambda: any(line["event"] == "notices_dropped" for line in lines), "the line")
        notices.equip(NotifySettings())

    assert [line["count"] for line in lines if line["event"] == "notices_dropped"] == [7]


def test_a_target_hears_of_what_it_wants_to_know(instance: Instance, receiver: Receiver) -> None:
    with _telling(instance, _webhook(receiver, on=("failed",))) as notices:
        notices.happened(_done(1))
        notices.happened(_failed(2))
        _wait_for(receiver, 1)

    assert receiver.titles == ["Failed: 2.jpg"]


def test_a_target_that_is_down_gets_the_same_notice_later(instance: Instance, receiver: Receiver) -> None:
    receiver.moods = [500, 503, 429]

    with capture_logs() as lines, _telling(instance, _webhook(receiver)) as notices:
        notices.happened(_done(1))
        wait_until(lambda: any(line["event"] == "notice_sent" for line in lines), "the notice")

    assert [post.headers["webhook-id"] for post in receiver.posts] == [receiver.posts[0].headers["webhook-id"]] * 4
    assert [line["event"] for line in lines] == ["notice_delayed", "notice_sent"]
    assert "t0ken" not in str(lines)


def test_a_moment_without_file_handles_delays_a_notice_and_loses_none(instance: Instance) -> None:
    command = CommandTarget(argv=("/bin/sh", "-c", "cat >> got"))

    with capture_logs() as lines, _telling(instance, NotifySettings(command=(command,))) as notices:
        with no_handle_left():
            notices.happened(_done(1))
            wait_until(lambda: lines, "a word on it")
        wait_until(lambda: len(lines) > 1, "the notice")

    assert [line["event"] for line in lines] == ["notice_delayed", "notice_sent"]
    assert lines[0]["reason"] == "Too many open files"
    assert "1.mp4" in (instance.root / "got").read_text()


def test_a_target_that_refuses_loses_that_notice_only(instance: Instance, receiver: Receiver) -> None:
    receiver.moods = [404]

    with capture_logs() as lines, _telling(instance, _webhook(receiver, digest_seconds=0.0)) as notices:
        notices.happened(_done(1))
        notices.happened(_done(2))
        _wait_for(receiver, 2)

    assert receiver.titles == ["Done: 1.mp4", "Done: 2.mp4"]
    assert (lines[0]["event"], lines[0]["reason"]) == ("notice_given_up", "it answered 404 Not Found")


def test_a_target_that_is_down_for_a_day_loses_a_notice_with_a_line_in_the_log(
    instance: Instance, receiver: Receiver
) -> None:
    receiver.moods = [500] * 1000
    impatient = Patience(first_seconds=0.02, longest_seconds=0.02, last_seconds=0.1)

    with capture_logs() as lines, _telling(instance, _webhook(receiver), impatient) as notices:
        notices.happened(_done(1))
        wait_until(lambda: any(line["event"] == "notice_given_up" for line in lines), "the end of patience")


def test_ten_thousand_jobs_at_once_cost_the_daemon_nothing_while_a_target_hangs(
    instance: Instance, receiver: Receiver
) -> None:
    """And stay bounded: more are counted, not kept."""
    receiver.hangs.clear()
    with _telling(instance, _webhook(receiver, digest_seconds=0.05)) as notices:
        notices.happened(_done(0))
        _wait_for(receiver, 1)
        started = time.thread_time()
        for number in range(1, 12_001):
            notices.happened(_done(number))
        seconds = time.thread_time() - started
        receiver.hangs.set()
        _wait_for(receiver, 2)

    assert receiver.titles == ["Done: 0.mp4", "12000 videos done"]
    assert len(receiver.posts[1].body) < 20_000
    assert seconds < 2.0  # of this thread; 0.1 s where nobody else is at work: 9 µs each


def test_a_breaker_that_opens_again_and_again_is_told_once(instance: Instance, receiver: Receiver) -> None:
    with _telling(instance, _webhook(receiver, digest_seconds=0.0)) as notices:
        for seconds in (60.0, 120.0, 240.0):
            notices.happened(BreakerOpened("camera, flow", "3 files failed", seconds))
        notices.happened(BreakerClosed("camera, flow", 420.0))
        _wait_for(receiver, 2)

    assert receiver.titles == ["The machine seems to be at fault", "The machine works again"]


def test_one_that_hangs_holds_up_nobody_else(instance: Instance, receiver: Receiver, tmp_path: Path) -> None:
    command = CommandTarget(argv=("/bin/sh", "-c", f"cat >> {tmp_path}/got"))
    receiver.hangs.clear()

    with _telling(instance, NotifySettings(webhook=_webhook(receiver).webhook, command=(command,))) as notices:
        notices.happened(_done(1))
        notices.happened(_done(2))
        wait_until(lambda: (tmp_path / "got").exists() and "2.mp4" in (tmp_path / "got").read_text(), "both notices")

    assert '"more": 0' in (tmp_path / "got").read_text()  # each by itself


def test_the_end_of_the_daemon_tells_the_last_and_waits_for_nobody_who_hangs(
    instance: Instance, receiver: Receiver
) -> None:
    with receiving() as slow:
        slow.hangs.clear()
        settings = NotifySettings(
            webhook=(*_webhook(receiver, digest_seconds=3600.0).webhook, *_webhook(slow).webhook),
            command=(CommandTarget(argv=("/bin/sleep", "300")),),
        )
        with _telling(instance, settings) as notices:
            for number in range(3):
                notices.happened(_done(number))
                _wait_for(receiver, 1)
            _wait_for(slow, 1)
            started = time.monotonic()
            notices.close(0.5)
            seconds = time.monotonic() - started

    assert receiver.titles == ["Done: 0.mp4", "2 videos done"]
    assert seconds < 2.0


def test_what_could_not_be_told_is_told_by_the_next_daemon_once(instance: Instance, receiver: Receiver) -> None:
    receiver.moods = [500] * 1000
    with _telling(instance, _webhook(receiver), Patience(first_seconds=600.0)) as notices:
        ended = _publish(instance, "cat")
        notices.happened(JobPublished("cat-1", "cat.jpg", "cat.mp4", 3, 1.0, 9, at=ended))
        _wait_for(receiver, 1)
    receiver.moods = []

    with _telling(instance, _webhook(receiver)):
        _wait_for(receiver, 2)
        _wait_told(instance)
    with _telling(instance, _webhook(receiver, digest_seconds=0.0)) as notices:
        notices.happened(PluginMuted("bell", "raised"))
        _wait_for(receiver, 3)

    assert receiver.titles == ["Done: cat.mp4", "Done: cat.mp4", "Plugin bell set aside"]


def test_new_settings_leave_alone_who_stays_and_keep_what_waits(instance: Instance, receiver: Receiver) -> None:
    with _telling(instance, _webhook(receiver, digest_seconds=3600.0)) as notices:
        notices.happened(PluginMuted("first", "raised"))
        _wait_for(receiver, 1)
        notices.happened(PluginMuted("second", "raised"))
        notices.equip(_webhook(receiver, digest_seconds=3600.0))
        assert len(receiver.posts) == 1
        notices.equip(_webhook(receiver, digest_seconds=0.0))
        _wait_for(receiver, 2)
        notices.equip(NotifySettings())
        notices.happened(PluginMuted("third", "raised"))

    assert receiver.titles == ["Plugin first set aside", "Plugin second set aside"]
    assert list((instance.tmp / "notices").iterdir()) == []


def test_a_damaged_ledger_keeps_nobody_from_being_told(instance: Instance, receiver: Receiver) -> None:
    instance.ledger.write_bytes(b"no database" * 1000)

    with capture_logs() as lines, _telling(instance, _webhook(receiver)) as notices:
        notices.happened(_done(1))
        _wait_for(receiver, 1)

    assert lines[0]["event"] == "notices_not_caught_up"


def test_a_folder_that_cannot_be_written_costs_one_line(instance: Instance, receiver: Receiver) -> None:
    (instance.tmp / "notices").write_text("in the way")

    with capture_logs() as lines, _telling(instance, _webhook(receiver)) as notices:
        notices.happened(_done(1))

    assert [line["event"] for line in lines] == ["notices_off"]


def _publish(instance: Instance, id: str) -> float:
    """A video that ends after the daemon has come to know its target; returns when."""
    ended = time.time() + 60.0
    ledger = Ledger(instance.ledger)
    ledger.claiming([(id, f"{id}.jpg", None, None)], 1.0)
    ledger.add_job(id, 1, "{}", id, 0, 1.0)
    ledger.publishing(f"{id}-1", f"{id}.mp4")
    ledger.finish(f"{id}-1", "done", "", ended)
    ledger.close()
    return ended


def _wait_told(instance: Instance) -> None:
    (path,) = (instance.tmp / "notices").glob("*.json")
    wait_until(lambda: "cat-1" in path.read_text(), "what was told")
