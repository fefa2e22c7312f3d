"""Jobs from the queue to their end, with a real ledger and real files; only the worker is played."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from fakes import machine, picture, registry_of
from framedaemon.dispatch import Dispatch
from framedaemon.events import (
    BreakerClosed,
    BreakerOpened,
    DiskWaited,
    Event,
    JobFailed,
    JobPublished,
    JobRetried,
    JobStarted,
    JobWaiting,
    StageSeconds,
)
from framedaemon.executor import Report
from framedaemon.ledger import AttemptRow, JobRow, Ledger
from framedaemon.messages import Advanced, Ended, EndKind, Finished, Order, Planned, Ready
from framedaemon.plan import make_plan
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.settings import DiskSettings, Settings, WorkerSettings
from framedaemon.summary import PlanSummary
from framedaemon.workspace import Workspace
from living import files_below, make_instance

E = TypeVar("E", bound=Event)

ROOMY = Settings(disk=DiskSettings(keep_free_bytes=0), worker=WorkerSettings(retry_seconds=10.0))
FULL = ROOMY.model_copy(update={"disk": DiskSettings(keep_free_bytes=2**62)})
RECIPE = Recipe(
    generate=StageChoice(use="squares"), interpolate=InterpolateChoice(use="blend"), encode=StageChoice(use="raw")
)


def plan() -> PlanSummary:
    return make_plan(picture(), RECIPE, registry_of(), machine(), seed=1).summary()


class Played:
    """An executor whose worker does what the test says."""

    def __init__(self, ledger: Ledger) -> None:
        self.settings = ROOMY
        self.free = True
        self.ended = 0
        self.ordered: list[Order] = []
        self.went: list[str] = []
        self.put_offs: list[str] = []
        self.attempts_when_ordered: list[list[AttemptRow]] = []
        self._ledger = ledger

    def available(self, now: float) -> bool:
        return self.free

    def order(self, order: Order, now: float) -> None:
        self.ordered.append(order)
        self.attempts_when_ordered.append(self._ledger.attempts(order.job))

    def go(self, job: str, now: float) -> None:
        self.went.append(job)

    def put_off(self, job: str, now: float) -> None:
        self.put_offs.append(job)

    def poll(self, now: float) -> list[Report]:
        return []

    def end(self) -> None:
        self.ended += 1

    def handles(self) -> list[int]:
        return []

    def next_check(self) -> float | None:
        return None


class Desk:
    """A dispatch with claimed pictures."""

    def __init__(self, folder: Path) -> None:
        self.instance = make_instance(folder)
        self.ledger = Ledger(self.instance.ledger)
        self.executor = Played(self.ledger)
        self.events: list[Event] = []
        self.dispatch = Dispatch(self.instance, ROOMY, self.ledger, self.executor, self.events.append)

    def claim(self, id: str, priority: int = 0, jobs: int = 1, created: float = 1.0) -> None:
        name = f"{id}.png"
        source = Workspace(self.instance.jobs / id).source
        source.mkdir(parents=True)
        (source / name).write_text("picture")
        self.ledger.claiming([(id, name, None, None)], created)
        for number in range(1, jobs + 1):
            self.ledger.add_job(id, number, RECIPE.to_json(), f"{id}{number}", priority, created)
        self.ledger.set_drop(id, "open")

    def job(self, id: str) -> JobRow:
        job = self.ledger.job(id)
        assert job is not None
        return job

    def start(self, wall: float = 10.0) -> str | None:
        """The job that is ordered, if one is."""
        before = len(self.executor.ordered)
        self.dispatch.start_next(0.0, wall)
        return self.executor.ordered[-1].job if len(self.executor.ordered) > before else None

    def hear(self, report: Report, wall: float = 20.0) -> None:
        self.dispatch.hear(report, 0.0, wall)

    def finish(self, id: str, wall: float = 20.0) -> None:
        """The worker makes the job's video, as planned."""
        self.hear(Planned(job=id, plan=plan()))
        folder = Path(self.executor.ordered[-1].folder)
        (folder / "video.raw").write_bytes(b"video")
        (folder / "receipt.json").write_text('{"video": {"file": "video.raw"}}')
        self.hear(Finished(job=id, video="video.raw", bytes=5, seconds={"squares": 2.0, "raw": 4.0}), wall)

    def end(self, id: str, kind: EndKind, wall: float = 20.0, reason: str = "it broke") -> None:
        self.hear(Ended(job=id, kind=kind, reason=reason), wall)

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.ledger.close()


