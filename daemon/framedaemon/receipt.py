"""The receipt, `photo.json` beside `photo.mp4`: how the video came about, and all it takes to make it again."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any, NamedTuple

from framedaemon.identity import hash_file as hash_file
from framedaemon.identity import hash_video, version_of
from framedaemon.identity import versions as versions
from framedaemon.pipeline import Made
from framedaemon.plan import Plan

RECEIPT_VERSION = 1


class LastFile(NamedTuple):
    """The picture that a clip is to end with."""

    name: str
    sha256: str


# What making a video again looks at.
_REPLAYED = ("source", "recipe", "video", "versions")


def seed_from(sha256: str, number: int) -> int:
    """The seed of job ``number`` of a source that is given none: from the source's own bytes, below 2**31."""
    return (int(sha256[:8], 16) + number) % 2**31


def comment(plan: Plan, sha256: str, last: LastFile | None = None) -> str:
    """What is written into the video's own metadata: recipe, seed and source as one line of JSON."""
    facts = {
        "framedaemon": version_of("framedaemon"),
        "source_sha256": sha256,
        **({"last_sha256": last.sha256} if last is not None else {}),
        "seed": plan.seed,
        "recipe": resolved(plan),
    }
    return json.dumps(facts, ensure_ascii=True, separators=(",", ":"))


def resolved(plan: Plan) -> dict[str, Any]:
    """The recipe with what ``auto`` chose, every option and the seed: replaying it needs no other layer."""
    timeline = plan.timeline
    timing: dict[str, Any] = {"loop": timeline.loop, "speed": str(timeline.source_fps / plan.drawn.fps)}
    if plan.interpolate is None and timeline.target_fps == timeline.source_fps:
        timing |= {"use": "none"}
    else:
        timing |= {"fps": str(timeline.target_fps), "dedupe": timeline.dedupe}
    tables: dict[str, Any] = {"interpolate": timing}  # frames that are only left out need no stage: auto will do
    for step in plan.steps:
        said = {"use": step.task.name, **step.options.model_dump(mode="json", exclude_none=True)}
        tables[step.task.kind] = said | tables.get(step.task.kind, {})
    return tables


def describe(
    plan: Plan, made: Made, *, name: str, sha256: str, job: str, attempt: int, last: LastFile | None = None
) -> dict[str, Any]:
    """The receipt of a finished video. ``video.file`` is to be set to the name that it gets."""
    source = {"name": name, "sha256": sha256, "kind": plan.source.kind, "notes": list(plan.source.notes)}
    return {
        "receipt": RECEIPT_VERSION,
        "job": job,
        "attempt": attempt,
        "resumed_at_frame": made.resumed_at,
        "source": source | ({"last": last._asdict()} if last is not None else {}),
        "recipe": resolved(plan),
        "preview": plan.preview,
        "seed": plan.seed,
        "plan": plan.summary().model_dump(mode="json"),
        "video": {"file": made.video.name, "bytes": made.bytes, "sha256": hash_video(made.video)},
        "frames": {
            "drawn": plan.drawn.frames,
            "shown": plan.shown.frames,
            "filled": made.tally.filled,
            "held_at_cuts": made.tally.cuts,
            "held_duplicates": made.tally.duplicates,
        },
        "seconds": made.seconds,
        "peak_memory_bytes": peak_memory(),
        "gate": made.gate.to_json(),
        "said": made.said,
        "versions": versions(),
    }


def encode(facts: dict[str, Any]) -> bytes:
    """The receipt as the bytes of its file."""
    return (json.dumps(facts, indent=2, ensure_ascii=True) + "\n").encode("ascii")


def read_receipt(path: Path) -> dict[str, Any]:
    """The receipt at ``path``. Raises ValueError when it is none, or was written by a newer framedaemon."""
    facts: Any
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        facts = None
    complete = isinstance(facts, dict) and all(isinstance(facts.get(key), dict) for key in _REPLAYED)
    if not complete or facts.get("receipt") != RECEIPT_VERSION:
        raise ValueError(f"{path} is not a receipt of this framedaemon")
    return dict(facts)


def forget_peak() -> None:
    """Begin to measure this process's peak memory anew, where Linux lets it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # then the peak is that of the whole process


def peak_memory() -> dict[str, int]:
    """Bytes: this process's peak since `forget_peak`, and the largest of its finished children (ffmpeg)."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        own = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"worker": own, "largest_child": children}
