from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from framedaemon.database import VERSION
from framedaemon.errors import SettingsError
from framedaemon.ledger import ENDED, STRIKES, JobRow, JobState, Ledger, Outcome, RetryKind

BROKEN_NAME = os.fsdecode(b"caf\xe9/\xff\n.jpg")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def _claim(ledger: Ledger, id: str = "d", name: str = "photo.jpg", now: float = 1.0) -> None:
    ledger.claiming([(id, name, None, None)], now)
    ledger.set_drop(id, "open")


def _add(ledger: Ledger, id: str = "d", stem: str = "", priority: int = 0, now: float = 1.0) -> str:
    """A drop with one job, queued; returns the job's id."""
    _claim(ledger, id, now=now)
    ledger.add_job(id, 1, "{}", stem or id, priority, now)
    return f"{id}-1"


def _job(ledger: Ledger, id: str = "d-1") -> JobRow:
    job = ledger.job(id)
    assert job is not None
    return job


# --- drops


def test_a_drop_goes_from_claiming_to_closed(ledger: Ledger) -> None:
    ledger.claiming([("d", "sub/photo.jpg", "sub/photo.toml", None)], 5.0)
    claiming = ledger.drop("d")

    ledger.set_drop("d", "open")
    ledger.closing("d", "done/sub/photo.jpg")
    ledger.close_drop("d", "done/sub/photo.jpg")

    assert (claiming.state, claiming.name, claiming.sidecar) == ("claiming", "sub/photo.jpg", "sub/photo.toml")
    assert (ledger.drop("d").state, ledger.drop("d").rests) == ("closed", "done/sub/photo.jpg")


def test_drops_are_claimed_all_or_none(ledger: Ledger) -> None:
    _claim(ledger, "b")

    with pytest.raises(sqlite3.IntegrityError):
        ledger.claiming([("a", "a.jpg", None, None), ("b", "b.jpg", None, None)], 1.0)

    assert [drop.id for drop in ledger.drops("claiming", "open")] == ["b"]


def test_drops_are_found_by_their_state_oldest_first(ledger: Ledger) -> None:
    ledger.claiming([("late", "a", None, None)], 3.0)
    ledger.claiming([("early", "b", None, None)], 1.0)
    _claim(ledger, "open", now=2.0)

    assert [drop.id for drop in ledger.drops("claiming")] == ["early", "late"]
    assert [drop.id for drop in ledger.drops("claiming", "open")] == ["early", "open", "late"]


def test_only_a_drop_whose_file_never_moved_can_be_forgotten(ledger: Ledger) -> None:
    ledger.claiming([("claiming", "a", None, None)], 1.0)
    _claim(ledger, "open")

    ledger.forget_drop("claiming")
    ledger.forget_drop("open")

    assert [drop.id for drop in ledger.drops("claiming", "open")] == ["open"]


def test_what_was_put_away_is_listed_as_it_was_taken_with_its_end(ledger: Ledger) -> None:
    for id, now in (("late", 9.0), ("early", 1.0), ("open", 2.0)):
        _add(ledger, id, now=now)
    for id, ended in (("late", 9.5), ("early", 1.5)):
        ledger.finish(f"{id}-1", "failed", "", ended)
        ledger.close_drop(id, f"failed/{id}.jpg")

    assert [(drop.id, drop.rests, ended) for drop, ended in ledger.put_away()] == [
        ("late", "failed/late.jpg", 9.5), ("early", "failed/early.jpg", 1.5),
    ]  # fmt: skip


def test_what_was_put_into_a_folder_is_found_by_its_place_the_last_one_where_there_were_several(
    ledger: Ledger,
) -> None:
    places = {"a": "waiting/cat.jpg", "b": "waiting/dog.jpg", "c": "done/cat.jpg", "d": "waiting/cat.jpg"}
    for id, rests in places.items():
        _claim(ledger, id)
        ledger.close_drop(id, rests)
    _claim(ledger, "e")
    ledger.closing("e", "waiting/cow.jpg")

    found = ledger.resting_in("waiting")

    assert {place: drop.id for place, drop in found.items()} == {"waiting/cat.jpg": "d", "waiting/dog.jpg": "b"}


