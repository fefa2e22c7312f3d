"""Weights that no row names: a person's own file or folder, a repository of a model hub, or one file of it.

net.pkl                                ─▶ read by its stage ─▶ <models>/rife-mine.safetensors
/data/my-wan                           ─▶ hashed where it is ─▶ <models>/wan-mine.json
owner/name@revision                    ─▶ offered, then fetched ─▶ <models>/diffusers-ltx/
owner/name:path/lora.safetensors       ─▶ offered, then fetched, read by its stage ─▶ <models>/wan-fast.safetensors
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from framedaemon.catalogue import Catalogue, Tell
from framedaemon.errors import FramedaemonError
from framedaemon.hub import Listing, Progress, bring, look_up
from framedaemon.identity import hash_file
from framedaemon.naming import show
from framedaemon.needed import INDEX, patterns_of
from framedaemon.published import Repository, TakesFiles, TakesFolders, Tensors, check_name, rows_of
from framedaemon.repositories import adopt_folder, files_for
from framedaemon.storing import TO_ASK_A_HUB, read, refuse_without_packages, store
from framedaemon.weights import file_of, is_repository, read_record

_ASKED = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@:\s]+))?(?::(?P<file>[^@:]+))?")
_MAIN = "main"  # what hubs call the branch that is looked at when nothing is said


@dataclass(frozen=True, slots=True)
class Asked:
    """``owner/name``, ``owner/name@revision``, ``owner/name:path/file.safetensors``."""

    repo: str
    revision: str = _MAIN
    file: str = ""
    """Its path in the repository; empty for the whole of it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What would be fetched of a hub's repository, for a person to look at before."""

    row: Repository
    listing: Listing
    stage: str
    file: str
    """The one file that the stage is to read; empty for a whole repository."""


def parse_asked(words: str) -> Asked | None:
    """What ``words`` ask of a hub; None where they are not of that form."""
    found = _ASKED.fullmatch(words)
    return Asked(found["repo"], found["revision"] or _MAIN, found["file"] or "") if found is not None else None


def add(catalogue: Catalogue, path: Path, stage: str, name: str | None, tell: Tell, progress: Progress) -> str:
    """Take in a person's own file, or folder, as ``<stage>-<name>``; without a name it is called as the file is.

    Returns what it is called. Raises FramedaemonError, DiskFull.
    """
    full = _name_for(catalogue, stage, name, path.resolve().name if path.is_dir() else path.stem)
    if not path.is_dir():
        _store(catalogue, path, stage, full, tell, {"original": show(path.name)})
        return full
    _refuse_unusable(catalogue, stage, path)
    with catalogue.alone(tell):
        _refuse_taken(catalogue, full)
        adopt_folder(catalogue.models, full, stage, path, progress)
    return full


def offer(catalogue: Catalogue, asked: Asked, stage: str, name: str | None) -> Offer:
    """What a hub has of it. Of a whole repository the configuration is fetched: it says which files are needed.

    Raises FramedaemonError where that is nothing that the stage could use.
    """
    full = _name_for(catalogue, stage, name, PurePosixPath(asked.file).stem or asked.repo.partition("/")[2])
    refuse_without_packages(full, stage, TO_ASK_A_HUB)
    _refuse_taken(catalogue, full)
    if asked.file:
        _reader(catalogue, stage)
    else:
        _refuse_without_use(catalogue, stage)
    listing = look_up(asked.repo, asked.revision)
    if asked.file:
        _refuse_file(asked, listing)
        patterns: tuple[str, ...] = (asked.file,)
    else:
        with TemporaryDirectory() as scratch:
            patterns = _configuration(listing, Path(scratch))
            _refuse_unusable(catalogue, stage, Path(scratch))
    row = Repository(
        name=full,
        summary=f"{asked.file or 'what is needed'} of {asked.repo}",
        licence=listing.licence,
        credit=f"published by {asked.repo.partition('/')[0]}",
        repo=asked.repo,
        revision=asked.revision,
        bytes=0,
        files=patterns,
        gated=listing.gated,
    )
    size = sum(file.bytes for file in files_for(row, listing))
    return Offer(replace(row, bytes=size), listing, stage, asked.file)


def accept(catalogue: Catalogue, offered: Offer, tell: Tell, progress: Progress) -> Path:
    """Fetch what was offered; returns where it lies. Raises FramedaemonError, DiskFull."""
    row, listing, stage = offered.row, offered.listing, offered.stage
    if not offered.file:
        with catalogue.alone(tell):
            return catalogue.fetch_repository(row, listing, stage, tell, progress)
    refuse_without_packages(row.name, stage)
    with catalogue.alone(tell) as pulling:
        catalogue.refuse_without_room(row.name, 3 * row.bytes)
        tell(f"fetching {row.name}: {offered.file} of {row.repo} at {listing.commit[:12]}")
        bring(listing, files_for(row, listing), pulling / row.name, progress)
    original = f"{row.repo}@{listing.commit}:{offered.file}"
    facts = {"original": original, "licence": row.licence, "credit": row.credit}
    stored = _store(catalogue, pulling / row.name / offered.file, stage, row.name, tell, facts)
    shutil.rmtree(pulling / row.name, ignore_errors=True)
    return stored


