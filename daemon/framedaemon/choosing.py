"""Which stage does what a recipe asks for, and with which options; ``auto`` takes the most preferred that is ready."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar, cast, get_args

from framedaemon.blame import let_through
from framedaemon.errors import FramedaemonError, JobRejected, StageFailed
from framedaemon.plugins import Registry
from framedaemon.published import Completes, Weighted, rows_of
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice
from framedaemon.sources import Source
from framedaemon.stages import AnyGenerator, AnyStage, Machine, Options, StageKind
from framedaemon.toml import Table, show_key
from framedaemon.weights import find_weights, how_to_get, read_record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A stage, and what it is asked for."""

    stage: AnyStage
    options: Options
    """With the weights named that ``auto`` meant, and what those say where the recipe says nothing."""
    weights: tuple[tuple[str, str], ...] = ()
    """Name and sha256 of what its network will be loaded from, the main one first."""


class Chooser:
    """Finds each stage and reads its options, gathering every problem on the way."""

    def __init__(self, registry: Registry, machine: Machine) -> None:
        self._registry = registry
        self._machine = machine
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.passed_over: list[str] = []
        """Stages that ``auto`` would have preferred, each with what it lacks."""

    def choose(
        self, kind: StageKind, choice: StageChoice | InterpolateChoice, source: Source | None = None
    ) -> Chosen | None:
        """The stage and its options; None for no interpolation, or where a problem was found.

        Raises StageFailed where a stage cannot say which weights it means.
        """
        if isinstance(choice, InterpolateChoice) and choice.nothing:
            return None
        try:
            stage = self._automatic(kind, source) if choice.use == "auto" else self._named(kind, choice.use, source)
            if choice.use == "auto":
                choice = choice.model_copy(update={"options": self._understood(kind, stage, choice.options)})
            return self._with_weights(kind, stage, choice.fit(kind, stage.options, "recipe"))
        except JobRejected as error:
            self.problems += error.problems
            return None

    def _with_weights(self, kind: StageKind, stage: AnyStage, options: Options) -> Chosen:
        """Raises JobRejected where weights are not there that ``options`` name."""
        if not isinstance(stage, Weighted):
            return Chosen(stage, options)
        models = self._machine.models
        names: tuple[str, ...] = asked(stage, "chosen_weights", tuple, models, options)
        for name in names:
            if find_weights(models, name) is None and not self._machine.imagined:
                todo = how_to_get(models, name, stage.name, rows_of(stage))
                raise JobRejected(f"[{kind}] weights: {name} is not there: {todo}")
            if find_weights(models, name) is None:
                self.notes.append(f"[{kind}] weights: {name} is not here: counted as it is published")
        options = options.model_copy(update={"weights": names[0]})
        if isinstance(stage, Completes):
            options = asked(stage, "completed", type(options), find_weights(models, names[0]), options)
        hashes = (str(read_record(models, name).get("sha256", "")) for name in names)
        return Chosen(stage, options, tuple(zip(names, hashes, strict=True)))

    def _named(self, kind: StageKind, name: str, source: Source | None) -> AnyStage:
        stage = self._registry.stage(kind, name)
        if source is not None and source.kind not in cast(AnyGenerator, stage).accepts:
            accepts = " and ".join(sorted(cast(AnyGenerator, stage).accepts))
            raise JobRejected(f"[{kind}] use: {name} makes clips of a {accepts}; this file is a {source.kind}")
        missing = None if self._machine.imagined else lacks(self._registry, stage, self._machine)
        if missing is not None:
            raise JobRejected(f"[{kind}] use: {name} cannot work here: {missing}")
        return stage

    def _automatic(self, kind: StageKind, source: Source | None) -> AnyStage:
        reasons: list[str] = []
        for stage in self._registry.stages(kind):
            if stage.preference < 0 or (source is not None and source.kind not in cast(AnyGenerator, stage).accepts):
                continue
            missing = lacks(self._registry, stage, self._machine)
            if missing is None and self._machine.device == "cpu" and getattr(stage, "wants_accelerator", False):
                missing = f'hours of work without a GPU: use = "{stage.name}" has it all the same'
            if missing is None:
                self.passed_over += reasons
                return stage
            reasons.append(f"{stage.name} cannot work here: {missing}")
        broken = [f"plugin {plugin.name} is broken: {plugin.reason}" for plugin in self._registry.broken()]
        said = "; ".join([*reasons, *broken]) or "no plugin offers one"
        raise JobRejected(f"[{kind}] use: nothing here can {kind} this: {said}")

    def _understood(self, kind: StageKind, stage: AnyStage, given: Table) -> Table:
        """``given`` without the options that speak to another stage than the one auto chose."""
        known = stage.options.model_fields
        others = {key for other in self._registry.stages(kind) for key in other.options.model_fields}
        foreign = sorted(key for key in given if key not in known and key in others)
        if foreign:
            self.notes.append(f"[{kind}] {', '.join(foreign)}: not for {stage.name}, passed over")
        return {key: value for key, value in given.items() if key not in foreign}


def asked(stage: AnyStage, question: str, answer: type[T], *given: object) -> T:
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


def lacks(registry: Registry, stage: AnyStage, machine: Machine) -> str | None:
    """What the stage says it lacks. One that cannot even say it must not cost the jobs that others can do.

    Raises StageFailed where the stage does: it does not know yet, and another try may tell.
    """
    try:
        with registry.trusting(registry.owner(stage)):
            return stage.unready(machine)
    except StageFailed:
        raise
    except BaseException as error:  # noqa: BLE001  (a stranger's stage may raise anything)
        let_through(error)
        return f"its unready() raised {type(error).__name__}: {error}"


def unready_stages(registry: Registry, machine: Machine) -> dict[str, str]:
    """What each stage lacks that cannot work here, the most preferred first: what ``auto`` passes over, and why."""
    found = {}
    for kind in get_args(StageKind):
        for stage in registry.stages(kind):
            try:
                missing = lacks(registry, stage, machine)
            except StageFailed as error:
                missing = str(error)
            if missing is not None:
                found[f"{kind} {stage.name}"] = missing
    return found


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
