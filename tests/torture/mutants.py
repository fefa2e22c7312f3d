"""The product with its care taken away, one piece at a time: the kit is worth something only if it notices each.

    python tests/torture/mutants.py [MUTANT …] [--trials 200] [--list]

Prints, for each, how many trials the named fault took to catch it; exits with 1 if one was not caught. A mutant is a
few exact replacements in a copy of daemon/ and plugins/; one whose text is not there any more fails loudly.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_SOURCES = ("daemon", "plugins")


@dataclass(frozen=True, slots=True)
class Change:
    """One replacement in a file of the product."""

    file: str
    old: str
    """Stands there exactly once."""
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A product with a fault, and the cheapest way that is known to see it."""

    name: str
    fault: str
    changes: tuple[Change, ...]


_CLOSING = "daemon/framedaemon/closing.py"
_DISPATCH = "daemon/framedaemon/dispatch.py"
_EXECUTOR = "daemon/framedaemon/executor.py"
_INTAKE = "daemon/framedaemon/intake.py"
_SERVICE = "daemon/framedaemon/service.py"
_WORKSPACE = "daemon/framedaemon/workspace.py"

_CLAIMING = """\
            self._ledger.claiming([(id, a.name, _name(a.sidecar), _name(a.last)) for id, a in batch], now)
"""
_MOVED_IN = """\
            moved = [(id, arrival) for id, arrival in batch if self._move_in(id, arrival)]
            flush_filesystem(self._instance.jobs)
            flush_filesystem(self._instance.input)
"""
_ORDER = "        self._executor.order(order, now)\n"
_START = "        number = self._ledger.start(job.id, wall)\n"
_PUBLISHING = "            self._ledger.publishing(job.id, str(target.relative_to(output)))\n"
_MOVE_OUT = """\
            try:
                move(made, target)
            except FileExistsError:
                continue  # somebody took the name this very moment
"""

MUTANTS = (
    Mutant(
        "claimed before it is recorded",
        "service: each flush and rename",
        (
            Change(_INTAKE, _CLAIMING, ""),
            Change(_INTAKE, _MOVED_IN, _MOVED_IN + _CLAIMING),
            # What nobody knows of is put back into input/: that has to go, too, for anything to be lost.
            Change(_SERVICE, "back = put_back_orphan(self._instance, Workspace(folder))", "back = None"),
        ),
    ),
    Mutant(
        "attempt recorded once the worker has its order",
        # A commit that a kill finds written, but not flushed, is there; only a power cut takes it back.
        "service: each ledger write",
        (
            Change(_DISPATCH, _START, "        number = job.attempts + 1\n"),
            Change(_DISPATCH, _ORDER, _ORDER + "        self._ledger.start(job.id, wall)\n"),
        ),
    ),
    Mutant(
        "published in place",
        "service: each write",
        (
            Change(
                _CLOSING,
                "                move(made, target)\n",
                "                target.write_bytes(made.read_bytes()), made.unlink()\n",
            ),
        ),
    ),
    Mutant(
        "published before it is recorded",
        "service: each flush and rename",
        (
            Change(_CLOSING, _PUBLISHING, ""),
            Change(_CLOSING, _MOVE_OUT, _MOVE_OUT + _PUBLISHING),
        ),
    ),
    Mutant(
        "receipt before its video",
        "service: each flush and rename",
        (
            Change(
                _CLOSING,
                _MOVE_OUT,
                '            self._write_receipt(made.parent / "receipt.json", target)\n' + _MOVE_OUT,
            ),
        ),
    ),
    Mutant(
        "done before its video is out",
        "service: each flush and rename",
        (
            Change(
                _CLOSING,
                "target = self._move_out(job, made, output)",
                'self._ledger.finish(job.id, "done", "", now); target = self._move_out(job, made, output)',
            ),
        ),
    ),
    Mutant(
        "what ran when the daemon died is forgotten",
        "service killed",
        (Change(_SERVICE, 'self._ledger.jobs("running"):', 'self._ledger.jobs("running")[:0]:'),),
    ),
    Mutant(
        "a half copied file is left",
        "service: each call, 2 disks",
        (Change(_SERVICE, "            sweep_copies(folder)\n", "            pass\n"),),
    ),
    Mutant(
        "an original is left beside its copy",
        "service: each call, 2 disks",
        (Change(_INTAKE, "_remove_original(workspace.source / name, path)", "pass"),),
    ),
    Mutant(
        "no flush of files",
        "power cut",
        (
            Change(
                _WORKSPACE,
                "            file.flush()\n            os.fsync(file.fileno())\n",
                "            file.flush()\n",
            ),
            Change("plugins/framedaemon_ffmpeg/stage.py", "        flush(output)\n", ""),
        ),
    ),
    Mutant(
        "no flush of folders",
        "power cut of 3 disks",  # on one, each flush of the ledger takes the names along
        (
            Change(_WORKSPACE, "    try:\n        os.fsync(handle)\n", "    try:\n        pass\n"),
            Change(_WORKSPACE, "        if _syncfs(handle) != 0:\n", "        if False:\n"),
        ),
    ),
    Mutant(
        "synchronous = NORMAL",
        "power cut",
        (Change("daemon/framedaemon/database.py", "PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"),),
    ),
    Mutant(
        "synchronous = OFF",
        "power cut",
        (Change("daemon/framedaemon/database.py", "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"),),
    ),
    Mutant(
        "what left the worker's group lives on",
        "child left behind",
        (Change("daemon/framedaemon/offspring.py", "    killed = {os.getpid()}\n", "    return\n"),),
    ),
    Mutant(
        "the worker stays after a failure",
        "device lost",
        (Change(_EXECUTOR, '= frozenset({"failed", "memory"})', "= frozenset()"),),
    ),
    Mutant(
        "taken by the kernel for memory is a crash",
        "worker killed by the kernel",
        (Change(_EXECUTOR, "if code == -signal.SIGKILL and oom_kills() > self._oom_kills:", "if False:"),),
    ),
    Mutant(
        "the clock is not followed",
        "clock set back ten minutes",
        (Change(_SERVICE, "if abs(moved) > _CLOCK_SET_SECONDS:", "if False:"),),
    ),
    Mutant(
        "the gate's verdict is not heard",
        "quality",
        (Change("daemon/framedaemon/pipeline.py", "if not gate.passed:", "if False:"),),
    ),
)


