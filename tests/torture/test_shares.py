from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.disks import missing
from torture.shares import folder_gone, share_gone
from torture.workbench import Workbench

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def test_nothing_is_lost_or_hidden_while_shares_come_and_go(tmp_path: Path) -> None:
    row = share_gone(Workbench(tmp_path), 2, random.Random(2))

    assert row.trials == 2
    assert row.violations == []


def test_nothing_is_lost_or_made_anew_while_folders_are_gone_at_a_start(tmp_path: Path) -> None:
    row = folder_gone(Workbench(tmp_path), 1, random.Random(2), restarted=True)

    assert row.trials == 1
    assert row.violations == []
