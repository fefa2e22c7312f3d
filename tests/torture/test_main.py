"""The one command: which faults there are, what it prints and keeps, how it ends."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from torture.__main__ import known_faults, main, torture
from torture.invariants import Violation
from torture.mutants import MUTANTS
from torture.report import Row
from torture.workbench import Workbench


def test_every_fault_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    assert {"service killed", "worker: each call", "soak, one life", "power cut"} <= set(
        capsys.readouterr().out.splitlines()
    )


def test_a_fault_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["meteorite"])

    assert "no such fault: meteorite" in capsys.readouterr().err


def test_every_mutant_is_struck_by_a_fault_that_there_is() -> None:
    assert {mutant.fault for mutant in MUTANTS} <= known_faults().keys()


def test_what_broke_is_kept_and_said_and_the_rest_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(bench: Workbench, trials: int, rng: random.Random) -> Row:
        bench.instance("x")
        return Row("breaks", trials, [Violation("lost", "a picture\nof a cat")])

    def holds(bench: Workbench, trials: int, rng: random.Random) -> Row:
        bench.instance("x")
        return Row("holds", trials)

    rows = torture({"breaks": breaks, "holds": holds}, tmp_path, trials=7, seconds=60.0, seed=1)

    assert [(row.fault, row.trials) for row in rows] == [("breaks", 7), ("holds", 7)]
    assert [path.name for path in tmp_path.iterdir()] == ["breaks"]
    assert "  lost: a picture of a cat\n" in capsys.readouterr().out


def test_the_same_seed_gives_a_fault_the_same_chances_whatever_else_runs(tmp_path: Path) -> None:
    drawn: list[float] = []

    def draws(bench: Workbench, trials: int, rng: random.Random) -> Row:
        drawn.append(rng.random())
        return Row("draws")

    torture({"draws": draws}, tmp_path, trials=1, seconds=1.0, seed=1)
    torture({"other": lambda bench, trials, rng: Row("other"), "draws": draws}, tmp_path, trials=1, seconds=1.0, seed=1)

    assert drawn[0] == drawn[1]


def test_time_is_shared_out_among_the_faults(tmp_path: Path) -> None:
    """What one fault leaves of its share is there for those after it."""

    def counts(bench: Workbench, trials: int, rng: random.Random) -> Row:
        return Row("counts", sum(1 for _ in bench.trials(trials)))

    in_time, too_late = (
        torture({"counts": counts}, tmp_path, trials=5, seconds=seconds, seed=1) for seconds in (60.0, -1.0)
    )

    assert (in_time[0].trials, too_late[0].trials) == (5, 0)