def test_the_first_of_the_most_urgent_goes_first_and_one_at_a_time(desk: Desk) -> None:
    desk.claim("late", priority=5, created=3.0)
    desk.claim("early", priority=5, created=2.0)
    desk.claim("idle", created=1.0)

    assert desk.start() == "early-1"
    assert desk.start() is None
    assert desk.dispatch.busy


def test_nothing_is_begun_while_no_worker_is_to_be_had(desk: Desk) -> None:
    desk.claim("cat")
    desk.executor.free = False

    assert desk.start() is None

    assert desk.job("cat-1").attempts == 0


def test_an_attempt_is_recorded_before_the_worker_hears_of_it(desk: Desk) -> None:
    desk.claim("cat")

    desk.start()

    assert [attempt.number for attempt in desk.executor.attempts_when_ordered[0]] == [1]
    assert desk.told(JobStarted) == [JobStarted("cat-1", "cat.png", 1)]


def test_an_order_says_all_that_the_worker_needs(desk: Desk) -> None:
    desk.claim("cat", jobs=2)
    desk.ledger.history.remember_fit("cpu squares 32x24x8", 2)
    desk.start()
    desk.hear(Planned(job="cat-1", plan=plan()))
    desk.end("cat-1", "memory")
    desk.finish(desk.start(21.0) or "")
    desk.start(22.0)

    second, last = desk.executor.ordered[1:]

    assert (second.job, second.number, second.attempt, second.shrinks) == ("cat-1", 1, 2, 1)
    assert (last.job, last.number, last.attempt, last.shrinks) == ("cat-2", 2, 1, 0)
    assert last.source == str(desk.instance.jobs / "cat" / "source" / "cat.png")
    assert last.folder == str(desk.instance.jobs / "cat" / "2")
    assert last.recipe == RECIPE
    assert last.fits["cpu squares 32x24x8"] == 2


