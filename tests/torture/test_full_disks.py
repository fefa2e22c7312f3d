from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.disks import missing
from torture.full_disks import disk_full
from torture.workbench import Workbench

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.mark.parametrize("part", ["tmp", "output"])
def test_a_daemon_bears_a_disk_that_fills_up_and_goes_on_when_there_is_room(tmp_path: Path, part: str) -> None:
    row = disk_full(Workbench(tmp_path), 1, random.Random(1), part)

    assert row.trials == 1
    assert row.violations == []
