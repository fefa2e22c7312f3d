"""One planned job, from source to a checked video file, streaming.

    generator ─▶ hand-over ─▶ weave + interpolator ─▶ hand-over ─▶ encoder     three threads, a few frames between
                                                          └─ fingerprints ─▶ quality gate

The encoder pulls. No stage and nothing between them ever holds the clip. A long clip is encoded in parts (see
`segments`); another attempt begins at the first frame that no finished part has. What comes out lies in the job's own
folder; publishing it is the service's business.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import cv2

from framedaemon.clip import Clip, Frame
from framedaemon.errors import Halted, StageFailed
from framedaemon.fingerprint import Fingerprints
from framedaemon.halting import Halting
from framedaemon.handover import HandOver
from framedaemon.identity import versions
from framedaemon.log import get_log
from framedaemon.plan import Plan, Step
from framedaemon.plugins import Registry
from framedaemon.quality import GateReport, inspect
from framedaemon.segments import Segments, key_of
from framedaemon.sources import Footage
from framedaemon.spool import spool
from framedaemon.stages import Delivery, Encode, Fill, Generate, JoiningEncoder, Scratch
from framedaemon.stream import Frames, Meter, blamed, blaming, close, drawn_from, sort_error, taken, watched
from framedaemon.timeline import Beginning
from framedaemon.weave import Tally, looked_back, no_fill, sources_from, weave
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
    resumed_at: int = 0
    """The output frame at which this attempt went on; 0: it began at the beginning."""
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What stages have to say of their work, by stage and key."""


def run(
    plan: Plan, folder: Path, registry: Registry, comment: str, report: Report, halting: Halting | None = None
) -> Made:
    """Make the plan's video in ``folder`` and hold it to the plan.

    ``folder`` exists and is the job's own; stages find their checkpoints of earlier attempts there, and finished parts
    of the video are not made again. A failure leaves nothing else behind.
    Raises StageFailed, OutOfMemory or DiskFull: whatever a stage raised, as one of them; Halted once ``halting`` says
    to end, after the part of the video that is under way where that is whole in time.
    """
    output = folder / f"video{plan.video.suffix}"
    _discard(output)
    cv2.setNumThreads(1)  # stages run side by side, each with as many threads of its own as its placement gives it
    try:
        return _Run(plan, output, registry, comment, report, halting or Halting()).make()
    except BaseException as error:  # SystemExit too: a stage that says it ends its attempt, not the process
        _discard(output)  # a full disk needs the room
        reason = sort_error(error)
        if reason is error or isinstance(error, KeyboardInterrupt):
            raise
        raise reason from error


