"""What a denoise leaves on disk for the attempt after it: a safetensors file, whole or not there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from framedaemon.disk import refuse_full_disk
from framedaemon.workspace import flush_folder


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors, and what else there is to know of them."""

    tensors: Mapping[str, Tensor]
    """By name, on the CPU when they were read."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """As JSON has them. A list or table in it may hold tensors."""


def write_checkpoint(path: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint``, in place of what is there, which stays until this is whole and on the disk.

    ``key``: what it must be asked for by, a digest of all that it depends on. Raises DiskFull, or OSError.
    """
    tensors = dict(checkpoint.tensors)
    facts = _taken_apart(checkpoint.facts, tensors)
    metadata = {"key": key, "facts": json.dumps(facts)}
    partial = path.with_name(f".{path.name}.partial")
    try:
        _save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, partial, metadata)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        refuse_full_disk(error, path)
        raise


def read_checkpoint(path: Path, key: str) -> Checkpoint | None:
    """What was written to ``path`` under ``key``; None where there is none, one of something else, or half of one."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except (OSError, SafetensorError):
        return None
    facts = _put_together(json.loads(metadata["facts"]), tensors)
    return Checkpoint(tensors, facts)


def _save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Raises OSError, where safetensors says in words what the system said: ``No space left … (os error 28)``."""
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), str(error)) from error


_TENSOR = "tensor:"


def _taken_apart(value: Any, tensors: dict[str, Tensor]) -> Any:
    """``value`` with a name in place of each tensor, which goes into ``tensors``."""
    if isinstance(value, Tensor):
        name = f"{_TENSOR}{len(tensors)}"
        tensors[name] = value.clone()  # two names for one memory are refused
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        return {key: _taken_apart(one, tensors) for key, one in value.items()}
    if isinstance(value, list):
        return [_taken_apart(one, tensors) for one in value]
    return value


def _put_together(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The way back; what comes from ``tensors`` is taken out of them."""
    if isinstance(value, dict):
        if set(value) == {_TENSOR}:
            return tensors.pop(value[_TENSOR])
        return {key: _put_together(one, tensors) for key, one in value.items()}
    if isinstance(value, list):
        return [_put_together(one, tensors) for one in value]
    return value
