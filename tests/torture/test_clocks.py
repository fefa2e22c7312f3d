"""The clock set back once, as it is set to and fro by the hundred with `python tests/torture`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.clocks import FAULTS, lacking
from torture.workbench import Workbench


@pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
def test_a_clock_that_is_set_back_keeps_no_job_waiting(tmp_path: Path) -> None:
    row = FAULTS["clock set back ten minutes"](Workbench(tmp_path), 1, random.Random(1))

    assert row.trials == 1
    assert not row.violations