def mutate(mutant: Mutant, folder: Path) -> None:
    """Make the mutant in ``folder``. Raises ValueError where a text to be replaced is not there exactly once."""
    for source in _SOURCES:
        shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
    for change in mutant.changes:
        path = folder / change.file
        text = path.read_text("utf-8")
        if text.count(change.old) != 1:
            raise ValueError(f"{mutant.name}: {change.file} has {text.count(change.old)} times: {change.old}")
        path.write_text(text.replace(change.old, change.new), encoding="utf-8")


def trials_to_catch(mutant: Mutant, trials: int, seed: int) -> tuple[int, int | None]:
    """How many trials of its fault struck the mutant, and at which of them it was caught, if it was."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        mutate(mutant, folder)
        compileall.compile_dir(folder, quiet=1)
        path = os.pathsep.join(str(folder / source) for source in _SOURCES)
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "torture", mutant.fault, f"--trials={trials}", f"--seed={seed}"],
            env={**os.environ, "PYTHONPATH": path, "TMPDIR": name},
            capture_output=True,
            text=True,
            check=False,
        )
    said = re.search(rf"^{re.escape(mutant.fault)}: (\d+) trials", done.stdout, re.MULTILINE)
    if said is None:
        raise RuntimeError(f"{mutant.name}: {mutant.fault} said nothing: {done.stderr[-2000:]}")
    struck = int(said[1])
    print("\n".join(done.stdout.splitlines()[1:3]), flush=True)
    return struck, struck if done.returncode == 1 else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Try to catch each mutant; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", help="all without")
    parser.add_argument("--trials", type=int, default=200, help="for each, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args(arguments)
    if given.list:
        print("\n".join(mutant.name for mutant in MUTANTS))
        return 0
    missed = 0
    for mutant in MUTANTS:
        if not given.mutants or mutant.name in given.mutants:
            struck, caught = trials_to_catch(mutant, given.trials, given.seed)
            missed += caught is None
            verdict = f"caught at trial {caught}" if caught is not None else f"NOT caught in {struck} trials"
            print(f"{mutant.name:<50} {mutant.fault:<30} {verdict}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
