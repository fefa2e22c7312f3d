from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.forecast import Forecast
from framedaemon.ledger import JobRow, Ledger
from queues import end_job, plan_of, queue_job


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


def _forecast(ledger: Ledger) -> Forecast:
    return Forecast(ledger.history, ledger.lookup.took())


def _job(ledger: Ledger, id: str) -> JobRow:
    job = ledger.job(id)
    assert job is not None
    return job


def test_a_job_takes_what_others_of_its_recipe_took_whatever_is_to_be_seen(ledger: Ledger) -> None:
    end_job(ledger, "a", seconds=60.0)
    end_job(ledger, "b", seconds=120.0)
    end_job(ledger, "c", seconds=9000.0, use="wan")

    job = _job(ledger, queue_job(ledger, "d", prompt="a cat on a mat"))

    assert _forecast(ledger).seconds(job) == pytest.approx(90.0)


def test_of_a_recipe_that_never_ran_nothing_is_said(ledger: Ledger) -> None:
    end_job(ledger, "a", seconds=60.0)

    job = _job(ledger, queue_job(ledger, "b", use="wan"))

    assert _forecast(ledger).seconds(job) is None


def test_a_planned_job_takes_what_its_slowest_stage_takes(ledger: Ledger) -> None:
    plan = plan_of()
    id = queue_job(ledger, "a")
    ledger.set_plan(id, plan.model_dump_json(), plan.place)

    by_estimates = _forecast(ledger).seconds(_job(ledger, id))
    ledger.history.measure("raw", plan.megapixels / 2, 40.0, 0, 0, now=1.0)
    by_history = _forecast(ledger).seconds(_job(ledger, id))

    assert by_estimates == max(step.seconds for step in plan.steps)
    assert by_history == pytest.approx(80.0)


def test_a_plan_that_another_version_made_is_none(ledger: Ledger) -> None:
    end_job(ledger, "a", seconds=60.0)
    id = queue_job(ledger, "b")
    ledger.set_plan(id, '{"from": "tomorrow"}', "somewhere")

    assert _forecast(ledger).seconds(_job(ledger, id)) == pytest.approx(60.0)
