"""Break a daemon in every way that is known, and print what came of it.

    python tests/torture [FAULT …] [--trials 200] [--minutes 60] [--seed 1] [--list]

Each fault strikes up to ``--trials`` times; ``--minutes`` are shared out among the faults. Exits with 1 when a promise
was broken: the fault stops there, and its folder is kept to be looked at.
"""

from __future__ import annotations

import argparse
import importlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torture.report import Row, table
from torture.workbench import Workbench

Fault: TypeAlias = Callable[[Workbench, int, random.Random], Row]

# Violations of one fault that are printed: the first say most.
_SHOWN = 10


def known_faults() -> dict[str, Fault]:
    """What the modules beside this one offer, by name."""
    faults: dict[str, Fault] = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if "\nFAULTS: dict[str, Callable" in path.read_text("utf-8"):
            faults |= importlib.import_module(f"torture.{path.stem}").FAULTS
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the faults that are named, or all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python tests/torture", description=__doc__.partition("\n")[0])
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="all without; --list says which there are")
    parser.add_argument("--trials", type=int, default=200, help="of each fault, at most")
    parser.add_argument("--minutes", type=float, default=60.0, help="for all faults together, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    faults = known_faults()
    given = parser.parse_args(arguments)
    unknown = set(given.faults) - faults.keys()
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    if given.list:
        print("\n".join(faults))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    rows = torture(
        {name: faults[name] for name in given.faults or faults}, folder, given.trials, given.minutes * 60.0, given.seed
    )
    print(table(rows))
    if any(row.violations for row in rows):
        print(f"what broke is left in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def torture(faults: Mapping[str, Fault], folder: Path, trials: int, seconds: float, seed: int) -> list[Row]:
    """Run each of ``faults`` in a folder of its own, and keep that if a promise was broken."""
    rows: list[Row] = []
    end = time.monotonic() + seconds
    for left, (name, fault) in zip(range(len(faults), 0, -1), faults.items(), strict=True):
        started = time.monotonic()
        bench = Workbench(folder / name.replace(" ", "-"), until=started + (end - started) / left)
        row = fault(bench, trials, random.Random(f"{seed} {name}"))
        row.seconds = time.monotonic() - started
        rows.append(row)
        print(f"{name}: {row.trials} trials, {len(row.violations)} violations, {row.seconds:.0f} s", flush=True)
        for violation in row.violations[:_SHOWN]:
            print(f"  {' '.join(str(violation).split())}"[:400], flush=True)
        if not row.violations:
            shutil.rmtree(bench.folder, ignore_errors=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