@dataclass(slots=True)
class _Run:
    """One attempt: what its steps share."""

    plan: Plan
    output: Path
    registry: Registry
    comment: str
    report: Report
    halting: Halting
    drawn: Meter = field(default_factory=Meter)
    shown: Meter = field(default_factory=Meter)
    tally: Tally = field(default_factory=Tally)
    seconds: dict[str, float] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)

    def make(self) -> Made:
        plan = self.plan
        fingerprints = Fingerprints(plan.video.width, plan.video.height)
        self.seconds = dict.fromkeys((plan.generate.task.name, self.filler, plan.encode.task.name), 0.0)
        parts = self._parts() if len(plan.cuts) > 2 else None
        kept = parts.restore(fingerprints, self.tally) if parts is not None else 0
        resumed_at = plan.cuts[kept]
        if resumed_at:
            get_log().info("clip_resumed", frames=resumed_at, total=plan.shown.frames)
        self._count(resumed_at)
        if resumed_at < plan.shown.frames:
            self._encode(fingerprints, parts, kept)
        if parts is not None:
            self._join(parts)
        started = time.perf_counter()
        sources_at = tuple(plan.timeline.shown_sources())
        threads = plan.encode.placement.threads
        gate = inspect(self.output, plan.video, fingerprints, plan.source, sources_at=sources_at, threads=threads)
        self.seconds["quality gate"] = time.perf_counter() - started
        if not gate.passed:
            if parts is not None:
                parts.discard()  # one of them may be at fault
            raise StageFailed("the video did not pass the quality gate: " + "; ".join(gate.failures))
        seconds = {name: round(value, 3) for name, value in self.seconds.items()}
        return Made(self.output, gate, self.tally, seconds, size_of(self.output), resumed_at, self.said)

    @property
    def filler(self) -> str:
        """Who is to blame for what weaving gives."""
        return self.plan.interpolate.task.name if self.plan.interpolate is not None else "timeline"

    def _parts(self) -> Segments:
        plan = self.plan
        plugins = [
            (name, info.origin, self.registry.hashes.get(name))  # as it was loaded: the file may be another by now
            for name, info in sorted(self.registry.plugins.items())
        ]
        # The comment names the source's bytes. Where and how small stages work is not asked: a smaller placement goes
        # on with what a larger one left.
        stages = [(step.task.name, step.options, step.weights) for step in plan.steps]
        clips = plan.drawn, plan.timeline, plan.shown, plan.video, plan.cuts
        key = key_of(self.comment, stages, clips, versions(), plugins)
        return Segments(self.output.parent / "segments", key, plan.cuts, plan.video.suffix)

    def _count(self, resumed_at: int) -> None:
        """Count from what is there already."""
        drawn, shown = self.plan.drawn.frames, self.plan.shown.frames
        self.drawn.watch = _reporter(self.report, self.plan.generate, drawn)
        self.shown.watch = _reporter(self.report, self.plan.encode, shown)
        self.shown.frames = resumed_at
        if resumed_at:
            self.shown.watch(resumed_at)

    def _encode(self, fingerprints: Fingerprints, parts: Segments | None, kept: int) -> None:
        """Draw, fill and encode from part ``kept`` on."""
        plan = self.plan
        begin = self._beginning(plan.cuts[kept])
        taken_meter, woven_meter = Meter(), Meter(self.shown.frames)
        if plan.interpolate is not None:
            woven_meter.watch = _reporter(self.report, plan.interpolate, plan.shown.frames)
        with ExitStack() as stack:
            drawn = self._drawn(begin, stack)
            fill: Fill = no_fill if plan.interpolate is None else self._load(plan.interpolate, stack)
            encode: Encode = self._load(plan.encode, stack)

            started = time.perf_counter()
            ahead = stack.enter_context(HandOver(drawn, "generate"))
            spec = replace(plan.drawn, frames=sources_from(begin, plan.timeline))
            sources = Clip(spec, taken_meter.through(iter(ahead)), plan.generate.task.name)
            woven = blamed(iter(weave(sources, plan.timeline, fill, self.filler, self.tally, begin)), self.filler)
            ready = stack.enter_context(HandOver(woven_meter.through(woven), "interpolate"))
            seen = watched(self._halted(self.shown.through(iter(ready))), fingerprints.add)
            with blaming(plan.encode.task.name):
                if parts is None:
                    encode(Clip(plan.shown, seen, self.filler), self._delivery())
                    self._check_taken(plan.shown.frames)
                else:
                    self._encode_parts(encode, parts, kept, seen, fingerprints)
            total = time.perf_counter() - started
        self.seconds[plan.generate.task.name] += self.drawn.seconds
        self.seconds[self.filler] += max(0.0, woven_meter.seconds - taken_meter.seconds)
        self.seconds[plan.encode.task.name] += max(0.0, total - self.shown.seconds)

    def _halted(self, frames: Frames) -> Frames:
        """``frames``, until the work is to halt and the part under way would not be whole in time."""
        first, began = self.shown.frames + 1, 0.0
        try:
            for frame in frames:
                began = began or time.monotonic()  # the first frame tells nothing of the others: much is done before it
                pace = (time.monotonic() - began) / max(1, self.shown.frames - first)
                stop = next((cut for cut in self.plan.cuts if cut >= self.shown.frames), 0)
                if self.halting.too_long((stop - self.shown.frames) * pace):
                    raise Halted
                yield frame
        finally:
            close(frames)

    def _encode_parts(
        self, encode: Encode, parts: Segments, kept: int, seen: Frames, fingerprints: Fingerprints
    ) -> None:
        rest = replace(self.plan.shown, frames=self.plan.shown.frames - self.plan.cuts[kept])
        frames = iter(Clip(rest, seen, self.filler))
        for index in range(kept, len(parts)):
            start, stop = parts.frames(index)
            part = Clip(replace(self.plan.shown, frames=stop - start), taken(frames, stop - start), self.filler)
            scratch = self._scratch(self.plan.encode)
            try:
                encode(part, Delivery(parts.path(index), "", None, scratch))
                self._check_taken(stop)
                parts.keep(index, fingerprints, self.tally)
            except BaseException:
                parts.drop(index)
                raise
        for _ in frames:  # ends it: a frame too many raises
            pass

    def _join(self, parts: Segments) -> None:
        plan, step = self.plan, self.plan.encode
        encoder = cast("JoiningEncoder[Any]", self.registry.stage("encode", step.task.name))
        started = time.perf_counter()
        try:
            with blaming(step.task.name):
                encoder.join(parts.paths(), plan.shown, self._delivery(), cast(Any, step.options))
        except StageFailed:
            parts.discard()  # one of them may be at fault
            raise
        self.seconds[step.task.name] += time.perf_counter() - started

    def _beginning(self, shown: int) -> Beginning:
        """Where to begin for output frame ``shown``."""
        step = self.plan.interpolate
        if shown == 0 or step is None:
            return self.plan.timeline.beginning(shown)
        looks_back = getattr(self.registry.stage("interpolate", step.task.name), "looks_back", None)
        return self.plan.timeline.beginning(
            shown, self.plan.drawn.frames if looks_back is None else looked_back(self.plan.timeline, looks_back)
        )

    def _drawn(self, begin: Beginning, stack: ExitStack) -> Iterator[Frame]:
        """The generator's frames: as they are drawn, or, where the policy says so, all drawn and then unloaded."""
        plan, step, folder = self.plan, self.plan.generate, self.output.parent
        name = step.task.name
        with ExitStack() as own:
            generate: Generate = self._load(step, own)

            def draw(start: int) -> Frames:
                with blaming(name):
                    frames = generate(plan.source, self._scratch(step, start))
                spec = replace(plan.drawn, frames=plan.drawn.frames - start)
                yield from Clip(spec, blamed(_clearing(frames, plan), name), name)

            seeks = bool(getattr(self.registry.stage("generate", name), "seeks", False))
            drawn = drawn_from(draw, self.drawn, begin.source, seeks, plan.timeline.loop)
            where = step.placement.spool
            if where != "none":
                return spool(self._drawn_until_halted(drawn), where, folder / "frames")
            stack.enter_context(own.pop_all())
            return drawn

    def _drawn_until_halted(self, frames: Frames) -> Frames:
        """``frames``, until the work is to halt: all are drawn before the first is used, which would hold it up."""
        try:
            for frame in frames:
                if self.halting.asked():
                    raise Halted
                yield frame
        finally:
            close(frames)

    def _load(self, step: Step, stack: ExitStack) -> Any:
        """What the step's stage does the work with; how long loading took counts as the stage's work."""
        stage = self.registry.stage(step.task.kind, step.task.name)
        started = time.perf_counter()
        with blaming(step.task.name):
            work = stack.enter_context(stage.load(step.placement, cast(Any, step.options)))
        self.seconds[step.task.name] += time.perf_counter() - started
        return work

    def _delivery(self) -> Delivery:
        """Of the whole video."""
        source = self.plan.source
        sound = source.path if self.plan.video.sound and isinstance(source, Footage) else None
        return Delivery(self.output, self.comment, sound, self._scratch(self.plan.encode))

    def _scratch(self, step: Step, start: int = 0) -> Scratch:
        own = self.output.parent / step.task.kind
        own.mkdir(exist_ok=True)

        def progress(what: str, fraction: float) -> None:
            self.report(what, round(fraction * 1000), 1000)

        def note(key: str, value: Any) -> None:
            self.said.setdefault(step.task.name, {})[key] = value

        return Scratch(own, progress, start, note, self.halting.asked)

    def _check_taken(self, frames: int) -> None:
        if self.shown.frames != frames:
            raise StageFailed(f"{self.plan.encode.task.name}: took {self.shown.frames} of {frames} frames")


def _reporter(report: Report, step: Step, total: int) -> Callable[[int], None]:
    name = step.task.name
    return lambda count: report(name, count, total)


def _clearing(frames: Iterator[Frame], plan: Plan) -> Iterator[Frame]:
    """``frames``, clearing the accelerator's cache as often as the memory policy says."""
    steps = [step for step in plan.steps if step.placement.clear_cache_every]
    every = min((step.placement.clear_cache_every for step in steps), default=0)
    kinds = {step.placement.device.partition(":")[0] for step in steps} - {"cpu"}
    try:
        for count, frame in enumerate(frames):
            if every and count % every == 0 and (torch := sys.modules.get("torch")) is not None:
                for kind in kinds:
                    getattr(torch, kind).empty_cache()  # torch.accelerator knows this from 2.9 on
            yield frame
    finally:
        close(frames)


def _discard(output: Path) -> None:
    """Remove what an attempt left half written."""
    if output.is_dir():
        shutil.rmtree(output, ignore_errors=True)
    else:
        output.unlink(missing_ok=True)
