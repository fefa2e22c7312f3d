"""A few of the hangs, as they are tried by the hundred with `python tests/torture`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.hangs import FAULTS
from torture.workbench import Workbench


@pytest.mark.parametrize("fault", ["stage sleeps", "child left behind"])
def test_what_hangs_is_replaced_and_the_jobs_done(tmp_path: Path, fault: str) -> None:
    row = FAULTS[fault](Workbench(tmp_path), 1, random.Random(1))

    assert row.trials >= 1
    assert not row.violations
