"""A few stages that do their work wrong, through a whole daemon; all of them with `python tests/torture quality`."""

from __future__ import annotations

import random
from pathlib import Path

from torture.quality import WRONGS, gate
from torture.workbench import Workbench

_FEW = {("generate", "nan"), ("interpolate", "missing"), ("encode", "swapped"), ("encode", "sound")}


def test_what_a_stage_did_wrong_is_never_published_and_the_reason_names_it(tmp_path: Path) -> None:
    few = [wrong for wrong in WRONGS if (wrong.table, wrong.what) in _FEW]

    row = gate(few, Workbench(tmp_path), len(few), random.Random(1))

    assert row.trials == len(_FEW)
    assert not row.violations
