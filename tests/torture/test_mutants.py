"""The mutants keep up with the product. That the kit catches each is shown by `python tests/torture/mutants.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from torture.mutants import MUTANTS, Change, Mutant, mutate


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_can_still_be_made(tmp_path: Path, mutant: Mutant) -> None:
    mutate(mutant, tmp_path)

    for change in mutant.changes:
        compile((tmp_path / change.file).read_bytes(), change.file, "exec")


def test_a_mutant_whose_text_is_gone_fails_loudly(tmp_path: Path) -> None:
    gone = Mutant("gone", "none", (Change("daemon/framedaemon/closing.py", "nobody wrote this", ""),))

    with pytest.raises(ValueError, match="has 0 times: nobody wrote this"):
        mutate(gone, tmp_path)
