"""Runs one stage in a process of its own and tells what it cost, as a line of JSON.

Started by path, with a pickle of the work on stdin; see `measuring`. Only a fresh process can say which modules a
plugin imports and how much memory it adds: here nothing else has been imported or allocated before.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAVY = ("torch", "cv2", "av", "diffusers", "transformers", "onnxruntime")
"""Modules that a plugin may import in `load`, not before."""


def main() -> None:
    """Answer on stdout: ``{"heavy": [...], "ram": bytes or null, "estimated": bytes}``."""
    sys.path[:] = pickle.load(sys.stdin.buffer)  # noqa: S301  (from the test that started us)
    work: dict[str, Any] = pickle.load(sys.stdin.buffer)  # noqa: S301  (the same)
    estimated = _estimated(work)
    heavy = [name for name in HEAVY if name in sys.modules]
    print(json.dumps({"heavy": heavy, "ram": _peak_ram(work) if work["run"] else None, "estimated": estimated}))


def _estimated(work: dict[str, Any]) -> int:
    stage, takes, options = work["stage"], work["takes"], work["options"]
    if work["kind"] == "encode":
        stage.promise(takes, False, options)
        return int(stage.estimate(takes, options).ram)
    gives = stage.promise(takes, options) if work["kind"] == "generate" else work["gives"]
    return int(stage.estimate(takes, gives, options).placed(work["placement"], gives.width, gives.height).ram)


def _peak_ram(work: dict[str, Any]) -> int | None:
    """Bytes of resident memory that doing all of it, one frame held at a time, added at its peak."""
    if work["kind"] == "encode":
        import framedaemon.clip  # noqa: F401  (what the daemon has loaded anyway)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
        before = _resident("VmHWM")
    except OSError:
        return None
    with work["stage"].load(work["placement"], work["options"]) as do:
        _do(work, do)
    return _resident("VmHWM") - before


def _do(work: dict[str, Any], do: Any) -> None:
    from framedaemon import Clip, Delivery, Scratch

    scratch = Scratch(Path(work["folder"]))
    if work["kind"] == "encode":
        do(Clip(work["takes"], _bands(work["takes"])), Delivery(Path(work["output"]), "", None, scratch))
        return
    for _ in do(work["takes"], scratch) if work["kind"] == "generate" else do(iter(work["gaps"])):
        pass


def _bands(spec: Any) -> Iterator[Any]:
    """Frames that are soon encoded: a few colours, in bands that move."""
    import numpy as np

    bands = (np.arange(spec.width) // 160 * 30).astype(spec.dtype)
    for number in range(spec.frames):
        row = np.roll(bands, 40 * number)[None, :, None]
        yield np.ascontiguousarray(np.broadcast_to(row, spec.shape))


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
