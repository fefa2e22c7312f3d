"""A recipe, a source and a machine make a plan; everything that can be refused is refused here.

    Recipe + Source + Registry + Machine ─▶ Plan

Planning is pure: nothing is loaded, nothing is written, so `framedaemon explain` shows a plan and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TypeVar, cast

from framedaemon.clip import ClipSpec, show_rate
from framedaemon.cuts import cut
from framedaemon.disk import Need
from framedaemon.errors import FramedaemonError, JobRejected, OutOfMemory, StageFailed
from framedaemon.plugins import Registry
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.settings import show_bytes
from framedaemon.sources import Source
from framedaemon.stages import (
    AnyGenerator,
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
from framedaemon.toml import Table, show_key
from framedaemon.weave import woven_spec

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
    placement: Placement
    rung: int
    """Of the memory ladder: what the policy was asked as ``attempt``."""


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
    chooser = _Chooser(registry, machine)
    generator, drawing = chooser.choose("generate", recipe.generate, source)
    interpolator, filling = chooser.choose("interpolate", recipe.interpolate)
    encoder, encoding = chooser.choose("encode", recipe.encode)
    if chooser.problems or generator is None or encoder is None or drawing is None or encoding is None:
        raise JobRejected(chooser.problems)

    drawing = cast(GeneratorOptions, drawing)
    if drawing.seed is None:
        drawing = drawing.model_copy(update={"seed": seed})
    drawn = _ask(generator, "promise", ClipSpec, source, drawing)
    timeline = Timeline(drawn.frames, drawn.fps, recipe.interpolate.target_fps(drawn.fps), recipe.interpolate.loop)
    shown = woven_spec(drawn, timeline)
    sound = source.kind == "footage" and source.sound
    video = _ask(encoder, "promise", VideoSpec, shown, sound, encoding)

    place = _Placer(registry, machine, shrinks, fits or {})
    estimate = _ask(generator, "estimate", Estimate, source, drawn, drawing)
    generate = place.step("generate", generator, drawing, drawn, estimate)
    interpolate = None
    if timeline.step.denominator != 1:  # else every frame that is shown is a source frame
        interpolate = _interpolate_step(place, interpolator, filling, drawn, shown)
    estimate = _ask(encoder, "estimate", Estimate, shown, encoding)
    encode = place.step("encode", encoder, encoding, shown, estimate)
    notes = (*source.notes, *chooser.notes, *video.notes)
    plan = Plan(
        source, cast(int, drawing.seed), generate, drawn, interpolate, timeline, shown, encode, video, machine, notes
    )
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


class _Chooser:
    """Finds each stage and reads its options, gathering every problem on the way."""

    def __init__(self, registry: Registry, machine: Machine) -> None:
        self._registry = registry
        self._machine = machine
        self.problems: list[str] = []
        self.notes: list[str] = []

    def choose(
        self, kind: StageKind, choice: StageChoice | InterpolateChoice, source: Source | None = None
    ) -> tuple[AnyStage | None, Options | None]:
        """The stage and its options; (None, None) for no interpolation, or where a problem was found."""
        if isinstance(choice, InterpolateChoice) and choice.nothing:
            return None, None
        try:
            stage = self._automatic(kind, source) if choice.use == "auto" else self._named(kind, choice.use, source)
            if choice.use == "auto":
                choice = choice.model_copy(update={"options": self._understood(kind, stage, choice.options)})
            return stage, choice.fit(kind, stage.options, "recipe")
        except JobRejected as error:
            self.problems += error.problems
            return None, None

    def _named(self, kind: StageKind, name: str, source: Source | None) -> AnyStage:
        stage = self._registry.stage(kind, name)
        if source is not None and source.kind not in cast(AnyGenerator, stage).accepts:
            accepts = " and ".join(sorted(cast(AnyGenerator, stage).accepts))
            raise JobRejected(f"[{kind}] use: {name} makes clips of a {accepts}; this file is a {source.kind}")
        missing = self._missing(stage)
        if missing is not None:
            raise JobRejected(f"[{kind}] use: {name} cannot work here: {missing}")
        return stage

    def _automatic(self, kind: StageKind, source: Source | None) -> AnyStage:
        reasons = []
        for stage in self._registry.stages(kind):
            if stage.preference < 0 or (source is not None and source.kind not in cast(AnyGenerator, stage).accepts):
                continue
            missing = self._missing(stage)
            if missing is None:
                return stage
            reasons.append(f"{stage.name} cannot work here: {missing}")
        broken = [f"plugin {plugin.name} is broken: {plugin.reason}" for plugin in self._registry.broken()]
        said = "; ".join([*reasons, *broken]) or "no plugin offers one"
        raise JobRejected(f"[{kind}] use: nothing here can {kind} this: {said}")

    def _missing(self, stage: AnyStage) -> str | None:
        """What the stage says it lacks. One that cannot even say it must not cost the jobs that others can do.

        Raises StageFailed where the stage does: it does not know yet, and another try may tell.
        """
        try:
            return stage.unready(self._machine)
        except StageFailed:
            raise
        except Exception as error:  # noqa: BLE001  (a stranger's stage may raise anything)
            return f"its unready() raised {type(error).__name__}: {error}"

    def _understood(self, kind: StageKind, stage: AnyStage, given: Table) -> Table:
        """``given`` without the options that speak to another stage than the one auto chose."""
        known = stage.options.model_fields
        others = {key for other in self._registry.stages(kind) for key in other.options.model_fields}
        foreign = sorted(key for key in given if key not in known and key in others)
        if foreign:
            self.notes.append(f"[{kind}] {', '.join(foreign)}: not for {stage.name}, passed over")
        return {key: value for key, value in given.items() if key not in foreign}


@dataclass(frozen=True, slots=True)
class _Placer:
    registry: Registry
    machine: Machine
    shrinks: int
    fits: Mapping[str, int]

    def step(self, kind: StageKind, stage: AnyStage, options: Options, clip: ClipSpec, estimate: Estimate) -> Step:
        task = StageTask(kind, stage.name, clip.width, clip.height, clip.frames)
        for rung in range(self.shrinks + self.fits.get(task.fit_key(self.machine.known_as), 0), self.shrinks, -1):
            with suppress(OutOfMemory):
                return Step(task, options, estimate, self._place(task, estimate, rung), rung)
        return Step(task, options, estimate, self._place(task, estimate, self.shrinks), self.shrinks)

    def _place(self, task: StageTask, estimate: Estimate, rung: int) -> Placement:
        placement = self.registry.place(task, estimate, self.machine, rung)
        return replace(placement, models=self.machine.models)


def _interpolate_step(
    place: _Placer, stage: AnyStage | None, options: Options | None, drawn: ClipSpec, shown: ClipSpec
) -> Step:
    if stage is None or options is None:
        raise JobRejected("[interpolate] use: 'none' fills nothing in; leave fps out, or name an interpolator")
    estimate = _ask(stage, "estimate", Estimate, drawn, shown, options)
    return place.step("interpolate", stage, options, drawn, estimate)


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
        disk_bytes=step.estimate.disk,
        seconds=round(step.estimate.seconds, 1),
        placement=placement,
        fit_key=step.task.fit_key(machine),
        rung=step.rung,
    )


def check_recipe(recipe: Recipe, registry: Registry) -> list[str]:
    """What is wrong with a recipe whatever it is for: stages that are not there, options that nobody knows."""
    problems: list[str] = []
    for kind in ("generate", "interpolate", "encode"):
        choice: StageChoice = getattr(recipe, kind)
        if isinstance(choice, InterpolateChoice) and choice.nothing:
            continue
        try:
            if choice.use == "auto":
                for key in choice.options:
                    problems += _check_option(kind, choice, key, registry)
            else:
                choice.fit(kind, registry.stage(kind, choice.use).options, "recipe")
        except JobRejected as error:
            problems += error.problems
    return problems


def _check_option(kind: StageKind, choice: StageChoice, key: str, registry: Registry) -> Iterable[str]:
    """What is wrong with an option that whichever stage ``auto`` takes is to understand: nothing if one does."""
    problems: list[str] = []
    alone = choice.model_copy(update={"options": {key: choice.options[key]}})
    for stage in registry.stages(kind):
        if key in stage.options.model_fields:
            try:
                alone.fit(kind, stage.options, "recipe")
            except JobRejected as error:
                problems += [problem for problem in error.problems if f" {key}:" in problem]
            else:
                return []
    return problems[:1] or [f"{choice.origins.get(key, f'recipe [{kind}]')} {show_key(key)}: no stage here knows it"]
