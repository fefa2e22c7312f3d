"""A recipe, a source and a machine make a plan; everything that can be refused is refused here.

    Recipe + Source + Registry + Machine ─▶ Plan

Planning is pure: nothing is loaded, nothing is written, so `framedaemon explain` shows a plan and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import cast

from framedaemon.choosing import Chooser, Chosen, asked
from framedaemon.clip import ClipSpec, show_rate
from framedaemon.cuts import cut
from framedaemon.disk import Need
from framedaemon.errors import JobRejected, OutOfMemory, StageFailed
from framedaemon.plugins import Registry
from framedaemon.preview import promised, shrunk, unfilled
from framedaemon.recipe import Recipe
from framedaemon.settings import show_bytes
from framedaemon.sources import Source
from framedaemon.stages import (
    Estimate,
    GeneratorOptions,
    Machine,
    Options,
    Placement,
    StageKind,
    VideoSpec,
)
from framedaemon.summary import PhaseSummary, PlanSummary, StepSummary
from framedaemon.task import StageTask
from framedaemon.timeline import Timeline
from framedaemon.weave import frames_in_gap, woven_spec

MAX_FRAMES = 1_000_000
"""Of a finished video: nine hours at 30 a second. More is a slip of the pen."""

MAX_FPS = 1000
"""Of a finished video, as of every rate that is written down: a factor may lead beyond."""

_MOST_FORMS = 100  # of one clip, each smaller than the one before


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
    preview: bool = False
    """Whether it is the cheap form of what was asked for."""

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
            source=self.source.describe(),
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
            pixel_format=self.video.pixel_format,
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
    generator = chooser.choose("generate", recipe.generate, source)
    interpolator = chooser.choose("interpolate", recipe.interpolate)
    encoder = chooser.choose("encode", recipe.encode)
    if chooser.problems or generator is None or encoder is None:
        raise JobRejected(chooser.problems)

    drawing, timing = cast(GeneratorOptions, generator.options), recipe.interpolate
    if drawing.seed is None:
        drawing = drawing.model_copy(update={"seed": seed})
    if recipe.preview:
        whole = make_plan(source, recipe.model_copy(update={"preview": False}), registry, machine, seed, 0, fits)
        drawing = shrunk(generator.stage, source, drawing, whole.drawn)
        timing = unfilled(timing)
        chooser.notes.append(promised(whole.shown, whole.seconds))
    generator = replace(generator, options=drawing)
    if source.kind == "picture" and source.last is not None and not getattr(generator.stage, "takes_last", False):
        chooser.notes.append(f"{generator.stage.name} has no use for the last picture, and ends as it would without")
    place = _Placer(registry, machine, shrinks, fits or {})
    generator, drawn, generate, place = _room_for(place, source, generator, chooser.notes)
    if hasattr(generator.stage, "remarks"):
        chooser.notes += asked(generator.stage, "remarks", tuple, source, generator.options)
    played = drawn.fps * timing.speed
    timeline = Timeline(drawn.frames, played, timing.target_fps(drawn.fps), timing.loop, timing.dedupe)
    shown = woven_spec(drawn, timeline)
    sound = source.kind == "footage" and source.sound
    if sound and timing.speed != 1:
        sound = False
        chooser.notes.append(f"speed = {timing.speed}: the sound is left out")
    video = asked(encoder.stage, "promise", VideoSpec, shown, sound, encoder.options)

    interpolate = None
    if timeline.step.denominator != 1 or timeline.dedupe:  # else every frame that is shown is a source frame
        if interpolator is None:
            raise JobRejected("[interpolate] use: 'none' fills nothing in; leave fps out, or name an interpolator")
        estimate = _filling_estimate(interpolator, replace(drawn, fps=played), shown, timeline)
        interpolate = place.beside(generate, _task("interpolate", interpolator, drawn), interpolator, estimate)
    estimate = asked(encoder.stage, "estimate", Estimate, shown, encoder.options)
    encode = place.step(_task("encode", encoder, shown), encoder, estimate)
    notes, over = (*source.notes, *chooser.notes, *video.notes), tuple(chooser.passed_over)
    seed = cast(int, drawing.seed)
    steps = generate, drawn, interpolate, timeline, shown, encode, video
    plan = Plan(source, seed, *steps, machine, notes, over, recipe.preview)
    _refuse_excess(plan)
    return plan


@dataclass(frozen=True, slots=True)
class _Placer:
    registry: Registry
    machine: Machine
    shrinks: int
    fits: Mapping[str, int]

    def step(self, task: StageTask, chosen: Chosen, estimate: Estimate) -> Step:
        for rung in range(self.shrinks + self.fits.get(task.fit_key(self.machine.known_as), 0), self.shrinks, -1):
            with suppress(OutOfMemory):
                return self._placed(task, chosen, estimate, rung)
        return self._placed(task, chosen, estimate, self.shrinks)

    def beside(self, generate: Step, task: StageTask, chosen: Chosen, estimate: Estimate) -> Step:
        """Where something works on the frames that stream out of the last phase of ``generate``.

        On the same device in what that leaves; where that is too little to stay there, as if all of it were free: when
        memory runs out, both are made smaller.
        """
        phases, spools = generate.estimate.phases, generate.placement.spool != "none"
        if phases and not spools and generate.placement.device == self.machine.device != "cpu":
            left = max(1, self.machine.vram - phases[-1].taken)  # 0 would mean that nobody knows
            with suppress(OutOfMemory, JobRejected):
                step = replace(self, machine=replace(self.machine, vram=left)).step(task, chosen, estimate)
                if step.placement.device != "cpu":
                    return step
        return self.step(task, chosen, estimate)

    def past(self, task: StageTask, estimate: Estimate) -> _Placer:
        """For the next smaller form: without the shrinks that this one's placements were worth."""
        for rung in range(self.shrinks):
            try:
                self.registry.place(task, estimate, self.machine, rung)
            except OutOfMemory:
                return replace(self, shrinks=self.shrinks - rung)
        return replace(self, shrinks=0)

    def _placed(self, task: StageTask, chosen: Chosen, estimate: Estimate, rung: int) -> Step:
        placement = replace(self.registry.place(task, estimate, self.machine, rung), models=self.machine.models)
        if estimate.not_on_cpu and placement.device == "cpu":
            raise JobRejected(estimate.not_on_cpu)
        placed = estimate.placed(placement, task.width, task.height)
        return Step(task, chosen.options, placed, placement, rung, chosen.weights)


