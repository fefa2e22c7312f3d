"""A recipe, a source and a machine make a plan; everything that can be refused is refused here.

    Recipe + Source + Registry + Machine ─▶ Plan

Planning is pure: nothing is loaded, nothing is written, so `framedaemon explain` shows a plan and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TypeVar, cast

from framedaemon.choosing import Chooser
from framedaemon.clip import ClipSpec, show_rate
from framedaemon.cuts import cut
from framedaemon.disk import Need
from framedaemon.errors import FramedaemonError, JobRejected, OutOfMemory, StageFailed
from framedaemon.plugins import Registry
from framedaemon.recipe import Recipe
from framedaemon.settings import show_bytes
from framedaemon.sources import Source
from framedaemon.stages import (
    AnyStage,
    Estimate,
    GeneratorOptions,
    Machine,
    Options,
    Placement,
    StageKind,
    VideoSpec,
)
from framedaemon.summary import PlanSummary, StepSummary
from framedaemon.task import StageTask
from framedaemon.timeline import Timeline
from framedaemon.weave import frames_in_gap, woven_spec
from framedaemon.weights import find_weights, read_record

T = TypeVar("T")

MAX_FRAMES = 1_000_000
"""Of a finished video: nine hours at 30 a second. More is a slip of the pen."""

MAX_FPS = 1000
"""Of a finished video, as of every rate that is written down: a factor may lead beyond."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage's part in a plan."""

    task: StageTask
    options: Options
    estimate: Estimate
    """Of what it takes as it is placed."""
    placement: Placement
    rung: int
    """Of the memory ladder: what the policy was asked as ``attempt``."""
    weights: tuple[tuple[str, str], ...] = ()
    """Name and sha256 of what its network will be loaded from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that will happen to a source, before any of it does."""

    source: Source
    seed: int
    generate: Step
    drawn: ClipSpec
    """What the generator gives."""
    interpolate: Step | None
    """None: the timeline asks for no frame between two others."""
    timeline: Timeline
    shown: ClipSpec
    """What the encoder is given."""
    encode: Step
    video: VideoSpec
    machine: Machine
    notes: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    """Stages that ``auto`` would have preferred, each with what it lacks: for `explain`, not for each receipt."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that run, in the order of the stream."""
        return tuple(step for step in (self.generate, self.interpolate, self.encode) if step is not None)

    @property
    def cuts(self) -> tuple[int, ...]:
        """The output frames at which the parts begin that the video is encoded in, and its end (see `segments`)."""
        return cut(self.shown) if self.video.joins else (0, self.shown.frames)

    @property
    def need(self) -> Need:
        """Bytes that the job will write."""
        temporary = sum(step.estimate.disk for step in self.steps if step is not self.encode)
        if self.generate.placement.spool == "png":
            temporary += self.drawn.frames * self.drawn.frame_bytes
        return Need(temporary, self.encode.estimate.disk, copies=2 if len(self.cuts) > 2 else 1)

    @property
    def ram(self) -> int:
        """Bytes of memory: the stages stream side by side, so theirs add up."""
        kept = self.drawn.frames if self.generate.placement.spool == "memory" else 0
        return sum(step.estimate.ram for step in self.steps) + kept * self.drawn.frame_bytes

    @property
    def seconds(self) -> float:
        """Of work, by the stages' own estimates: stages overlap, so the slowest counts."""
        return max(step.estimate.seconds for step in self.steps)

    def summary(self) -> PlanSummary:
        """The plan in plain values."""
        return PlanSummary(
            source=f"{self.source.kind} {self.source.width}x{self.source.height}",
            seed=self.seed,
            steps=tuple(_step_summary(step, self.machine.known_as) for step in self.steps),
            drawn=self.drawn.describe(),
            shown=self.shown.describe(),
            frames=self.shown.frames,
            fps=str(self.shown.fps),
            width=self.video.width,
            height=self.video.height,
            suffix=self.video.suffix,
            codec=self.video.codec,
            temporary_bytes=self.need.temporary,
            video_bytes=self.need.video,
            video_copies=self.need.copies,
            ram_bytes=self.ram,
            seconds=round(self.seconds, 1),
            device=self.machine.device,
            notes=self.notes,
        )


def make_plan(
    source: Source,
    recipe: Recipe,
    registry: Registry,
    machine: Machine,
    seed: int,
    shrinks: int = 0,
    fits: Mapping[str, int] | None = None,
) -> Plan:
    """The plan for one job.

    ``seed``: where the recipe gives none. ``shrinks``: how often the job ran out of memory already; ``fits``: rungs of
    the ladder that worked before, by `StageTask.fit_key`: they spare it tries, and cost it none. Raises JobRejected
    with every problem, OutOfMemory when no smaller placement is left, StageFailed when a stage cannot say its cost.
    """
    chooser = Chooser(registry, machine)
    generator, drawing = chooser.choose("generate", recipe.generate, source)
    interpolator, filling = chooser.choose("interpolate", recipe.interpolate)
    encoder, encoding = chooser.choose("encode", recipe.encode)
    if chooser.problems or generator is None or encoder is None or drawing is None or encoding is None:
        raise JobRejected(chooser.problems)

    drawing = cast(GeneratorOptions, drawing)
    if drawing.seed is None:
        drawing = drawing.model_copy(update={"seed": seed})
    drawn = _ask(generator, "promise", ClipSpec, source, drawing)
    timing = recipe.interpolate
    played = drawn.fps * timing.speed
    timeline = Timeline(drawn.frames, played, timing.target_fps(drawn.fps), timing.loop, timing.dedupe)
    shown = woven_spec(drawn, timeline)
    sound = source.kind == "footage" and source.sound
    if sound and timing.speed != 1:
        sound = False
        chooser.notes.append(f"speed = {timing.speed}: the sound is left out")
    video = _ask(encoder, "promise", VideoSpec, shown, sound, encoding)

    place = _Placer(registry, machine, shrinks, fits or {})
    estimate = _ask(generator, "estimate", Estimate, source, drawn, drawing)
    generate = place.step("generate", generator, drawing, drawn, estimate)
    interpolate = None
    if timeline.step.denominator != 1 or timeline.dedupe:  # else every frame that is shown is a source frame
        estimate = _filling_estimate(interpolator, filling, replace(drawn, fps=played), shown, timeline)
        interpolate = place.step("interpolate", cast(AnyStage, interpolator), cast(Options, filling), drawn, estimate)
    estimate = _ask(encoder, "estimate", Estimate, shown, encoding)
    encode = place.step("encode", encoder, encoding, shown, estimate)
    notes, over = (*source.notes, *chooser.notes, *video.notes), tuple(chooser.passed_over)
    seed = cast(int, drawing.seed)
    plan = Plan(source, seed, generate, drawn, interpolate, timeline, shown, encode, video, machine, notes, over)
    _refuse_excess(plan)
    return plan


