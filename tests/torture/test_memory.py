"""A little of memory running out, as it is tried by the hundred with `python tests/torture`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.memory import FAULTS, control_groups
from torture.workbench import Workbench


def test_a_lost_device_is_got_back_by_a_fresh_worker(tmp_path: Path) -> None:
    row = FAULTS["device lost"](Workbench(tmp_path), 1, random.Random(1))

    assert row.trials >= 1
    assert not row.violations


@pytest.mark.skipif(control_groups() is None, reason="control groups cannot be made here")
def test_a_worker_that_the_kernel_ends_for_memory_goes_on_in_a_smaller_placement(tmp_path: Path) -> None:
    row = FAULTS["worker killed by the kernel"](Workbench(tmp_path), 1, random.Random(1))

    assert row.trials >= 1
    assert not row.violations
