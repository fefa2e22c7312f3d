from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.io_errors import service_errors
from torture.strace import works
from torture.workbench import Workbench

pytestmark = pytest.mark.skipif(not works(), reason="strace is not here, or may not trace")


def test_nothing_is_lost_when_system_calls_of_the_service_fail(tmp_path: Path) -> None:
    row = service_errors(Workbench(tmp_path), 6, random.Random(4))

    assert row.trials >= 3, "some of the calls were not reached"
    assert row.violations == []
