"""The service as a whole, with real workers and real ffmpeg."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import av
import pytest

from framedaemon.identity import hash_video
from framedaemon.instance import Instance
from framedaemon.requests import ask_to_cancel
from living import CONFIG, drop, files_below, jobs_of, living, make_instance, run_all, tick_until


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path)


def test_a_dropped_picture_becomes_a_video_with_a_receipt_and_rests_in_done(instance: Instance) -> None:
    drop(instance, "cat.png")

    (job,) = run_all(instance)

    assert job.state == "done"
    assert job.output == "cat.mp4"
    with av.open(str(instance.output / "cat.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 5
    receipt = json.loads((instance.output / "cat.json").read_text())
    assert receipt["video"]["file"] == "cat.mp4"
    assert receipt["frames"] == {"drawn": 3, "shown": 5, "filled": 2, "held_at_cuts": 0, "held_duplicates": 0}
    assert files_below(instance.input) == {"done/cat.png"}
    assert not any(instance.jobs.iterdir())


def test_a_broken_picture_lies_in_failed_with_a_reason_and_the_others_go_on(instance: Instance) -> None:
    (instance.input / "bad.png").write_text("this is no picture")
    drop(instance, "good.png")

    jobs = run_all(instance)

    assert {job.name: job.state for job in jobs} == {"bad.png": "failed", "good.png": "done"}
    assert files_below(instance.input) == {"failed/bad.png", "failed/bad.error.txt", "done/good.png"}
    assert "text file" in (instance.failed / "bad.error.txt").read_text()


def test_sub_folders_are_mirrored_and_their_defaults_apply(instance: Instance) -> None:
    drop(instance, "holiday/sea.png")
    (instance.input / "holiday" / "defaults.toml").write_text('[interpolate]\nuse = "none"\n')

    run_all(instance)

    assert files_below(instance.input) == {"holiday/defaults.toml", "done/holiday/sea.png"}
    with av.open(str(instance.output / "holiday" / "sea.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 3


def test_job_tables_make_several_videos_of_one_picture(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar="[[job]]\ngenerate.frames = 2\n[[job]]\ngenerate.frames = 4\n")

    jobs = run_all(instance)

    assert [job.output for job in jobs] == ["cat.mp4", "cat-2.mp4"]
    assert files_below(instance.input) == {"done/cat.png", "done/cat.toml"}


def test_pictures_with_one_stem_get_videos_of_their_own(instance: Instance) -> None:
    drop(instance, "cat.png")
    drop(instance, "cat.webp")
    (instance.output / "cat.mp4").write_bytes(b"somebody's own")

    run_all(instance)

    assert {"cat.mp4", "cat-2.mp4", "cat-3.mp4"} <= files_below(instance.output)
    assert (instance.output / "cat.mp4").read_bytes() == b"somebody's own"


@pytest.mark.parametrize(
    "name",
    [
        "-rf.png",
        "a b;rm $(x) `y` 'z'.png",
        "new\nline.png",
        "ünïcødé 写真 🐈.png",
        "100%d.png",
        os.fsdecode(b"caf\xe9.png"),
    ],
)
def test_odd_names_become_videos(instance: Instance, name: str) -> None:
    drop(instance, "plain.png").rename(instance.input / name)

    (job,) = run_all(instance)

    assert job.state == "done", job.reason
    assert (instance.output / (job.output or "")).is_file()
    assert (instance.done / name).is_file()


def test_every_mistake_of_a_sidecar_is_told_at_once(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar="[encode]\ncrf = 99\n[generate]\nmove = 'sideways'\n[interpolate]\nfps = -1\n")

    run_all(instance)

    reason = (instance.failed / "cat.error.txt").read_text()
    assert "cat.toml [interpolate] fps" in reason


def test_a_late_sidecar_still_counts_while_the_job_waits(instance: Instance) -> None:
    path = drop(instance, "cat.png")

    with living(instance) as service:
        service.holding = True
        service.tick(time.monotonic())
        service.holding = False
        service._dispatch.start_next = lambda now, wall: None  # type: ignore[method-assign]  # the queue stands still
        service.tick(time.monotonic())
        path.with_suffix(".toml").write_text('[interpolate]\nuse = "none"\n')
        service.woken = True
        tick_until(service, lambda: not path.with_suffix(".toml").exists())

    assert len(jobs_of(instance)) == 1
    run_all(instance)
    with av.open(str(instance.output / "cat.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 3
    assert files_below(instance.input) == {"done/cat.png", "done/cat.toml"}


@pytest.mark.parametrize("fault", ["raise", "exit", "kill", "short", "shape", "noise", "memoryerror"])
def test_a_fault_that_passes_costs_an_attempt_and_not_the_job(instance: Instance, fault: str) -> None:
    drop(instance, "cat.png", sidecar=f'[generate]\nuse = "faulty"\nfault = "{fault}"\ntimes = 1\n')

    (job,) = run_all(instance)

    assert job.state == "done", job.reason
    assert job.attempts == (1 if fault == "noise" else 2)


def test_a_fault_that_stays_ends_in_quarantine_with_its_history(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "kill"\n')
    drop(instance, "good.png")

    jobs = run_all(instance)

    assert {job.name: job.state for job in jobs} == {"cat.png": "quarantined", "good.png": "done"}
    reason = (instance.failed / "cat.error.txt").read_text()
    assert reason.count("crashed") == 3
    assert "SIGKILL" in reason


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise", "faulty: RuntimeError: something broke"),
        ("promise", "faulty: promise() raised KeyError: 'promise'"),
    ],
)
def test_what_a_stage_raises_names_the_stage(instance: Instance, fault: str, said: str) -> None:
    drop(instance, "cat.png", sidecar=f'[generate]\nuse = "faulty"\nfault = "{fault}"\n')

    (job,) = run_all(instance)

    assert job.reason == said


def test_running_out_of_memory_steps_down_and_ends_in_a_refusal(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "memory"\n')

    (job,) = run_all(instance)

    assert job.state == "failed"
    assert job.shrinks == 3
    assert "smaller width and height" in job.reason


def test_a_fit_that_worked_is_where_the_next_job_of_its_shape_starts(instance: Instance) -> None:
    drop(instance, "a.png", sidecar='[generate]\nuse = "faulty"\nfault = "memory"\ntimes = 1\n')
    run_all(instance)

    drop(instance, "b.png", sidecar='[generate]\nuse = "faulty"\n')
    run_all(instance)

    plan = json.loads((instance.output / "b.json").read_text())["plan"]
    assert [step["rung"] for step in plan["steps"] if step["stage"] == "faulty"] == [1]


def test_a_stage_that_hangs_is_killed_and_its_job_tried_again(tmp_path: Path) -> None:
    config = CONFIG.replace("retry_seconds = 0", "retry_seconds = 0\nstall_seconds = 1.5")
    instance = make_instance(tmp_path, config)
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "hang"\ntimes = 1\n')

    (job,) = run_all(instance)

    assert job.state == "done"
    assert job.attempts == 2


def test_a_full_disk_makes_a_job_wait_before_anything_is_loaded_and_it_goes_on_by_itself(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar=f'[generate]\nuse = "faulty"\ndisk = {2**60}\n')
    drop(instance, "good.png")

    with living(instance) as service:
        tick_until(service, lambda: any(job.state == "done" for job in jobs_of(instance)))
        tick_until(service, lambda: not service.busy)
        told = service.describe()

    waiting = next(job for job in jobs_of(instance) if job.name == "cat.png")
    assert waiting.state == "waiting"
    assert told == f"idle; 1 waits: {waiting.reason}"
    assert waiting.strikes == 0
    assert "are needed" in waiting.reason


def test_a_disk_that_runs_full_in_the_middle_is_a_wait_and_not_a_failure(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "full"\n')

    with living(instance) as service:
        tick_until(service, lambda: any(job.state == "waiting" for job in jobs_of(instance)))

    (job,) = jobs_of(instance)
    assert (job.state, job.strikes) == ("waiting", 0)


def test_a_cancelled_job_ends_and_takes_its_worker_along(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "hang"\n')

    with living(instance) as service:
        tick_until(service, lambda: service._dispatch.progress is not None and bool(service._dispatch.progress.stages))
        (job,) = jobs_of(instance)
        ask_to_cancel(instance, job.id)
        tick_until(service, lambda: service.idle)

    assert jobs_of(instance)[0].state == "cancelled"
    assert "failed/cat.png" in files_below(instance.input)


def test_a_stopped_service_leaves_its_job_to_the_next_one_without_a_strike(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "hang"\ntimes = 1\n')
    with living(instance) as service:
        tick_until(service, lambda: service._dispatch.progress is not None and bool(service._dispatch.progress.stages))

    assert jobs_of(instance)[0].state == "queued"

    (job,) = run_all(instance)
    assert (job.state, job.strikes) == ("done", 1)


def test_a_killed_service_loses_nothing_and_publishes_once(instance: Instance) -> None:
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "hang"\ntimes = 1\n')
    child = os.fork()
    if child == 0:
        with living(instance) as service:
            tick_until(service, lambda: False)
    time.sleep(0.1)
    _wait_for(lambda: any(path.name == "tries" for path in instance.jobs.rglob("*")))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    (job,) = run_all(instance)

    assert (job.state, job.attempts) == ("done", 2)
    assert files_below(instance.input) == {"done/cat.png", "done/cat.toml"}
    assert [name for name in files_below(instance.output) if name.endswith(".mp4")] == ["cat.mp4"]


def _wait_for(condition: object, seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]  # a plain callable
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_copy_that_a_crash_cut_short_leaves_input_and_output(instance: Instance) -> None:
    (instance.failed / ".framedaemon-1.part").write_text("half a reason")
    (instance.output / ".framedaemon-1.part").write_text("half a video")

    with living(instance):
        pass

    assert files_below(instance.input) == files_below(instance.output) == set()


def test_what_retention_lets_go_goes_by_itself_but_not_while_the_daemon_holds(instance: Instance) -> None:
    instance.config.write_text(f"{CONFIG}[retention]\ndone_bytes = 1\n", encoding="utf-8")
    drop(instance, "cat.png")
    run_all(instance)
    (instance.tmp / "pruned.json").unlink()
    before = files_below(instance.done)

    with living(instance) as service:
        service.holding = True
        service.tick(time.monotonic())
        held = files_below(instance.done)
        service.holding = False
        service.tick(time.monotonic())
        service.upkeep.wait()

    assert (before, held) == ({"cat.png"}, {"cat.png"})
    assert files_below(instance.done) == set()


def test_a_job_that_waits_need_not_wait_as_long_again_after_the_machine_has_slept(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = instance.config.read_text().replace("retry_seconds = 0", "retry_seconds = 600")
    instance.config.write_text(config, encoding="utf-8")
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "raise"\ntimes = 1\n')
    machine_s, since_start = time.time, time.clock_gettime
    with living(instance) as service:
        tick_until(service, lambda: [job.state for job in jobs_of(instance)] == ["waiting"])

        monkeypatch.setattr(time, "time", lambda: machine_s() + 7200.0)
        monkeypatch.setattr(time, "clock_gettime", lambda clock: since_start(clock) + 7200.0)

        tick_until(service, lambda: service.idle, seconds=30.0)
    assert [job.state for job in jobs_of(instance)] == ["done"]


def test_a_job_that_waits_does_not_wait_for_a_clock_that_was_set_back(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = instance.config.read_text().replace("retry_seconds = 0", "retry_seconds = 0.2")
    instance.config.write_text(config, encoding="utf-8")
    drop(instance, "cat.png", sidecar='[generate]\nuse = "faulty"\nfault = "raise"\ntimes = 1\n')
    machine_s = time.time
    with living(instance) as service:
        tick_until(service, lambda: [job.state for job in jobs_of(instance)] == ["waiting"])

        monkeypatch.setattr(time, "time", lambda: machine_s() - 600.0)

        tick_until(service, lambda: service.idle, seconds=30.0)
    assert [job.state for job in jobs_of(instance)] == ["done"]


def test_the_daemon_is_not_idle_while_it_still_looks_at_videos_of_what_is_to_go(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`framedaemon once`, called every hour by cron, would else never come to the end of it."""
    drop(instance, "cat.png")
    run_all(instance)
    (instance.tmp / "pruned.json").unlink()
    instance.config.write_text(f"{CONFIG}[retention]\ndone_bytes = 1\n", encoding="utf-8")
    read = threading.Event()
    monkeypatch.setattr("framedaemon.proof.hash_video", lambda path: [read.wait(), hash_video(path)][1])

    with living(instance) as service:
        service.tick(time.monotonic())
        looking = service.idle
        read.set()
        service.upkeep.wait()
        tick_until(service, lambda: service.idle)

    assert not looking
    assert files_below(instance.done) == set()