def _store(catalogue: Catalogue, path: Path, stage: str, full: str, tell: Tell, facts: Mapping[str, str]) -> Path:
    """A single file, read by its stage."""
    reader = _reader(catalogue, stage)
    refuse_without_packages(full, stage)
    with catalogue.alone(tell):
        _refuse_taken(catalogue, full)
        catalogue.refuse_without_room(full, 2 * path.stat().st_size)  # halves may be kept as whole numbers of 32 bits
        facts = {"stage": stage, **facts, "original_sha256": hash_file(path)}
        return store(catalogue.models, full, read(full, reader, path), facts)


def _configuration(listing: Listing, folder: Path) -> tuple[str, ...]:
    """Patterns of the files that a repository needs; what they are read from comes into ``folder``."""
    index = listing.file(INDEX)
    if index is None:
        raise FramedaemonError(f"{listing.repo} has no {INDEX}: that is no repository of a diffusers pipeline")
    bring(listing, [index], folder, lambda done, total: None)
    try:
        patterns = patterns_of((folder / INDEX).read_text(encoding="utf-8"))
    except ValueError as error:
        raise FramedaemonError(f"{listing.repo}: {error}") from error
    configs = [pattern.replace("*", "config.json") for pattern in patterns]  # vae/config.json
    bring(listing, [file for file in listing.files if file.path in configs], folder, lambda done, total: None)
    return patterns


def _refuse_file(asked: Asked, listing: Listing) -> None:
    if not asked.file.endswith(".safetensors"):
        raise FramedaemonError(f"{asked.file}: of a hub's single files only those in safetensors are taken")
    if listing.file(asked.file) is None:
        raise FramedaemonError(f"{asked.repo} has no {asked.file} at {asked.revision}")


def _reader(catalogue: Catalogue, stage_name: str) -> Callable[[Path], Tensors]:
    stage = catalogue.stages.get(stage_name)
    if isinstance(stage, TakesFiles):
        return stage.read_weights
    able = ", ".join(name for name, stage in catalogue.stages.items() if isinstance(stage, TakesFiles)) or "none"
    raise FramedaemonError(f"no stage {stage_name!r} takes a file of weights; these do: {able}")


def _refuse_without_use(catalogue: Catalogue, stage_name: str) -> None:
    """Raises FramedaemonError where the stage has no use for whole repositories."""
    able = [
        name
        for name, stage in catalogue.stages.items()
        if isinstance(stage, TakesFolders) or any(isinstance(row, Repository) for row in rows_of(stage))
    ]
    if stage_name not in able:
        raise FramedaemonError(
            f"no stage {stage_name!r} takes a whole repository; these do: {', '.join(able) or 'none'}"
        )


def _refuse_unusable(catalogue: Catalogue, stage_name: str, folder: Path) -> None:
    """Raises FramedaemonError for a folder that the stage has no use for."""
    _refuse_without_use(catalogue, stage_name)
    if not (folder / INDEX).is_file():
        raise FramedaemonError(f"{folder} has no {INDEX}: that is no folder of a diffusers pipeline")
    stage = catalogue.stages[stage_name]
    try:
        if isinstance(stage, TakesFolders):
            stage.check_folder(folder)
    except ValueError as error:
        raise FramedaemonError(f"{stage_name} cannot use that: {error}") from error


def _refuse_taken(catalogue: Catalogue, full: str) -> None:
    if file_of(catalogue.models, full).exists() or is_repository(read_record(catalogue.models, full)):
        again = f"`framedaemon models remove {full}`, or take another name, by --as"
        raise FramedaemonError(f"{full} is there already: {again}")


def _name_for(catalogue: Catalogue, stage: str, said: str | None, there: str) -> str:
    """What a person's own is called: as they said, else after what it is called ``there``.

    Raises FramedaemonError where it cannot be that.
    """
    word = said or re.sub(r"[^a-z0-9._-]+", "-", there.lower()).strip("-.")
    try:
        full = check_name(f"{stage}-{word or 'own'}")
    except ValueError as error:
        raise FramedaemonError(f"{error}; take another one, by --as") from error
    if full in catalogue.rows():
        raise FramedaemonError(f"{full} is the name of published weights: take another one, by --as")
    return full
