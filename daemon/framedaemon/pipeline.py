"""One planned job, from source to a checked video file, streaming.

    generator ─▶ hand-over ─▶ weave + interpolator ─▶ hand-over ─▶ encoder     three threads, a few frames between
                                                          └─ fingerprints ─▶ quality gate

The encoder pulls. No stage and nothing between them ever holds the clip. What comes out lies in the job's own folder;
publishing it is the service's business.
"""

from __future__ import annotations

import errno
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cv2

from framedaemon.clip import Clip, Frame
from framedaemon.errors import DiskFull, FramedaemonError, OutOfMemory, StageFailed
from framedaemon.fingerprint import Fingerprints
from framedaemon.handover import HandOver
from framedaemon.plan import Plan, Step
from framedaemon.plugins import Registry
from framedaemon.quality import GateReport, inspect
from framedaemon.sources import Footage
from framedaemon.spool import spool
from framedaemon.stages import Delivery, Encode, Fill, Generate, Scratch
from framedaemon.weave import Tally, no_fill, weave
from framedaemon.workspace import size_of

Report = Callable[[str, int, int], None]
"""Told how a stage advances: (what is being done, how much, of how much)."""


@dataclass(slots=True)
class Made:
    """What a run left behind, for the receipt and the ledger."""

    video: Path
    gate: GateReport
    tally: Tally
    seconds: dict[str, float]
    """For each stage, the time that it worked, waiting for its neighbours not counted."""
    bytes: int
    """Of the video; of all its files where it is a folder."""


@dataclass(slots=True)
class Meter:
    """Counts frames through a point of the stream, and the time it takes to get them."""

    frames: int = 0
    seconds: float = 0.0
    watch: Callable[[int], None] = field(default=lambda count: None)

    def through(self, source: Iterator[Frame]) -> Iterator[Frame]:
        """``source``, metered."""
        try:
            while True:
                started = time.perf_counter()
                frame = next(source, None)
                self.seconds += time.perf_counter() - started
                if frame is None:
                    return
                self.frames += 1
                self.watch(self.frames)
                yield frame
        finally:
            _close(source)


def run(plan: Plan, folder: Path, registry: Registry, comment: str, report: Report) -> Made:
    """Make the plan's video in ``folder`` and hold it to the plan.

    ``folder`` exists and is the job's own; stages find their checkpoints of earlier attempts there. A failure leaves
    nothing else behind.
    Raises StageFailed, OutOfMemory or DiskFull: whatever a stage raised, as one of them.
    """
    output = folder / f"video{plan.video.suffix}"
    _discard(output)
    cv2.setNumThreads(1)  # stages run side by side, each with as many threads of its own as its placement gives it
    try:
        return _run(plan, output, registry, comment, report)
    except BaseException as error:  # SystemExit too: a stage that says it ends its attempt, not the process
        _discard(output)  # a full disk needs the room
        reason = sort_error(error)
        if reason is error or isinstance(error, KeyboardInterrupt):
            raise
        raise reason from error


def sort_error(error: BaseException, raised_by: str = "") -> FramedaemonError:
    """The error as one that says what to do next: our own unchanged, others by what they mean."""
    if isinstance(error, FramedaemonError):
        return error
    if isinstance(error, MemoryError) or _is_torch_memory(error):
        return OutOfMemory(f"out of memory: {error}".rstrip(": "))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"the disk is full: {error}")
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return StageFailed(f"{raised_by}: {said}" if raised_by else said)