def test_the_last_drop_is_found_by_where_it_was_put_or_how_it_came(ledger: Ledger) -> None:
    for id, name, rests in (("a", "cat.jpg", "waiting/cat.jpg"), ("b", "approved/cat.jpg", "failed/cat.jpg")):
        _claim(ledger, id, name)
        ledger.close_drop(id, rests)
    _claim(ledger, "c", "approved/cat.jpg")

    last, first = (ledger.last_closed("waiting/cat.jpg", name) for name in ("approved/cat.jpg", "approved/dog.jpg"))

    assert (last and last.id, first and first.id) == ("b", "a")
    assert ledger.last_closed("waiting/dog.jpg", "approved/dog.jpg") is None


def test_names_that_are_not_utf8_come_back_byte_for_byte(ledger: Ledger) -> None:
    ledger.claiming([("d", BROKEN_NAME, BROKEN_NAME + ".toml", None)], 1.0)
    ledger.add_job("d", 1, "{}", "cafe", 0, 1.0)
    ledger.close_drop("d", f"done/{BROKEN_NAME}")

    drop = ledger.drop("d")

    assert os.fsencode(drop.name) == b"caf\xe9/\xff\n.jpg"
    assert (drop.sidecar, drop.rests) == (BROKEN_NAME + ".toml", f"done/{BROKEN_NAME}")
    assert _job(ledger).name == BROKEN_NAME


def test_a_late_sidecar_is_noted(ledger: Ledger) -> None:
    _claim(ledger)

    ledger.set_sidecar("d", BROKEN_NAME)

    assert ledger.drop("d").sidecar == BROKEN_NAME


# --- jobs


def test_a_job_is_queued_with_all_that_is_known_of_it(ledger: Ledger) -> None:
    _claim(ledger, name="photo.jpg")
    ledger.add_job("d", 2, '{"a": 1}', "photo-2", 7, 9.0)

    job = _job(ledger, "d-2")

    assert (job.drop_id, job.number, job.name, job.recipe, job.stem) == ("d", 2, "photo.jpg", '{"a": 1}', "photo-2")
    assert (job.state, job.priority, job.created) == ("queued", 7, 9.0)
    assert (job.attempts, job.strikes, job.shrinks, job.ended, job.output, job.plan) == (0, 0, 0, None, None, None)


def test_a_job_that_is_not_there_is_none(ledger: Ledger) -> None:
    assert ledger.job("d-1") is None


