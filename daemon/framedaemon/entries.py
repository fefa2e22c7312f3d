"""What lies of weights in the models folder, and what could, a line each: by names and sizes, nothing is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from framedaemon.published import Repository, Row
from framedaemon.weights import fault_of, file_of, find_weights, folder_of, is_repository, read_record

State: TypeAlias = Literal["there", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `framedaemon models list`."""

    name: str
    stage: str
    """The stage that uses them; empty where none here does."""
    state: State
    bytes: int
    """Of what is stored; of what would be fetched where nothing is."""
    licence: str
    summary: str
    path: Path
    """Where they lie, or would."""


def entry_of(models: Path, row: Row, stage: str) -> Entry:
    """Of what a stage's row names."""
    if isinstance(row, Repository):
        state, size = _state_of_folder(models, row.name)
        path = folder_of(models, row.name)
    else:
        path = file_of(models, row.name)
        state, size = _state(path)
    return Entry(row.name, stage, state, size or row.bytes, row.licence, row.summary, path)


def own_entry(models: Path, name: str) -> Entry:
    """Of what no row speaks of."""
    record = read_record(models, name)
    path = folder_of(models, name) if is_repository(record) else file_of(models, name)
    state, size = _state_of_folder(models, name) if is_repository(record) else _state(path)
    if "original" in record:
        summary = f"your own, from {record['original']}"
    else:
        summary = f"{record['repo']}, as you added it" if "repo" in record else "no stage here knows of it"
    return Entry(name, str(record.get("stage", "")), state, size, str(record.get("licence", "")), summary, path)


def _state_of_folder(models: Path, name: str) -> tuple[State, int]:
    if find_weights(models, name) is None:
        return "missing", 0
    return ("there" if fault_of(models, name) is None else "damaged"), int(read_record(models, name)["bytes"])


def _state(path: Path) -> tuple[State, int]:
    """As far as sizes tell."""
    if not path.is_file():
        return "missing", 0
    size = path.stat().st_size
    return ("there" if read_record(path.parent, path.stem).get("bytes") == size else "damaged"), size