def _ask(stage: AnyStage, question: str, answer: type[T], *given: object) -> T:
    """What the stage says. Raises StageFailed, naming it, where it breaks or says something else."""
    try:
        said = getattr(stage, question)(*given)
    except FramedaemonError:
        raise
    except Exception as error:
        raise StageFailed(f"{stage.name}: {question}() raised {type(error).__name__}: {error}") from error
    if not isinstance(said, answer):
        raise StageFailed(f"{stage.name}: {question}() gave a {type(said).__name__}, not a {answer.__name__}")
    return said


@dataclass(frozen=True, slots=True)
class _Placer:
    registry: Registry
    machine: Machine
    shrinks: int
    fits: Mapping[str, int]

    def step(self, kind: StageKind, stage: AnyStage, options: Options, clip: ClipSpec, estimate: Estimate) -> Step:
        task = StageTask(kind, stage.name, clip.width, clip.height, clip.frames)
        weights: tuple[tuple[str, str], ...] = ()
        if hasattr(stage, "chosen_weights"):
            name = _ask(stage, "chosen_weights", str, self.machine.models, options)
            if find_weights(self.machine.models, name) is None:
                raise JobRejected(f"[{kind}] weights: {name} is not there: see `framedaemon models list`")
            options = options.model_copy(update={"weights": name})
            weights = ((name, str(read_record(self.machine.models, name).get("sha256", ""))),)
        for rung in range(self.shrinks + self.fits.get(task.fit_key(self.machine.known_as), 0), self.shrinks, -1):
            with suppress(OutOfMemory):
                return self._placed(task, options, estimate, rung, weights)
        return self._placed(task, options, estimate, self.shrinks, weights)

    def _placed(
        self, task: StageTask, options: Options, estimate: Estimate, rung: int, weights: tuple[tuple[str, str], ...]
    ) -> Step:
        placement = replace(self.registry.place(task, estimate, self.machine, rung), models=self.machine.models)
        if estimate.not_on_cpu and placement.device == "cpu":
            raise JobRejected(estimate.not_on_cpu)
        return Step(task, options, estimate.placed(placement, task.width, task.height), placement, rung, weights)


def _filling_estimate(
    stage: AnyStage | None, options: Options | None, played: ClipSpec, shown: ClipSpec, timeline: Timeline
) -> Estimate:
    if stage is None or options is None:
        raise JobRejected("[interpolate] use: 'none' fills nothing in; leave fps out, or name an interpolator")
    estimate = _ask(stage, "estimate", Estimate, played, shown, options)
    # A gap is answered at once with all its frames; with tiles each stands in float32 till the last tile is there.
    more = max(0, frames_in_gap(timeline) - 2) * (played.frame_bytes + 12 * played.width * played.height)
    return replace(estimate, ram=estimate.ram + more)


def _refuse_excess(plan: Plan) -> None:
    if plan.shown.frames > MAX_FRAMES:
        raise JobRejected(
            f"{plan.shown.frames} frames at {show_rate(plan.shown.fps)} fps are more than {MAX_FRAMES}: "
            "give fewer [generate] frames or a lower [interpolate] fps"
        )
    if plan.shown.fps > MAX_FPS:
        raise JobRejected(
            f"{show_rate(plan.shown.fps)} fps are more than {MAX_FPS}: give a lower [interpolate] fps or factor"
        )
    if plan.machine.ram and plan.ram > plan.machine.ram:
        raise JobRejected(
            f"this needs about {show_bytes(plan.ram)} of memory and the machine has {show_bytes(plan.machine.ram)} "
            "free: give a smaller [generate] width and height"
        )


def _step_summary(step: Step, machine: str) -> StepSummary:
    placement = asdict(step.placement)
    del placement["models"]  # where a person keeps them is nobody's business who gets the video
    return StepSummary(
        kind=step.task.kind,
        stage=step.task.name,
        options=step.options.model_dump(mode="json"),
        ram_bytes=step.estimate.ram,
        vram_bytes=step.estimate.vram,
        disk_bytes=step.estimate.disk,
        seconds=round(step.estimate.seconds, 1),
        placement=placement,
        fit_key=step.task.fit_key(machine),
        rung=step.rung,
        weights=dict(step.weights),
    )