def _is_torch_memory(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    kind = getattr(torch, "OutOfMemoryError", None)
    return kind is not None and isinstance(error, kind)


def _run(plan: Plan, output: Path, registry: Registry, comment: str, report: Report) -> Made:
    folder = output.parent
    drawn_meter, taken_meter, woven_meter, shown_meter = Meter(), Meter(), Meter(), Meter()
    drawn_meter.watch = _reporter(report, plan.generate, plan.drawn.frames)
    shown_meter.watch = _reporter(report, plan.encode, plan.shown.frames)
    tally, fingerprints = Tally(), Fingerprints(plan.video.width, plan.video.height)
    filler = plan.interpolate.task.name if plan.interpolate is not None else "timeline"
    seconds = dict.fromkeys((plan.generate.task.name, filler, plan.encode.task.name), 0.0)

    with ExitStack() as stack:
        drawn = _drawn(plan, registry, folder, stack, seconds, drawn_meter, report)
        fill: Fill = no_fill if plan.interpolate is None else _load(plan.interpolate, registry, stack, seconds)
        encode: Encode = _load(plan.encode, registry, stack, seconds)

        started = time.perf_counter()
        ahead = stack.enter_context(HandOver(drawn, "generate"))
        taken = Clip(plan.drawn, taken_meter.through(iter(ahead)), plan.generate.task.name)
        woven = _blamed(iter(weave(taken, plan.timeline, fill, filler, tally)), filler)
        ready = stack.enter_context(HandOver(woven_meter.through(woven), "interpolate"))
        seen = _fingerprinted(shown_meter.through(iter(ready)), fingerprints)
        shown = Clip(plan.shown, seen, filler)
        sound = plan.source.path if plan.video.sound and isinstance(plan.source, Footage) else None
        with _blaming(plan.encode.task.name):
            encode(shown, Delivery(output, comment, sound, _scratch(folder, plan.encode, report)))
        if shown_meter.frames != plan.shown.frames:
            raise StageFailed(f"{plan.encode.task.name}: took {shown_meter.frames} of {plan.shown.frames} frames")
        total = time.perf_counter() - started

    seconds[plan.generate.task.name] += drawn_meter.seconds
    seconds[filler] += max(0.0, woven_meter.seconds - taken_meter.seconds)
    seconds[plan.encode.task.name] += max(0.0, total - shown_meter.seconds)
    started = time.perf_counter()
    gate = inspect(output, plan.video, fingerprints, plan.source, sources_at=tuple(plan.timeline.shown_sources()))
    seconds["quality gate"] = time.perf_counter() - started
    if not gate.passed:
        raise StageFailed("the video did not pass the quality gate: " + "; ".join(gate.failures))
    return Made(output, gate, tally, {name: round(value, 3) for name, value in seconds.items()}, size_of(output))


def _drawn(
    plan: Plan,
    registry: Registry,
    folder: Path,
    stack: ExitStack,
    seconds: dict[str, float],
    meter: Meter,
    report: Report,
) -> Iterator[Frame]:
    """The generator's frames: as they are drawn, or, where the policy says so, all drawn and the generator unloaded."""
    with ExitStack() as own:
        generate: Generate = _load(plan.generate, registry, own, seconds)
        with _blaming(plan.generate.task.name):
            frames = generate(plan.source, _scratch(folder, plan.generate, report))
        named = _blamed(_clearing(meter.through(frames), plan), plan.generate.task.name)
        drawn = iter(Clip(plan.drawn, named, plan.generate.task.name))
        where = plan.generate.placement.spool
        if where != "none":
            return spool(drawn, where, folder / "frames")
        stack.enter_context(own.pop_all())
        return drawn


def _load(step: Step, registry: Registry, stack: ExitStack, seconds: dict[str, float]) -> Any:
    """What the step's stage does the work with; how long loading took counts as the stage's work."""
    stage = registry.stage(step.task.kind, step.task.name)
    started = time.perf_counter()
    with _blaming(step.task.name):
        work = stack.enter_context(stage.load(step.placement, cast(Any, step.options)))
    seconds[step.task.name] += time.perf_counter() - started
    return work


@contextmanager
def _blaming(stage: str) -> Iterator[None]:
    """Name the stage in what it raises. What comes to it from another is named already."""
    try:
        yield
    except (Exception, SystemExit) as error:
        reason = sort_error(error, stage)
        if reason is error:
            raise
        raise reason from error


def _blamed(frames: Iterator[Frame], stage: str) -> Iterator[Frame]:
    try:
        with _blaming(stage):
            yield from frames
    finally:
        _close(frames)


def _scratch(folder: Path, step: Step, report: Report) -> Scratch:
    own = folder / step.task.kind
    own.mkdir(exist_ok=True)
    return Scratch(own, lambda what, fraction: report(what, round(fraction * 1000), 1000))


def _reporter(report: Report, step: Step, total: int) -> Callable[[int], None]:
    name = step.task.name
    return lambda count: report(name, count, total)


def _clearing(frames: Iterator[Frame], plan: Plan) -> Iterator[Frame]:
    """``frames``, clearing the accelerator's cache as often as the memory policy says."""
    steps = [step for step in plan.steps if step.placement.clear_cache_every]
    every = min((step.placement.clear_cache_every for step in steps), default=0)
    try:
        for count, frame in enumerate(frames):
            if every and count % every == 0:
                torch: Any = sys.modules.get("torch")
                if torch is not None and torch.cuda.is_available():
                    torch.cuda.empty_cache()
            yield frame
    finally:
        _close(frames)


def _fingerprinted(frames: Iterator[Frame], fingerprints: Fingerprints) -> Iterator[Frame]:
    try:
        for frame in frames:
            fingerprints.add(frame)
            yield frame
    finally:
        _close(frames)


def _close(frames: Iterator[Frame]) -> None:
    close = getattr(frames, "close", None)
    if close is not None:
        close()


def _discard(output: Path) -> None:
    """Remove what an attempt left half written."""
    if output.is_dir():
        shutil.rmtree(output, ignore_errors=True)
    else:
        output.unlink(missing_ok=True)