def _task(kind: StageKind, chosen: Chosen, clip: ClipSpec) -> StageTask:
    return StageTask(kind, chosen.stage.name, clip.width, clip.height, clip.frames)


def _room_for(
    place: _Placer, source: Source, generator: Chosen, notes: list[str]
) -> tuple[Chosen, ClipSpec, Step, _Placer]:
    """What is drawn, and where: what was asked for, or the next smaller form that its stage has leave for.

    Raises OutOfMemory where none has room, with what the stage says of leave.
    """
    why, whole, able = "", generator.options.model_dump(), hasattr(generator.stage, "smaller")
    for _ in range(_MOST_FORMS):
        drawn = asked(generator.stage, "promise", ClipSpec, source, generator.options)
        estimate = asked(generator.stage, "estimate", Estimate, source, drawn, generator.options)
        task = _task("generate", generator, drawn)
        try:
            step = place.step(task, generator, estimate)
        except OutOfMemory as error:
            less = asked(generator.stage, "smaller", object, generator.options) if able else ""
            if not isinstance(less, type(generator.options)):
                raise OutOfMemory(f"{error}. {less}" if less else str(error)) from error
            why = why or str(error).partition(". ")[0]
            place, generator = place.past(task, estimate), replace(generator, options=less)
        else:
            if why:
                ours = generator.options.model_dump()
                how = [f"{key} = {ours[key]}" for key in ours if ours[key] not in (None, whole[key])]
                notes.append(f"made smaller, {', '.join(how)}: {drawn.describe()}, since {why}")
            return generator, drawn, step, place
    raise StageFailed(f"{generator.stage.name}: smaller() has no end")


def _filling_estimate(filler: Chosen, played: ClipSpec, shown: ClipSpec, timeline: Timeline) -> Estimate:
    estimate = asked(filler.stage, "estimate", Estimate, played, shown, filler.options)
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
        phases=tuple(
            PhaseSummary(name=phase.name, working_bytes=phase.taken, waiting_bytes=phase.streams)
            for phase in step.estimate.phases
        ),
        weights=dict(step.weights),
    )
