"""Turns a file of weights into tensors, by its stage, and writes them down: a safetensors file, and a record beside it.

The record is flushed to disk before the file that it speaks of is there: whatever was interrupted, a file without a
record that fits it is never taken for whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, metadata
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from framedaemon.disk import refuse_full_disk
from framedaemon.errors import FramedaemonError
from framedaemon.identity import version_of
from framedaemon.published import Tensors
from framedaemon.weights import file_of, record_of
from framedaemon.workspace import write_atomically

TO_READ = ("torch", "safetensors")
"""Packages without which no file of weights can be read."""
TO_ASK_A_HUB = ("huggingface_hub",)
"""Packages without which nothing can be fetched from a model hub."""


def missing_packages(needed: Sequence[str] = TO_READ) -> list[str]:
    """Those of the packages that are not installed."""
    return [package for package in needed if find_spec(package) is None]


def how_to_install(stage: str, needed: Sequence[str] = TO_READ) -> str:
    """The command that installs what a stage's weights need."""
    try:
        extras = metadata("framedaemon").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        extras = []
    return f"pip install 'framedaemon[{stage}]'" if stage in extras else f"pip install {' '.join(needed)}"


def refuse_without_packages(name: str, stage: str, needed: Sequence[str] = TO_READ) -> None:
    """Raises FramedaemonError where the weights ``name`` could not be read, or fetched: before anything is."""
    missing = missing_packages(needed)
    if missing:
        does = "read" if needed == TO_READ else "fetched"
        install = how_to_install(stage, needed)
        raise FramedaemonError(f"{name} cannot be {does} without {' and '.join(missing)}: `{install}`")


def read(name: str, reader: Callable[[Path], Tensors], path: Path) -> dict[str, Any]:
    """What a stage's ``reader`` makes of the file at ``path``: tensors on the CPU, each with memory of its own.

    Raises FramedaemonError, with the stage's words, for a file that it cannot use.
    """
    import torch

    try:
        tensors = reader(path)
    except ValueError as error:
        raise FramedaemonError(f"{name}: {error}") from error
    except UnpicklingError as error:  # torch's own words advise to open it all the same
        reason = "it is none of PyTorch's, or holds more than tensors, and such a pickle may run anything"
        raise FramedaemonError(f"{name}: {path} cannot be read: {reason}") from error
    except Exception as error:
        raise FramedaemonError(f"{name}: {path} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(tensors, Mapping) or not tensors:
        raise FramedaemonError(f"{name}: {path} holds no tensors")
    wrong = [key for key, value in tensors.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        raise FramedaemonError(f"{name}: {path} was read as something else than tensors: {wrong[0]}")
    return {key: value.detach().to("cpu").contiguous().clone() for key, value in tensors.items()}


def store(models: Path, name: str, tensors: dict[str, Any], facts: Mapping[str, str]) -> Path:
    """Write the weights ``name``, in place of any that are there; ``facts`` go into the file and its record.

    Raises DiskFull; what was there before is then not taken for whole any more.
    """
    from safetensors.torch import save

    facts = {**facts, "framedaemon": version_of("framedaemon") or ""}
    data = save(tensors, metadata={"format": "pt", "name": name, **facts})
    record = {"sha256": sha256(data).hexdigest(), "bytes": len(data), **facts}
    path = file_of(models, name)
    try:
        write_atomically(record_of(models, name), json.dumps(record, indent=2).encode("ascii") + b"\n")
        write_atomically(path, data)
    except OSError as error:
        refuse_full_disk(error, path)
        raise
    return path
