from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.history import History
from framedaemon.ledger import Ledger


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    yield ledger.history
    ledger.close()


def _measure(history: History, *seconds: float, work: float = 10.0, now: float = 0.0) -> None:
    for index, took in enumerate(seconds):
        history.measure("flow", work, took, 0, 0, now + index)


def _measure_bytes(history: History, *ratios: float) -> None:
    for index, ratio in enumerate(ratios):
        history.measure("ffmpeg", 10.0, 1.0, 1000, round(1000 * ratio), float(index))


def test_a_stage_that_never_ran_takes_nobody_knows_how_long(history: History) -> None:
    assert history.seconds("flow", 10.0) is None


def test_time_is_told_by_the_median_speed(history: History) -> None:
    _measure(history, 10, 20, 1000)

    assert history.seconds("flow", 10.0) == pytest.approx(20)
    assert history.seconds("flow", 5.0) == pytest.approx(10)


def test_stages_are_measured_apart(history: History) -> None:
    _measure(history, 10)

    assert history.seconds("camera", 10.0) is None


def test_work_of_no_size_says_nothing_about_speed(history: History) -> None:
    _measure(history, 10, work=0.0)

    assert history.seconds("flow", 10.0) is None


def test_only_the_last_twenty_jobs_count(history: History) -> None:
    _measure(history, *[1000.0] * 30)
    _measure(history, *[10.0] * 20, now=100.0)

    assert history.seconds("flow", 10.0) == pytest.approx(10)


def test_what_fitted_on_a_machine_is_forgotten_when_it_becomes_another(history: History) -> None:
    history.remember_fit("cuda:0 [H100, 128 GiB] flow 64x48x161", 2)
    history.remember_fit("cuda:0 flow 64x48x161", 1)
    history.remember_fit("cuda:0 [H100, 12 GiB] flow 64x48x161", 3)

    history.forget_other_machines("cuda:0 [H100, 128 GiB]")

    assert history.fits() == {"cuda:0 [H100, 128 GiB] flow 64x48x161": 2}


def test_a_clock_that_was_set_back_does_not_stop_the_learning(history: History) -> None:
    _measure(history, *[1000.0] * 20, now=1e9)
    _measure(history, *[10.0] * 20, now=0.0)

    assert history.seconds("flow", 10.0) == pytest.approx(10)


def test_jobs_of_the_same_moment_do_not_pile_up(history: History) -> None:
    for _ in range(50):
        history.measure("flow", 10.0, 1000.0, 0, 0, 5.0)
    for _ in range(20):
        history.measure("flow", 10.0, 10.0, 0, 0, 5.0)

    assert history.seconds("flow", 10.0) == pytest.approx(10)


def test_an_estimate_that_was_never_tried_is_believed(history: History) -> None:
    _measure(history, 10)

    assert history.correction("flow") == 1.0
    assert history.correction("ffmpeg") == 1.0


def test_an_estimate_is_corrected_by_the_median_of_recent_videos(history: History) -> None:
    """It counts itself for two of them."""
    _measure_bytes(history, 0.5, 3.0, 0.7, 0.4, 0.6)

    assert history.correction("ffmpeg") == pytest.approx(0.7)


def test_a_first_odd_video_changes_no_estimate(history: History) -> None:
    _measure_bytes(history, 0.1)

    assert history.correction("ffmpeg") == 1.0


@pytest.mark.parametrize(("ratio", "correction"), [(100.0, 4.0), (0.001, 0.25)])
def test_odd_videos_do_not_stop_the_queue(history: History, ratio: float, correction: float) -> None:
    _measure_bytes(history, *[ratio] * 5)

    assert history.correction("ffmpeg") == correction


def test_large_videos_are_forgotten_after_twenty_small_ones(history: History) -> None:
    _measure_bytes(history, *[3.0] * 20, *[0.5] * 20)

    assert history.correction("ffmpeg") == pytest.approx(0.5)


def test_the_last_rung_that_worked_is_remembered(history: History) -> None:
    history.remember_fit("cuda:0 wan 832x480x81", 2)
    history.remember_fit("cuda:0 wan 832x480x81", 3)
    history.remember_fit("cpu flow 64x48x8", 1)

    assert history.fits() == {"cuda:0 wan 832x480x81": 3, "cpu flow 64x48x8": 1}


def test_only_the_shapes_that_were_used_last_are_remembered(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that tells of thousands does not fit into a worker's line, and every job would fail."""
    monkeypatch.setattr("framedaemon.history._MOST_FITS", 2)

    for size in (8, 16, 24, 8):
        history.remember_fit(f"cpu flow {size}x{size}x8", 1)

    assert history.fits() == {"cpu flow 8x8x8": 1, "cpu flow 24x24x8": 1}
    assert history._db.execute("SELECT count(*) FROM placements").fetchone()[0] == 2


def test_what_was_learnt_survives_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.history.remember_fit("cpu flow 64x48x8", 1)
    ledger.history.measure("flow", 10.0, 5.0, 0, 0, 1.0)
    ledger.close()

    again = Ledger(tmp_path / "ledger.sqlite3")

    assert again.history.fits() == {"cpu flow 64x48x8": 1}
    assert again.history.seconds("flow", 10.0) == pytest.approx(5)
    again.close()
