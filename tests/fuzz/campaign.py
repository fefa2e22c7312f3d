"""Fuzzes the intake for as long as it is told to:  python tests/fuzz/campaign.py SECONDS [TARGET ...]

Guided by coverage where atheris is installed (pip install atheris), else by chance alone. Each target runs in a child
that is started again when it dies. What fell out is told at the end and kept in the folder that --keep names, each
with the bytes that did it; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).resolve().parent
sys.path[0] = str(_HERE.parent)

HANG_SECONDS = 10
MOST_BYTES = 2 << 30
_CHILD_BYTES = 8 << 30
_LARGEST = 1 << 16


def main() -> int:
    """Fuzz; returns the exit code."""
    parser = argparse.ArgumentParser(description="Fuzzes what strangers drop.")
    parser.add_argument("seconds", type=float)
    parser.add_argument("targets", nargs="*", default=[])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--seed", type=int, default=None, help="the same chance every time; implies --plain")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--runs", type=int, default=0, help="at most so many for each target")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    told = parser.parse_args()
    told.plain = told.plain or told.seed is not None
    if told.child:
        _Child(told.targets[0], told.keep, told.seconds, told.runs, told.seed).fuzz(told.plain)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        keep = told.keep or Path(folder)
        names = told.targets or ["pictures", "footage", "recipes", "names"]
        found = [_fuzz_target(name, keep / name, told.seconds / len(names), told) for name in names]
    return 1 if any(found) else 0


def _fuzz_target(name: str, folder: Path, seconds: float, told: argparse.Namespace) -> int:
    """Fuzz one target, in one child after the other; returns how much fell out."""
    for below in ("corpus", "found"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    began, runs, deaths = time.monotonic(), 0, 0
    while (left := seconds - (time.monotonic() - began)) > 0.5 and not (told.runs and runs >= told.runs):
        words = [str(left), name, "--child", "--keep", str(folder), "--runs", str(max(0, told.runs - runs))]
        words += ["--plain"] if told.plain else []
        words += ["--seed", str(told.seed + deaths)] if told.seed is not None else []
        (folder / "runs").write_text("0")
        with (folder / "log").open("wb") as log:
            code = subprocess.run([sys.executable, __file__, *words], stdout=log, stderr=log).returncode
        ran = int((folder / "runs").read_text() or 0)
        runs += ran
        if code != 0:
            deaths += 1
            _keep_death(folder, code, deaths)
            if ran == 0 and deaths > 3:
                break  # it cannot even start
    found = sorted(path for path in (folder / "found").iterdir() if path.suffix == ".txt")
    print(json.dumps({"target": name, "runs": runs, "seconds": round(time.monotonic() - began), "found": len(found)}))
    for path in found:
        print(path.read_text(encoding="utf-8", errors="replace"), flush=True)
    return len(found)


def _keep_death(folder: Path, code: int, number: int) -> None:
    """Keep what the child was at when it died, with its last words."""
    said = (folder / "log").read_bytes()[-3000:]
    (folder / "found" / f"death-{number}.bin").write_bytes((folder / "last").read_bytes())
    (folder / "found" / f"death-{number}.txt").write_bytes(f"the process ended with {code}:\n".encode() + said)


class _Child:
    """One process that fuzzes one target."""

    def __init__(self, name: str, folder: Path, seconds: float, runs: int, seed: int | None) -> None:
        self._name, self._folder, self._seconds, self._most = name, folder, seconds, runs
        self._chance = random.Random(seed)
        self._runs = 0
        self._last = os.open(folder / "last", os.O_RDWR | os.O_CREAT, 0o600)
        self._seen: set[str] = set()

    def fuzz(self, plain: bool) -> None:
        """Go on until the time is up or the process dies."""
        resource.setrlimit(resource.RLIMIT_AS, (_CHILD_BYTES, _CHILD_BYTES))
        if plain or importlib.util.find_spec("atheris") is None:
            self._fuzz_by_chance()
            return
        atheris = importlib.import_module("atheris")
        with atheris.instrument_imports(include=["framedaemon", "framedaemon_video", "PIL", "tomli"]):
            self._set_up()
        self._fuzz_by_coverage(atheris)

    def _set_up(self) -> None:
        from fuzz.targets import KINDS

        kind = KINDS[self._name]
        scratch = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
        self._scratch = tempfile.TemporaryDirectory(dir=scratch)
        self._target = kind.make(Path(self._scratch.name))
        self._seeds = list(kind.seeds())
        self._parts = [*self._seeds, *kind.words * 3]
        for number, data in enumerate(self._seeds):
            self._try(data)  # a seed that does not pass would be a poor seed
            (self._folder / "corpus" / f"seed-{number}").write_bytes(data)

    def _fuzz_by_chance(self) -> None:
        from fuzz.mutations import mutate

        self._set_up()
        end = time.monotonic() + self._seconds
        while time.monotonic() < end and not (self._most and self._runs >= self._most):
            self._try(mutate(self._chance.choice(self._seeds), self._chance, self._parts, _LARGEST))
        self._note_runs()

    def _fuzz_by_coverage(self, atheris: ModuleType) -> None:
        from fuzz.mutations import mutate

        def change(data: bytes, most: int, seed: int) -> bytes:
            chance = random.Random(seed)
            if chance.random() < 0.3:
                return bytes(atheris.Mutate(data, most))
            return mutate(data or chance.choice(self._seeds), chance, self._parts, most)

        limits = [f"-max_total_time={int(self._seconds)}", f"-max_len={_LARGEST}", f"-timeout={3 * HANG_SECONDS}"]
        limits += [f"-rss_limit_mb={2 * MOST_BYTES >> 20}", f"-artifact_prefix={self._folder}/", "-detect_leaks=0"]
        limits += [f"-runs={self._most}"] if self._most else []
        arguments = [sys.argv[0], *limits, str(self._folder / "corpus")]
        atheris.Setup(arguments, self._try, custom_mutator=change)
        atheris.Fuzz()

    def _try(self, data: bytes) -> None:
        """Run the target; what it raises is kept and told, and fuzzing goes on."""
        os.pwrite(self._last, data, 0)
        os.ftruncate(self._last, len(data))
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        try:
            self._target(data)
        except Exception as error:
            self._found(error, data)
        finally:
            faulthandler.cancel_dump_traceback_later()
        self._runs += 1
        if self._runs % 50 == 0:
            self._note_runs()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if peak > MOST_BYTES:
                print(f"{peak} bytes of memory, within the last 50 runs", flush=True)
                os._exit(3)

    def _found(self, error: Exception, data: bytes) -> None:
        """Keep the first of its kind: the same error in the same line."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        sign = f"{type(error).__name__}-{Path(place.filename).stem}-{place.lineno}"
        if sign not in self._seen and not (self._folder / "found" / f"{sign}.txt").exists():
            (self._folder / "found" / f"{sign}.bin").write_bytes(data)
            (self._folder / "found" / f"{sign}.txt").write_text(
                traceback.format_exc(), encoding="utf-8", errors="replace"
            )
        self._seen.add(sign)

    def _note_runs(self) -> None:
        (self._folder / "runs").write_text(str(self._runs))


if __name__ == "__main__":
    sys.exit(main())
