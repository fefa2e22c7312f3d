from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.disks import ext4, missing, recorded
from torture.power_cuts import power_cut
from torture.workbench import Workbench, put

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def test_a_cut_leaves_what_was_flushed_and_nothing_else(tmp_path: Path) -> None:
    with recorded(tmp_path / "disks", tmp_path / "powered") as recording:
        put(tmp_path / "powered" / "flushed", b"x" * 10_000)
        (tmp_path / "powered" / "written").write_bytes(b"x" * 10_000)
        end = recording.now()

    _, (image,) = next(recording.cut([end], random.Random(1)))

    with ext4(image, tmp_path / "cut") as cut:
        assert {path.name for path in cut.iterdir()} == {"flushed", "lost+found"}
        assert (cut / "flushed").read_bytes() == b"x" * 10_000


def test_nothing_is_lost_or_partial_when_the_power_fails(tmp_path: Path) -> None:
    row = power_cut(Workbench(tmp_path), 3, random.Random(1))

    assert row.trials == 3
    assert row.violations == []