def test_a_job_without_a_drop_is_refused(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        ledger.add_job("nobody", 1, "{}", "photo", 0, 1.0)


def test_an_attempt_counts_before_it_starts(path: Path, ledger: Ledger) -> None:
    """As the disk holds it when the power goes."""
    _add(ledger)

    number = ledger.start("d-1", 5.0)

    seen = Ledger(path, read_only=True)
    job = _job(seen)
    assert number == 1
    assert (job.state, job.attempts, job.strikes, job.started) == ("running", 1, 1, 5.0)
    assert [(attempt.number, attempt.ended) for attempt in seen.attempts("d-1")] == [(1, None)]
    seen.close()


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_only_what_is_the_jobs_own_fault_counts_against_it(ledger: Ledger, outcome: Outcome) -> None:
    _add(ledger)
    ledger.start("d-1", 5.0)

    ledger.again("d-1", outcome, "why", 8.0, 20.0)

    job = _job(ledger)
    assert (job.attempts, job.strikes) == (1, int(outcome in STRIKES))
    assert job.shrinks == (1 if outcome == "memory" else 0)
    assert job.state == ("queued" if outcome == "stopped" else "waiting")
    assert (job.reason, job.not_before) == ("why", 20.0)


def test_a_job_whose_finished_video_is_gone_is_tried_again(ledger: Ledger) -> None:
    _add(ledger)
    ledger.start("d-1", 5.0)
    ledger.publishing("d-1", "photo.mp4")

    ledger.again("d-1", "failed", "the video is gone", 6.0, 7.0)

    assert (_job(ledger).state, ledger.next_due()) == ("waiting", 7.0)


def test_every_attempt_is_kept_with_its_end(ledger: Ledger) -> None:
    _add(ledger)
    ledger.start("d-1", 5.0)
    ledger.again("d-1", "crashed", "it died", 8.0, 8.0)
    ledger.start("d-1", 9.0)

    ledger.finish("d-1", "quarantined", "it died again", 12.0, "crashed")

    attempts = ledger.attempts("d-1")
    assert [(a.number, a.started, a.ended) for a in attempts] == [(1, 5.0, 8.0), (2, 9.0, 12.0)]
    assert [(a.outcome, a.reason) for a in attempts] == [("crashed", "it died"), ("crashed", "it died again")]


def test_a_job_is_published_under_a_name_that_was_recorded_before(ledger: Ledger) -> None:
    _add(ledger)
    ledger.start("d-1", 5.0)

    ledger.publishing("d-1", "photo.mp4")
    publishing = _job(ledger)
    ledger.finish("d-1", "done", "", 9.0)

    assert (publishing.state, publishing.output, publishing.ended) == ("publishing", "photo.mp4", None)
    assert (_job(ledger).state, _job(ledger).output, _job(ledger).ended) == ("done", "photo.mp4", 9.0)


def test_a_video_that_has_not_even_a_name_yet_still_waits_to_be_published(ledger: Ledger) -> None:
    """output/ may be gone before a name was recorded; a job left 'running' would never be looked at again."""
    _add(ledger)
    ledger.start("d-1", 5.0)

    ledger.hold_publication("d-1", "output/ is gone", 30.0)

    assert [job.id for job in ledger.jobs("publishing")] == ["d-1"]
    assert (_job(ledger).output, _job(ledger).reason, ledger.next_due()) == (None, "output/ is gone", 30.0)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_job_that_ended_stays_as_it_ended(ledger: Ledger, state: JobState) -> None:
    _add(ledger)
    ledger.start("d-1", 5.0)
    ledger.finish("d-1", state, "because", 9.0)
    ended = _job(ledger)

    ledger.again("d-1", "failed", "later", 10.0, 10.0)
    ledger.wait("d-1", "later", 10.0)
    ledger.publishing("d-1", "later.mp4")
    ledger.hold_publication("d-1", "later", 10.0)
    ledger.finish("d-1", "cancelled", "later", 10.0)

    assert _job(ledger) == ended
    assert ledger.next_job(99.0) is None
    assert ledger.next_due() is None
    with pytest.raises(ValueError, match="d-1 cannot be started"):
        ledger.start("d-1", 10.0)


def test_a_job_at_work_cannot_be_started_again_or_sent_to_wait(ledger: Ledger) -> None:
    _add(ledger)
    ledger.start("d-1", 5.0)

    ledger.wait("d-1", "no room", 50.0)

    with pytest.raises(ValueError, match="at work"):
        ledger.start("d-1", 6.0)
    assert (_job(ledger).state, _job(ledger).attempts) == ("running", 1)


def test_a_reason_may_hold_a_name_that_is_not_utf8(ledger: Ledger) -> None:
    _add(ledger)
    ledger.wait("d-1", f"no room for {BROKEN_NAME}", 0.0)
    waiting = _job(ledger).reason
    ledger.start("d-1", 1.0)
    ledger.again("d-1", "failed", BROKEN_NAME, 2.0, 2.0)
    ledger.start("d-1", 3.0)

    ledger.finish("d-1", "failed", BROKEN_NAME, 4.0)

    assert waiting == "no room for caf\\xe9/\\xff\n.jpg"
    assert _job(ledger).reason == "caf\\xe9/\\xff\n.jpg"
    assert [attempt.reason for attempt in ledger.attempts("d-1")] == ["caf\\xe9/\\xff\n.jpg"] * 2


def test_the_plan_of_the_last_attempt_is_kept(ledger: Ledger) -> None:
    _add(ledger)

    ledger.set_plan("d-1", '{"frames": 8}', "camera, ffmpeg")

    assert _job(ledger).plan == '{"frames": 8}'


def test_only_jobs_that_were_never_tried_can_be_taken_back(ledger: Ledger) -> None:
    _add(ledger)
    ledger.add_job("d", 2, "{}", "other", 0, 1.0)
    ledger.start("d-1", 5.0)

    ledger.remove_jobs("d")

    assert [job.id for job in ledger.jobs_of("d")] == ["d-1"]


# --- the queue


def test_the_queue_goes_by_priority_then_age_then_number(ledger: Ledger) -> None:
    _add(ledger, "young", now=2.0)
    _add(ledger, "urgent", priority=5, now=9.0)
    _add(ledger, "old", now=1.0)
    ledger.add_job("old", 2, "{}", "old-2", 0, 1.0)
    _add(ledger, "idle", priority=-5, now=0.0)
    order: list[str] = []

    while job := ledger.next_job(10.0):
        ledger.start(job.id, 10.0)
        order.append(job.id)

    assert order == ["urgent-1", "old-1", "old-2", "young-1", "idle-1"]


def test_a_job_that_waits_is_passed_over_until_its_time(ledger: Ledger) -> None:
    _add(ledger, "a", now=1.0)
    _add(ledger, "b", now=2.0)
    ledger.wait("a-1", "no room", 50.0)

    early, due = ledger.next_job(49.0), ledger.next_job(50.0)

    assert (early and early.id, due and due.id) == ("b-1", "a-1")


def test_waits_and_the_queue_s_order_go_along_when_the_clock_is_set(ledger: Ledger) -> None:
    _add(ledger, "waits", now=100.0)
    _add(ledger, "queued", now=200.0)
    ledger.wait("waits-1", "no room", 320.0)

    ledger.shift(-250.0)

    _add(ledger, "newcomer", now=55.0)
    early, due = ledger.next_job(69.0), ledger.next_job(70.0)
    assert (early and early.id, due and due.id) == ("queued-1", "waits-1")
    assert (_job(ledger, "waits-1").not_before, _job(ledger, "queued-1").not_before) == (70.0, 0.0)


def test_a_wait_from_before_the_clock_was_set_back_is_over(ledger: Ledger) -> None:
    _add(ledger, now=1e9)
    ledger.wait("d-1", "no room", 1e9 + 3600.0)

    just_begun, long_past = _job(ledger).due(1e9), _job(ledger).due(1e9 - 1.0)
    job = ledger.next_job(1e9 - 1.0)

    assert (just_begun, long_past) == (False, True)
    assert ledger.next_job(1e9) is None
    assert job is not None


def test_a_job_that_goes_to_the_end_lets_pass_what_came_before_it_is_due(ledger: Ledger) -> None:
    _add(ledger, "failed", now=1.0)
    _add(ledger, "before", now=19.0)
    _add(ledger, "after", now=21.0)
    ledger.start("failed-1", 5.0)
    ledger.again("failed-1", "failed", "", 10.0, 20.0)
    ledger.to_the_end("failed-1", 20.0)
    order: list[str] = []

    while job := ledger.next_job(30.0):
        ledger.start(job.id, 30.0)
        order.append(job.drop_id)

    assert order == ["before", "failed", "after"]


def test_the_next_due_time_is_that_of_the_first_job_that_waits(ledger: Ledger) -> None:
    _add(ledger, "a")
    _add(ledger, "b")
    ledger.wait("a-1", "", 50.0)
    ledger.wait("b-1", "", 40.0)

    assert ledger.next_due() == 40.0


def test_a_job_at_work_is_not_due(ledger: Ledger) -> None:
    _add(ledger)
    ledger.start("d-1", 5.0)

    assert ledger.next_due() is None


def test_jobs_are_listed_newest_first_and_by_state(ledger: Ledger) -> None:
    _add(ledger, "a", now=1.0)
    _add(ledger, "b", now=2.0)
    _add(ledger, "c", now=3.0)
    ledger.finish("b-1", "failed", "", 4.0)

    assert [job.id for job in ledger.jobs()] == ["c-1", "b-1", "a-1"]
    assert [job.id for job in ledger.jobs("queued")] == ["c-1", "a-1"]
    assert [job.id for job in ledger.jobs("failed", "done")] == ["b-1"]
    assert [job.id for job in ledger.jobs(limit=1)] == ["c-1"]
    assert ledger.count() == {"queued": 2, "failed": 1}


def test_jobs_are_found_by_how_they_ended(ledger: Ledger) -> None:
    outcomes: list[tuple[str, JobState, Outcome | None]] = [
        ("crash", "quarantined", "crashed"), ("fault", "quarantined", "failed"), ("hang", "quarantined", "stalled"),
        ("wrong", "failed", "rejected"), ("large", "failed", "memory"), ("wanted", "cancelled", None),
        ("ok", "done", None),
    ]  # fmt: skip
    for id, state, outcome in outcomes:
        _add(ledger, id)
        ledger.start(f"{id}-1", 5.0)
        ledger.finish(f"{id}-1", state, "", 6.0, outcome)
    _add(ledger, "unopened")
    ledger.finish("unopened-1", "failed", "its sidecar is wrong", 6.0)
    _add(ledger, "queued")

    found = {kind: {job.drop_id for job in ledger.ended_by(kind)} for kind in get_args(RetryKind)}

    assert found == {
        "rejected": {"wrong", "unopened"}, "memory": {"large"}, "failed": {"fault"}, "crashed": {"crash"},
        "stalled": {"hang"}, "quarantined": {"crash", "fault", "hang"}, "cancelled": {"wanted"},
    }  # fmt: skip


def test_two_unfinished_jobs_never_share_a_name_in_output(ledger: Ledger) -> None:
    _add(ledger, "a", stem="sub/Photo")

    with pytest.raises(sqlite3.IntegrityError):
        _add(ledger, "b", stem="sub/photo")

    assert ledger.stem_taken("SUB/PHOTO")


def test_a_name_is_free_again_once_its_job_has_ended(ledger: Ledger) -> None:
    _add(ledger, "a", stem="photo")
    ledger.finish("a-1", "failed", "", 4.0)

    _add(ledger, "b", stem="photo")

    assert [job.stem for job in ledger.jobs()] == ["photo", "photo"]


# --- the file


def test_everything_survives_a_restart(path: Path) -> None:
    first = Ledger(path)
    _add(first)
    first.start("d-1", 5.0)
    before = _job(first)
    first.close()

    second = Ledger(path)

    assert _job(second) == before
    second.close()


def test_a_commit_is_on_disk_and_not_only_in_the_systems_cache(ledger: Ledger) -> None:
    settings = [ledger._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert settings == ["wal", 2]  # FULL


def test_others_read_while_the_daemon_writes_and_cannot_write(path: Path, ledger: Ledger) -> None:
    reader = Ledger(path, read_only=True)

    _add(ledger)

    assert [job.id for job in reader.jobs()] == ["d-1"]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.set_plan("d-1", "{}", "")
    reader.close()


def test_a_ledger_that_is_not_there_is_not_made_by_reading_it(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Ledger(path, read_only=True)

    assert not path.exists()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_ledger_of_a_newer_framedaemon_is_left_alone(path: Path, read_only: bool) -> None:
    Ledger(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()

    with pytest.raises(SettingsError, match=f"has version 99; this framedaemon knows {VERSION}"):
        Ledger(path, read_only)


def test_a_folder_whose_name_is_not_utf8_can_hold_the_ledger(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 ?mode=rw#")
    folder.mkdir()
    ledger = Ledger(folder / "ledger.sqlite3")
    _add(ledger)

    reader = Ledger(folder / "ledger.sqlite3", read_only=True)

    assert [job.id for job in reader.jobs()] == ["d-1"]
    reader.close()
    ledger.close()


def test_a_transaction_that_fails_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.transaction():
        ledger.set_plan(_add_bare(ledger), "{}", "")
        _ = 1 // 0

    assert ledger.jobs() == []
    _add(ledger)  # and the next one works


def _add_bare(ledger: Ledger) -> str:
    ledger._db.execute("INSERT INTO drops (id, name, state, created) VALUES ('x', x'61', 'open', 1)")
    ledger.add_job("x", 1, "{}", "x", 0, 1.0)
    return "x-1"


def test_a_full_disk_is_said_as_such_and_the_ledger_goes_on_when_there_is_room(ledger: Ledger) -> None:
    """SQLite's own limit stands in for the disk's: it ends a transaction in the same way."""
    _add(ledger)
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(sqlite3.OperationalError, match="full"), ledger.transaction():
        ledger.set_plan("d-1", "x" * 1_000_000, "")
    ledger._db.execute("PRAGMA max_page_count = 100000")
    ledger.start("d-1", 5.0)

    assert (_job(ledger).state, _job(ledger).plan) == ("running", None)


# --- any order of events


class Jobs(RuleBasedStateMachine):
    """Whatever the daemon does to jobs, in any order, with restarts in between: the ledger stays true."""

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.ledger = Ledger(self.folder / "ledger.sqlite3")
        self.clock = 0.0
        self.ended: dict[str, JobRow] = {}

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            shutil.rmtree(self.folder)

    def _tick(self) -> float:
        self.clock += 1.0
        return self.clock

    def _any(self, data: st.DataObject) -> JobRow:
        return data.draw(st.sampled_from(self.ledger.jobs()))

    def _at_work(self) -> list[JobRow]:
        return self.ledger.jobs("running")

    @rule(priority=st.integers(-1, 1))
    def add(self, priority: int) -> None:
        now = self._tick()
        _add(self.ledger, f"d{now:.0f}", priority=priority, now=now)

    @rule()
    def start_next(self) -> None:
        waiting = [job for job in self.ledger.jobs("queued", "waiting") if job.not_before <= self.clock]
        first = min(waiting, key=lambda job: (-job.priority, job.created), default=None)

        job = self.ledger.next_job(self.clock)

        assert job == first
        if job is not None:
            assert self.ledger.start(job.id, self._tick()) == job.attempts + 1

    @precondition(lambda self: self._at_work())
    @rule(outcome=st.sampled_from(get_args(Outcome)), pause=st.integers(0, 3))
    def fail_once(self, outcome: Outcome, pause: int) -> None:
        before = self._at_work()[0]

        self.ledger.again(before.id, outcome, outcome, self._tick(), self.clock + pause)

        after = _job(self.ledger, before.id)
        assert after.attempts == before.attempts
        assert after.strikes == before.strikes - (outcome not in STRIKES)

    @precondition(lambda self: self._at_work())
    @rule(named=st.booleans())
    def publish(self, named: bool) -> None:
        job = self._at_work()[0]
        if named:
            self.ledger.publishing(job.id, f"{job.stem}.mp4")
        else:
            self.ledger.hold_publication(job.id, "no room", self.clock)

    @precondition(lambda self: self.ledger.jobs())
    @rule(data=st.data(), state=st.sampled_from(sorted(ENDED)))
    def finish(self, data: st.DataObject, state: JobState) -> None:
        job = self._any(data)
        self.ledger.finish(job.id, state, state, self._tick())
        self.ended.setdefault(job.id, _job(self.ledger, job.id))

    @precondition(lambda self: self.ledger.jobs())
    @rule(data=st.data(), out_of_turn=st.sampled_from(["start", "again", "wait", "publishing", "hold"]))
    def disturb(self, data: st.DataObject, out_of_turn: str) -> None:
        """What a confused caller might say of any job, in whatever state."""
        id, now = self._any(data).id, self._tick()
        if out_of_turn == "start":
            try:
                self.ledger.start(id, now)
            except ValueError:
                assert _job(self.ledger, id).state not in ("queued", "waiting")
        elif out_of_turn == "again":
            self.ledger.again(id, "stopped", "", now, now)
        elif out_of_turn == "wait":
            self.ledger.wait(id, "", now)
        elif out_of_turn == "publishing":
            self.ledger.publishing(id, "x.mp4")
        else:
            self.ledger.hold_publication(id, "", now)

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.folder / "ledger.sqlite3")

    @invariant()
    def what_ended_stays_ended_and_ended_once(self) -> None:
        assert {job.id: job for job in self.ledger.jobs() if job.ended is not None} == self.ended
        assert all((job.state in ENDED) == (job.ended is not None) for job in self.ledger.jobs())

    @invariant()
    def a_job_at_work_has_one_open_attempt_and_one_in_the_queue_has_none(self) -> None:
        for job in self.ledger.jobs():
            still_open = [attempt for attempt in self.ledger.attempts(job.id) if attempt.ended is None]
            assert len(still_open) <= 1
            assert job.state != "running" or len(still_open) == 1
            assert job.state not in ("queued", "waiting", *ENDED) or not still_open

    @invariant()
    def attempts_are_counted_and_strikes_are_never_more(self) -> None:
        for job in self.ledger.jobs():
            assert [attempt.number for attempt in self.ledger.attempts(job.id)] == list(range(1, job.attempts + 1))
            assert 0 <= job.strikes <= job.attempts
            assert 0 <= job.shrinks <= job.attempts


Jobs.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestJobs = Jobs.TestCase


def test_a_reason_steers_no_terminal(ledger: Ledger) -> None:
    """It comes from names, decoders and plugins, and goes into .error.txt, logs and `framedaemon status`."""
    _add(ledger)

    ledger.finish("d-1", "failed", "first \x1b[2J\u202eline\nsecond\rline", 4.0)

    assert _job(ledger).reason == "first \\x1b[2J\\u202eline\nsecond\\rline"
