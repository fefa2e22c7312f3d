"""Recipes out of TOML: what the files around a picture say, merged.

    config.toml [defaults] < defaults.toml of each folder < photo.toml < [[job]] in it < command line
            └───────────────── Layers, lowest first ──── read_request ──▶ Request(recipes, priority)

Tables are merged key by key. Some words do not outlive the one they were said to:
- a layer that changes ``use`` drops the lower layers' keys that not every stage knows;
- ``factor`` and ``fps`` replace each other, and ``use = "none"`` replaces both;
- a layer that changes ``codec`` drops the lower layers' ``crf``, which counts differently for each codec.

Here structure and the keys that all stages share are checked; a sidecar names no paths, and options that a stage
declares as paths are the stage's to confine.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath

from pydantic import Field, JsonValue

from framedaemon.clip import Rate
from framedaemon.errors import JobRejected
from framedaemon.naming import mirrored, show
from framedaemon.recipe import Factor, InterpolateChoice, Recipe, Request, StageChoice, StageName
from framedaemon.sidecars import FOLDER_DEFAULTS
from framedaemon.stages import EncoderOptions, GeneratorOptions, Options, StageKind
from framedaemon.toml import MAX_KEYS, Table, TomlError, fit, load_toml

KINDS: tuple[StageKind, ...] = ("generate", "interpolate", "encode")
MAX_JOBS = 100
_MAX_TEXT = 10_000
_MAX_ENTRIES = 1_000
_MAX_NESTING = 3

# No fault of the file that cannot be read: no file handle is left, no memory, or a share is out of reach for a while.
_PASSING = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR),
        *(errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN, errno.ECONNRESET),
    }
)


class _Generate(GeneratorOptions):
    use: StageName = "auto"
    preview: bool = False


class _Interpolate(Options):
    use: StageName = "auto"
    factor: Factor | None = None
    fps: Rate | None = None
    loop: bool = False
    speed: Factor = Fraction(1)
    dedupe: bool = False


class _Encode(EncoderOptions):
    use: StageName = "auto"


# The core's own keys, of the whole recipe and of the timeline: no stage is told of them.
_WHOLE = ("preview",)
_TIMING = tuple(key for key in _Interpolate.model_fields if key != "use")

# What every stage of a kind understands; other keys are the stage's own.
_SHARED: Mapping[StageKind, type[Options]] = {"generate": _Generate, "interpolate": _Interpolate, "encode": _Encode}


class _Job(Options):
    generate: dict[str, JsonValue] = Field(default_factory=dict)
    interpolate: dict[str, JsonValue] = Field(default_factory=dict)
    encode: dict[str, JsonValue] = Field(default_factory=dict)


class _Folder(_Job):
    priority: int = Field(0, ge=-100, le=100)


class _Sidecar(_Folder):
    job: list[_Job] = Field(default_factory=list, max_length=MAX_JOBS)


@dataclass(frozen=True, slots=True)
class Layer:
    """One file's word on the recipe, or the command line's."""

    where: str
    """What messages call it: ``cat.toml``."""
    table: Table = field(default_factory=dict)
    sidecar: bool = False
    """Only a sidecar may hold ``[[job]]`` tables."""
    prefix: str = ""
    """``defaults.`` where the tables stand below another one, as in config.toml."""

    def spot(self, kind: StageKind) -> str:
        """What messages call one of its tables: ``config.toml [defaults.encode]``."""
        return f"{self.where} [{self.prefix}{kind}]"


def load_layers(input_folder: Path, name: str, sidecar: Path | None) -> tuple[Layer, ...]:
    """The layers that files hold for the picture ``name`` (relative to input/), lowest first.

    Those are the ``defaults.toml`` of input/ and of each folder down to the picture's, and the sidecar, wherever it
    stands now. Raises JobRejected with the problems of all of them, OSError where that is no fault of theirs, and
    another try may succeed.
    """
    below = mirrored(name).parent
    folders = [PurePosixPath(), *reversed(below.parents[:-1]), below]
    relative = dict.fromkeys(folder / FOLDER_DEFAULTS for folder in folders)
    files = [(input_folder / path, f"input/{show(path.as_posix())}", False) for path in relative]
    if sidecar is not None:
        files.append((sidecar, show(sidecar.name), True))
    layers, problems = [], []
    for path, where, is_sidecar in files:
        try:
            layers.append(Layer(where, load_toml(path, where, follow=False), is_sidecar))
        except FileNotFoundError:
            if is_sidecar:
                problems.append(f"{where}: vanished")
        except TomlError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _PASSING:
                raise error.__cause__ from None
            problems += error.problems
    if problems:
        raise JobRejected(problems)
    return tuple(layers)


def read_request(layers: Sequence[Layer]) -> Request:
    """What the layers, lowest first, ask for together; at most one of them is a sidecar.

    Raises JobRejected with every problem of every layer.
    """
    problems = [problem for layer in layers for problem in _check_layer(layer)]
    if problems:
        raise JobRejected(problems)
    stacks: list[list[Layer]] = [[]]
    priority = 0
    for layer in layers:
        priority = fit(layer.table, _Sidecar, layer.where).priority if "priority" in layer.table else priority
        jobs = _jobs(layer)
        stacks = [[*stack, layer, job] for stack in stacks for job in jobs] or [[*stack, layer] for stack in stacks]
    recipes = []
    for stack in stacks:
        try:
            recipes.append(_stack(stack))
        except TomlError as error:
            problems += error.problems
    if problems:
        raise JobRejected(dict.fromkeys(problems))
    return Request(tuple(recipes), priority)


def _check_layer(layer: Layer) -> Iterable[str]:
    """Every problem of one layer on its own."""
    if "job" in layer.table and not layer.sidecar:
        yield f"{layer.where} job: [[job]] tables stand in a picture's own sidecar only"
    try:
        table = {key: value for key, value in layer.table.items() if key != "job" or layer.sidecar}
        fit(table, _Sidecar if layer.sidecar else _Folder, layer.where, strict=True)
    except TomlError as error:
        yield from error.problems
    for part in (layer, *_jobs(layer)):
        for kind in KINDS:
            yield from _check_table(kind, _table(part, kind), part.spot(kind))


def _check_table(kind: StageKind, table: Table, where: str) -> Iterable[str]:
    if len(table) > MAX_KEYS:
        yield f"{where}: has more than {MAX_KEYS} keys"
        return
    shared = {key: value for key, value in table.items() if key in _SHARED[kind].model_fields}
    try:
        fit(shared, _SHARED[kind], where, strict=True)
    except TomlError as error:
        yield from error.problems
    for key, value in table.items():
        yield from _check_value(value, f"{where} {show(key[:60])}")
    if "factor" in table and "fps" in table:
        yield f"{where} fps: cannot stand beside factor; keep one of them"


def _check_value(value: JsonValue, where: str, depth: int = 0) -> Iterable[str]:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        yield f"{where}: is longer than {_MAX_TEXT} characters"
    if not isinstance(value, (list, dict)):
        return
    if depth == _MAX_NESTING or len(value) > _MAX_ENTRIES:
        yield f"{where}: is nested deeper than {_MAX_NESTING} lists or has more than {_MAX_ENTRIES} entries"
        return
    for inner in value.values() if isinstance(value, dict) else value:
        yield from _check_value(inner, where, depth + 1)


def _stack(layers: Sequence[Layer]) -> Recipe:
    """One recipe out of checked layers. Raises TomlError for what contradicts itself across them."""
    generate, interpolate, encode = (_merge(kind, layers) for kind in KINDS)
    generate, ours = _apart(generate, _WHOLE)
    interpolate, timing = _apart(interpolate, _TIMING)
    timed = InterpolateChoice.model_validate({**interpolate.model_dump(), **timing})
    return Recipe.model_validate({"generate": generate, "interpolate": timed, "encode": encode, **ours})


def _merge(kind: StageKind, layers: Sequence[Layer]) -> StageChoice:
    use = "auto"
    options: Table = {}
    origins: dict[str, str] = {}
    for layer in layers:
        table = _table(layer, kind)
        for key in _silenced(kind, use, options, table):
            options.pop(key, None)
        use = str(table.get("use", use))
        for key, value in table.items():
            if key != "use":
                options[key], origins[key] = value, layer.spot(kind)
            if key not in ("use", "loop", "speed") and kind == "interpolate" and use == "none":
                raise TomlError(f'{layer.spot(kind)} {show(key)}: means nothing with use = "none"')
    return StageChoice(use=use, options=options, origins={key: origins[key] for key in options})


def _silenced(kind: StageKind, use: str, options: Table, table: Table) -> list[str]:
    """Keys of lower layers that no longer hold under the next layer's ``table``."""
    silenced: list[str] = []
    if table.get("use", use) != use:
        silenced += options.keys() - _SHARED[kind].model_fields.keys()
    if kind == "interpolate":
        silenced += ["fps"] * ("factor" in table) + ["factor"] * ("fps" in table)
        silenced += ["factor", "fps", "dedupe"] * (table.get("use") == "none")
    if kind == "encode" and "codec" in table and table["codec"] != options.get("codec", EncoderOptions().codec):
        silenced.append("crf")
    return silenced


def _apart(choice: StageChoice, keys: Iterable[str]) -> tuple[StageChoice, Table]:
    """The choice without ``keys``, and what those say: they are the core's own, and the stage is not told of them."""
    options = dict(choice.options)
    apart = {key: options.pop(key) for key in keys if key in options}
    origins = {key: choice.origins[key] for key in options}
    return StageChoice(use=choice.use, options=options, origins=origins), apart


def _table(layer: Layer, kind: StageKind) -> Table:
    table = layer.table.get(kind, {})
    return table if isinstance(table, dict) else {}


def _jobs(layer: Layer) -> list[Layer]:
    """The ``[[job]]`` tables of a layer, each as the layer above it."""
    jobs = layer.table.get("job", [])
    if not isinstance(jobs, list):
        return []
    return [Layer(f"{layer.where} [[job]] {n}", job) for n, job in enumerate(jobs, 1) if isinstance(job, dict)]
