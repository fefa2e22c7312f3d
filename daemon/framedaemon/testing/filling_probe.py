"""Runs one interpolator in a process of its own and tells what it cost, as a line of JSON.

Started by path, with a pickle of the work on stdin; see `interpolator.measure`. Only a fresh process can say which
modules a plugin imports and how much memory it adds: here nothing else has been imported or allocated before.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

HEAVY = ("torch", "cv2", "av", "diffusers", "transformers", "onnxruntime")
"""Modules that a plugin may import in `load`, not before."""


def main() -> None:
    """Answer on stdout: ``{"heavy": [...], "ram": bytes or null}``."""
    sys.path[:] = pickle.load(sys.stdin.buffer)  # noqa: S301  (from the test that started us)
    work: dict[str, Any] = pickle.load(sys.stdin.buffer)  # noqa: S301  (the same)
    work["stage"].estimate(work["takes"], work["gives"], work["options"])
    heavy = [name for name in HEAVY if name in sys.modules]
    ram = _peak_ram(work) if work["gaps"] else None
    print(json.dumps({"heavy": heavy, "ram": ram}))


def _peak_ram(work: dict[str, Any]) -> int | None:
    """Bytes of resident memory that filling all gaps, one answer held at a time, added at its peak."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
        before = _resident("VmHWM")
    except OSError:
        return None
    with work["stage"].load(work["placement"], work["options"]) as fill:
        for _ in fill(iter(work["gaps"])):
            pass
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