def test_a_planned_job_goes_when_there_is_room(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()

    desk.hear(Planned(job="cat-1", plan=plan()))

    assert desk.executor.went == ["cat-1"]
    assert PlanSummary.model_validate_json(desk.job("cat-1").plan or "") == plan()


def test_a_planned_job_without_room_waits_uncounted_and_lets_the_worker_go(desk: Desk) -> None:
    desk.claim("cat")
    desk.dispatch.settings = FULL
    desk.start()

    desk.hear(Planned(job="cat-1", plan=plan()), 20.0)

    job = desk.job("cat-1")
    assert desk.executor.put_offs == ["cat-1"]
    assert not desk.dispatch.busy
    assert (job.state, job.strikes, job.not_before) == ("waiting", 0, 35.0)
    assert "are needed" in job.reason


def test_a_job_whose_folder_cannot_be_made_waits_and_another_goes(desk: Desk) -> None:
    desk.claim("cat")
    desk.claim("dog", created=2.0)
    (desk.instance.jobs / "cat" / "1").write_text("somebody's")

    assert [desk.start(), desk.start()] == [None, "dog-1"]

    job = desk.job("cat-1")
    assert (job.state, job.attempts, job.not_before) == ("waiting", 0, 25.0)
    assert job.reason == f"{desk.instance.jobs}/cat/1: File exists"
    assert [event.job for event in desk.told(JobWaiting)] == ["cat-1"]


def test_a_job_that_is_planned_while_output_is_gone_waits_until_it_is_back(desk: Desk) -> None:
    """Else its plan would be heard again and again, before all else, even that the worker has ended."""
    desk.claim("cat")
    desk.start()
    desk.instance.output.rename(desk.instance.root / "gone")

    desk.hear(Planned(job="cat-1", plan=plan()))

    assert not desk.dispatch.busy
    assert desk.job("cat-1").reason == f"{desk.instance.output}: No such file or directory"
    (desk.instance.root / "gone").rename(desk.instance.output)
    assert desk.start(36.0) == "cat-1"


def test_a_job_that_waits_for_room_does_not_bother_the_worker_and_says_so_once(desk: Desk) -> None:
    desk.claim("cat")
    desk.claim("small", created=2.0)
    desk.dispatch.settings = FULL
    desk.start()
    desk.hear(Planned(job="cat-1", plan=plan()))
    desk.end(desk.start() or "", "rejected")

    assert [desk.start(wall) for wall in (40.0, 60.0, 80.0)] == [None, None, None]

    assert desk.job("cat-1").attempts == 1
    assert len(desk.told(DiskWaited)) == len(desk.told(JobWaiting)) == 1


def test_a_job_that_waited_for_room_goes_on_by_itself(desk: Desk) -> None:
    desk.claim("cat")
    desk.dispatch.settings = FULL
    desk.start()
    desk.hear(Planned(job="cat-1", plan=plan()))

    desk.dispatch.settings = ROOMY

    assert desk.start(30.0) is None
    assert desk.start(36.0) == "cat-1"


def test_a_finished_video_is_published_and_its_picture_put_away(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()

    desk.finish("cat-1", 20.0)

    assert desk.job("cat-1").state == "done"
    assert files_below(desk.instance.output) >= {"cat1.raw", "cat1.json"}
    assert files_below(desk.instance.input) == {"done/cat.png"}
    stages = (StageSeconds("generate", "squares", 2.0), StageSeconds("encode", "raw", 4.0))
    assert desk.told(JobPublished) == [JobPublished("cat-1", "cat.png", "cat1.raw", 15, 10.0, 5, stages, 20.0)]
    assert not desk.dispatch.busy


def test_a_picture_rests_only_when_all_its_jobs_have_ended(desk: Desk) -> None:
    desk.claim("cat", jobs=2)
    desk.finish(desk.start() or "")
    assert files_below(desk.instance.input) == set()

    desk.end(desk.start() or "", "rejected", reason="too wide")

    assert files_below(desk.instance.input) == {"failed/cat.png", "failed/cat.error.txt"}


def test_what_a_job_took_is_kept_for_the_next_one(desk: Desk) -> None:
    desk.claim("cat", jobs=3)

    for _ in range(3):
        desk.finish(desk.start() or "")

    assert desk.ledger.history.seconds("squares", plan().megapixels) == pytest.approx(2.0)
    assert desk.ledger.history.correction(plan().video_kind) == 0.25  # 5 bytes, far fewer than estimated


def test_a_video_that_cannot_be_published_is_kept_and_published_when_it_can(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()
    (desk.instance.output / "logs").rmdir()
    desk.instance.output.rmdir()
    desk.instance.output.write_text("a file in the way")
    desk.finish("cat-1", 20.0)
    held = desk.job("cat-1")

    desk.dispatch.publish_held(30.0)
    desk.instance.output.unlink()
    desk.instance.output.mkdir()
    desk.dispatch.publish_held(36.0)
    desk.dispatch.publish_held(50.0)

    assert (held.state, held.not_before) == ("publishing", 35.0)
    assert not desk.dispatch.busy, "other jobs may go on"
    assert len(desk.told(JobWaiting)) == len(desk.told(JobPublished)) == 1
    assert (desk.instance.output / "cat1.raw").read_bytes() == b"video"


def test_a_finished_video_that_vanished_is_made_again(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()
    desk.hear(Planned(job="cat-1", plan=plan()))

    desk.hear(Finished(job="cat-1", video="video.raw", bytes=5, seconds={}))

    job = desk.job("cat-1")
    assert (job.state, job.strikes) == ("waiting", 1)
    assert "not in" in job.reason
    assert desk.start(100.0) == "cat-1"


def test_a_rejected_job_fails_at_once_with_its_reason(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()

    desk.end("cat-1", "rejected", reason="crf: 99 is not in 0..51")

    assert (desk.job("cat-1").state, desk.job("cat-1").attempts) == ("failed", 1)
    assert "99 is not in" in (desk.instance.failed / "cat.error.txt").read_text()
    assert desk.told(JobFailed) == [JobFailed("cat-1", "cat.png", "failed", "crf: 99 is not in 0..51", 20.0)]


def test_each_failure_doubles_the_pause_and_the_last_ends_in_quarantine(desk: Desk) -> None:
    desk.claim("cat")
    pauses = []
    failures: list[tuple[float, EndKind]] = [(100.0, "failed"), (200.0, "crashed")]
    for wall, kind in failures:
        desk.start(wall)
        desk.end("cat-1", kind, wall)
        pauses.append(desk.job("cat-1").not_before - wall)

    desk.start(300.0)
    desk.end("cat-1", "stalled", 300.0)

    assert pauses == [10.0, 20.0]
    assert desk.job("cat-1").state == "quarantined"
    assert len(desk.told(JobRetried)) == 2
    assert [attempt.outcome for attempt in desk.ledger.attempts("cat-1")] == ["failed", "crashed", "stalled"]


def test_no_pause_is_longer_than_an_hour(desk: Desk) -> None:
    desk.claim("cat")
    desk.dispatch.settings = ROOMY.model_copy(update={"worker": WorkerSettings(retry_seconds=3000.0, max_attempts=9)})
    for wall in (0.0, 10_000.0):
        desk.start(wall)
        desk.end("cat-1", "failed", wall)

    assert desk.job("cat-1").not_before == 10_000.0 + 3600.0


@pytest.mark.parametrize(("kind", "pause"), [("memory", 0.0), ("disk", 15.0)])
def test_want_of_memory_or_disk_counts_against_no_job(desk: Desk, kind: EndKind, pause: float) -> None:
    desk.claim("cat")
    desk.start()
    desk.hear(Planned(job="cat-1", plan=plan()))

    desk.end("cat-1", kind, 20.0)

    job = desk.job("cat-1")
    assert (job.state, job.strikes, job.not_before) == ("waiting", 0, 20.0 + pause)
    assert job.shrinks == (kind == "memory")


def test_a_file_that_is_too_much_to_open_counts_since_no_placement_is_smaller(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()

    desk.end("cat-1", "memory", 20.0)

    job = desk.job("cat-1")
    assert (job.state, job.strikes, job.shrinks) == ("waiting", 1, 0)


def test_a_memory_policy_that_never_gives_up_does_not_keep_a_job_for_ever(desk: Desk) -> None:
    desk.claim("cat")
    for wall in range(100):
        desk.start(float(wall))
        desk.hear(Planned(job="cat-1", plan=plan()))
        desk.end("cat-1", "memory", float(wall), "no room on the device")

    job = desk.job("cat-1")
    assert (job.state, job.reason) == ("quarantined", "no room on the device")
    assert job.attempts < 50


def test_progress_is_told_by_frames_and_by_what_gives_none(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()
    desk.hear(Planned(job="cat-1", plan=plan()))
    progress = desk.dispatch.progress
    assert progress is not None

    desk.hear(Advanced(job="cat-1", stage="denoise", done=250, total=1000))
    stepping = progress.step
    desk.hear(Advanced(job="cat-1", stage="squares", done=3, total=8))

    assert stepping == "denoise 25 %"
    assert (progress.step, progress.stages) == ("", {"squares": (3, 8)})


def test_what_is_heard_of_another_job_changes_nothing(desk: Desk) -> None:
    desk.claim("cat")
    desk.claim("dog", created=2.0)
    desk.start()

    desk.end("dog-1", "failed")

    assert desk.job("dog-1").state == "queued"
    assert desk.dispatch.busy


def test_a_cancelled_job_takes_its_worker_along(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()

    desk.dispatch.cancel("cat-1", 20.0)
    desk.end("cat-1", "crashed")

    assert desk.executor.ended == 1
    assert desk.job("cat-1").state == "cancelled"
    assert files_below(desk.instance.input) == {"failed/cat.png", "failed/cat.error.txt"}


def test_a_job_that_waits_is_cancelled_without_disturbing_the_one_at_work(desk: Desk) -> None:
    desk.claim("cat")
    desk.claim("dog", created=2.0)
    desk.start()

    desk.dispatch.cancel("dog-1", 20.0)

    assert desk.executor.ended == 0
    assert (desk.job("cat-1").state, desk.job("dog-1").state) == ("running", "cancelled")


def test_what_is_published_or_unknown_cannot_be_cancelled(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()
    desk.ledger.publishing("cat-1", "cat1.raw")

    desk.dispatch.cancel("cat-1", 20.0)
    desk.dispatch.cancel("nothing", 20.0)

    assert desk.job("cat-1").state == "publishing"
    assert desk.events == [JobStarted("cat-1", "cat.png", 1)]


def test_a_stop_leaves_the_job_to_the_next_start_uncounted(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()

    desk.dispatch.stop(20.0)

    job = desk.job("cat-1")
    assert desk.executor.ended == 1
    assert (job.state, job.attempts, job.strikes) == ("queued", 1, 0)


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (Finished(job="cat-1", video="video.raw", bytes=5, seconds={"raw": 1.0}), "done"),
        (Ended(job="cat-1", kind="failed", reason="no"), "waiting"),
        (Ended(job="cat-1", kind="rejected", reason="no"), "failed"),
    ],
)
def test_a_report_that_could_not_be_recorded_counts_when_it_is_heard_again(
    desk: Desk, report: Report, state: str
) -> None:
    """While the disk is full the ledger refuses; what the worker said must not be lost by it."""
    desk.claim("cat")
    desk.start()
    desk.hear(Planned(job="cat-1", plan=plan()))
    (desk.instance.jobs / "cat" / "1" / "video.raw").write_bytes(b"video")
    desk.ledger._db.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        desk.hear(report)
    desk.ledger._db.execute("PRAGMA query_only = OFF")

    desk.hear(report)
    desk.hear(report)

    assert desk.job("cat-1").state == state
    assert len(desk.told(JobPublished)) == (state == "done")
    assert len(desk.ledger.attempts("cat-1")) == 1


def test_a_video_is_published_once_even_if_what_it_took_cannot_be_recorded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.claim("cat")
    desk.start()
    monkeypatch.setattr(desk.ledger.history, "measure", _refuse)
    with pytest.raises(sqlite3.OperationalError):
        desk.finish("cat-1")
    monkeypatch.undo()

    desk.hear(Finished(job="cat-1", video="video.raw", bytes=5, seconds={"raw": 4.0}))

    assert len(desk.told(JobPublished)) == 1
    assert files_below(desk.instance.output) >= {"cat1.raw", "cat1.json"}
    assert not (desk.instance.jobs / "cat").exists()
    assert desk.ledger.history.seconds("raw", 1.0) is not None


def test_a_picture_that_input_does_not_take_back_is_put_away_later(desk: Desk) -> None:
    desk.claim("cat")
    desk.instance.done.rmdir()
    desk.instance.done.write_text("a file in the way")
    desk.finish(desk.start() or "")
    waiting = files_below(desk.instance.jobs / "cat" / "source")

    desk.dispatch.close_held()
    desk.instance.done.unlink()
    desk.dispatch.close_held()

    assert waiting == {"cat.png"}
    assert desk.job("cat-1").state == "done"
    assert files_below(desk.instance.input) == {"done/cat.png"}


def test_a_picture_whose_job_ended_right_before_the_disk_was_full_is_put_away_later(desk: Desk) -> None:
    desk.claim("cat")
    desk.ledger.finish("cat-1", "failed", "it is no cat", 1.0)

    desk.dispatch.close_held()

    assert files_below(desk.instance.input) == {"failed/cat.png", "failed/cat.error.txt"}
    assert desk.ledger.unclosed() == []


def test_a_picture_put_away_late_has_its_reason_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes the small file and not the large one."""
    desk.claim("cat")
    desk.start()
    monkeypatch.setattr("framedaemon.closing.move_aside", _full)
    desk.end("cat-1", "rejected")
    desk.dispatch.close_held()
    monkeypatch.undo()

    desk.dispatch.close_held()

    assert files_below(desk.instance.input) == {"failed/cat.png", "failed/cat.error.txt"}


def _refuse(*facts: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def _full(source: Path, target: Path) -> Path:
    raise OSError(28, "No space left on device")


def test_a_plugin_is_said_to_be_broken_once_and_again_only_for_another_reason(desk: Desk) -> None:
    desk.dispatch.broken = {"a": "known at start"}

    with capture_logs() as lines:
        desk.hear(Ready(pid=1, device="cpu", broken={"a": "known at start", "b": "no torch"}))
        desk.hear(Ready(pid=2, device="cpu", broken={"a": "known at start", "b": "no torch"}))
        desk.hear(Ready(pid=3, device="cpu", broken={"b": "torch is broken"}))

    said = [(line["plugin"], line["reason"]) for line in lines if line["event"] == "plugin_broken"]
    assert said == [("b", "no torch"), ("b", "torch is broken")]


def test_a_recipe_that_another_version_wrote_ends_its_job_alone(desk: Desk) -> None:
    """Nothing that can be read of it is worth a daemon that ends at each start."""
    desk.claim("cat")
    desk.claim("dog", created=2.0)
    desk.ledger._db.execute("UPDATE jobs SET recipe = '{\"written\": 1}' WHERE drop_id = 'cat'")

    assert [desk.start(), desk.start()] == [None, "dog-1"]

    assert desk.job("cat-1").state == "failed"
    assert files_below(desk.instance.input) == {"failed/cat.png", "failed/cat.error.txt"}
    assert "another version" in (desk.instance.failed / "cat.error.txt").read_text()


def test_a_plan_that_another_version_wrote_is_no_hindrance(desk: Desk) -> None:
    desk.claim("cat")
    desk.ledger.set_plan("cat-1", '{"written": "by another version"}', "")

    assert desk.start() == "cat-1"
    desk.finish("cat-1")

    assert desk.job("cat-1").state == "done"


PLACE = "squares, blend, raw"


def _claim_all(desk: Desk, *ids: str) -> None:
    for created, id in enumerate(ids):
        desk.claim(id, created=float(created))


def _fail_next(desk: Desk, wall: float, cause: str = "RuntimeError", planned: bool = True) -> str:
    """The next job fails, as on a machine that is broken; returns its id."""
    id = desk.start(wall) or ""
    if planned:
        desk.hear(Planned(job=id, plan=plan()), wall)
    desk.hear(Ended(job=id, kind="failed", reason="CUDA error", cause=cause), wall)
    return id


def test_when_different_jobs_fail_alike_none_is_lost_and_all_wait(desk: Desk) -> None:
    _claim_all(desk, "a", "b", "c", "d")

    failed = [_fail_next(desk, wall) for wall in (10.0, 11.0, 12.0)]

    assert failed == ["a-1", "b-1", "c-1"]
    assert desk.told(BreakerOpened) == [
        BreakerOpened(PLACE, f"jobs of 3 different files in a row failed (RuntimeError) in {PLACE}", 60.0)
    ]
    assert [(desk.job(id).state, desk.job(id).strikes) for id in failed] == [("waiting", 0)] * 3
    assert [desk.job(id).not_before for id in failed] == [72.0] * 3
    assert "the machine seems to be at fault" in desk.job("c-1").reason
    assert [attempt.reason for attempt in desk.ledger.attempts("c-1")] == ["CUDA error"]


def test_a_job_that_was_never_planned_finds_the_breaker_open_and_waits_uncounted(desk: Desk) -> None:
    _claim_all(desk, "a", "b", "c", "d")
    _ = [_fail_next(desk, wall) for wall in (10.0, 11.0, 12.0)]

    desk.hear(Planned(job=desk.start(13.0) or "", plan=plan()), 13.0)

    job = desk.job("d-1")
    assert desk.executor.put_offs == ["d-1"]
    assert (job.state, job.strikes, job.not_before) == ("waiting", 0, 72.0)
    assert [attempt.outcome for attempt in desk.ledger.attempts("d-1")] == ["held"]
    assert desk.start(14.0) is None


def test_the_machine_comes_back_and_every_job_becomes_a_video(desk: Desk) -> None:
    _claim_all(desk, "a", "b", "c", "d")
    _ = [_fail_next(desk, wall) for wall in (10.0, 11.0, 12.0)]
    tried = [_fail_next(desk, wall) for wall in (72.0, 192.0, 432.0, 912.0)]
    early = desk.start(1871.0)

    made = []
    while id := desk.start(1872.0 + len(made)):
        desk.finish(id, 1872.0 + len(made))
        made.append(id)

    assert early is None
    assert tried == ["d-1", "a-1", "b-1", "c-1"], "first the one that has not failed, then the others by turns"
    assert sorted(made) == ["a-1", "b-1", "c-1", "d-1"]
    assert desk.told(BreakerClosed) == [BreakerClosed(PLACE, 1860.0)]
    assert files_below(desk.instance.input) == {"done/a.png", "done/b.png", "done/c.png", "done/d.png"}


def test_one_poison_job_among_good_ones_opens_nothing(desk: Desk) -> None:
    _claim_all(desk, "poison", "good")

    _fail_next(desk, 10.0)
    desk.finish(desk.start(11.0) or "", 11.0)
    again = [_fail_next(desk, wall) for wall in (100.0, 200.0)]

    assert again == ["poison-1"] * 2
    assert desk.job("poison-1").state == "quarantined"
    assert desk.told(BreakerOpened) == []


def test_jobs_that_are_themselves_at_fault_come_to_their_end_among_good_ones(desk: Desk) -> None:
    """They open the breaker together, a good one closes it; the second time each pays for itself."""
    _claim_all(desk, "a", "b", "c")
    wall, good, ended = 10.0, 0, 0

    while ended < 3 and wall < 100_000:
        wall += 1000.0
        desk.claim(f"good{good}", created=wall - 500.0)
        good += 1
        while id := desk.start(wall):
            wall += 1.0
            desk.hear(Planned(job=id, plan=plan()), wall)
            if id.startswith("good"):
                desk.finish(id, wall)
            else:
                desk.hear(Ended(job=id, kind="crashed", reason="died", cause="SIGSEGV"), wall)
        ended = desk.ledger.count().get("quarantined", 0)

    assert (ended, desk.ledger.count()["done"]) == (3, good - 1)
    assert good == 4, "three attempts each, and one that was given back"


def test_refused_pictures_open_nothing(desk: Desk) -> None:
    _claim_all(desk, *"abcdef")

    for id in "abcdef":
        assert desk.start(10.0) == f"{id}-1"
        desk.end(f"{id}-1", "rejected", 10.0)

    assert desk.told(BreakerOpened) == []
    assert desk.ledger.count() == {"failed": 6}


def test_a_file_that_is_opened_between_those_that_crash_the_decoder_shows_that_it_is_they(desk: Desk) -> None:
    _claim_all(desk, "a", "b", "good", "c")

    crashed = [_fail_next(desk, wall, "SIGSEGV", planned=False) for wall in (10.0, 11.0)]
    desk.finish(desk.start(12.0) or "", 12.0)
    crashed.append(_fail_next(desk, 13.0, "SIGSEGV", planned=False))

    assert crashed == ["a-1", "b-1", "c-1"]
    assert desk.told(BreakerOpened) == []


def test_a_worker_that_does_not_come_up_costs_no_job_anything(desk: Desk) -> None:
    _claim_all(desk, "a", "b")
    died = Ended(job="a-1", kind="crashed", reason="it ended", cause="exit code 1", came_up=False)
    for wall in (10.0, 70.0, 190.0, 430.0):
        desk.start(wall)
        desk.hear(died.model_copy(update={"job": desk.executor.ordered[-1].job}), wall)

    held = desk.start(500.0)
    job = desk.start(910.0)
    desk.hear(Ready(pid=1, device="cpu"), 911.0)

    assert held is None
    assert [desk.job(id).strikes for id in ("a-1", "b-1")] == [int(job == "a-1"), int(job == "b-1")]
    assert [event.seconds for event in desk.told(BreakerOpened)] == [60.0, 120.0, 240.0, 480.0]
    assert len(desk.told(BreakerClosed)) == 1


def test_a_failed_job_is_tried_again_behind_those_that_were_there_before_it_is_due(desk: Desk) -> None:
    """Long attempts outlast the pause: else the first job would be tried three times before the second once."""
    _claim_all(desk, "a", "b", "c")

    tried = [_fail_next(desk, wall, cause) for wall, cause in ((1000.0, "A"), (2000.0, "B"), (3000.0, "C"))]

    assert tried == ["a-1", "b-1", "c-1"]


def test_a_job_that_fits_in_no_placement_is_known_to_want_memory(desk: Desk) -> None:
    desk.claim("cat")
    desk.start()

    desk.hear(Ended(job="cat-1", kind="rejected", reason="it does not fit", cause="OutOfMemory"))

    assert [job.id for job in desk.ledger.ended_by("memory")] == ["cat-1"]


def test_what_fitted_is_forgotten_when_the_worker_comes_up_on_another_machine(desk: Desk) -> None:
    before, after = (replace(machine("cuda:0"), identity=gpu).known_as for gpu in ("H100", "H200"))
    desk.ledger.history.remember_fit(f"{before} wan 832x480x81", 2)

    desk.hear(Ready(pid=1, device="cuda:0", machine=before))
    known = desk.ledger.history.fits()
    desk.hear(Ready(pid=2, device="cuda:0", machine=after))

    assert known == {f"{before} wan 832x480x81": 2}
    assert desk.ledger.history.fits() == {}
