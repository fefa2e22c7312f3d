"""Whole repositories in the models folder: pulled from a hub, or a person's own folder written down where it is.

<models>/.pulling/wan-ti2v-5b/    while it is not whole
<models>/wan-ti2v-5b.json         the record: commit, licence, each file's size and sha256; flushed before
<models>/wan-ti2v-5b/             the folder comes here, by one rename

So whatever was interrupted, no folder that is not whole lies beside a record. One that has to be mended, or brought to
another commit, goes back to .pulling, and what is right of it is not fetched again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from framedaemon.disk import refuse_full_disk
from framedaemon.errors import FramedaemonError
from framedaemon.hub import HubFile, Listing, Progress, bring, here_of
from framedaemon.identity import hash_file, version_of
from framedaemon.needed import INDEX, needed_files, patterns_of
from framedaemon.published import Repository
from framedaemon.weights import fault_of, folder_of, is_repository, misfit_of, read_record, record_of
from framedaemon.workspace import flush_folder, write_atomically

Room = Callable[[int], None]
"""Raises DiskFull where so many bytes have no room."""


def row_of(name: str, record: Mapping[str, Any]) -> Repository | None:
    """The repository that a record says was fetched, as a row; None where it is of something else."""
    if not is_repository(record) or "repo" not in record:
        return None
    summary, licence, credit = (str(record.get(key, "")) for key in ("summary", "licence", "credit"))
    size, patterns = int(record["bytes"]), tuple(record["of"])
    return Repository(name, summary, licence, credit, str(record["repo"]), str(record["asked"]), size, patterns)


def is_whole(models: Path, row: Repository) -> bool:
    """Whether the very files that ``row`` names are there, as far as names and sizes tell."""
    record = read_record(models, row.name)
    same = (record.get("repo"), record.get("asked"), record.get("of")) == (row.repo, row.revision, list(row.files))
    return same and fault_of(models, row.name) is None


def files_for(row: Repository, listing: Listing) -> list[HubFile]:
    """What is to be fetched for ``row``. Raises FramedaemonError."""
    try:
        paths = set(needed_files((file.path for file in listing.files), row.files))
    except ValueError as error:
        raise FramedaemonError(f"{listing.repo}: {error}") from error
    if not paths:
        raise FramedaemonError(f"{listing.repo} has none of {', '.join(row.files)} at {listing.commit}")
    return [file for file in listing.files if file.path in paths]


def pull_repository(
    models: Path, row: Repository, stage: str, listing: Listing, progress: Progress, room: Room
) -> Path:
    """Have ``row`` of ``listing`` in ``models``, whole; returns its folder.

    ``models/.pulling`` is there, and ours alone. Raises FramedaemonError and DiskFull; what is here by then stays.
    """
    files, place, growing = files_for(row, listing), models / row.name, models / ".pulling" / row.name
    if place.exists():
        if "repo" not in read_record(models, row.name):
            raise FramedaemonError(
                f"{place} is there, and framedaemon did not put it there: move it away; where it is a model, "
                f"`framedaemon models add` takes it in from its new place"
            )
        shutil.rmtree(growing, ignore_errors=True)
        place.rename(growing)
    _drop_strays(growing, files)
    room(sum(file.bytes - here_of(file, growing) for file in files))
    try:
        listed = bring(listing, files, growing, progress)
        facts = {"summary": row.summary, "credit": row.credit, "repo": row.repo, "revision": listing.commit}
        facts |= {"asked": row.revision, "stage": stage, "licence": row.licence}
        _record(models, row.name, listed, {**facts, "of": list(row.files)})
        growing.rename(place)
    except OSError as error:
        refuse_full_disk(error, growing)
        raise
    flush_folder(models)
    return place


def adopt_folder(models: Path, name: str, stage: str, folder: Path, progress: Progress) -> Path:
    """Write down a person's own folder as ``name``: every file of it that is needed is read once, for its hash.

    Raises FramedaemonError where it is no folder of a pipeline.
    """
    folder = folder.resolve()
    try:
        patterns = patterns_of((folder / INDEX).read_text(encoding="utf-8"))
        paths = needed_files(_paths_below(folder), patterns)
    except FileNotFoundError as error:
        raise FramedaemonError(f"{folder} has no {INDEX}: that is no folder of a diffusers pipeline") from error
    except (OSError, ValueError) as error:
        raise FramedaemonError(f"{folder}: {error}") from error
    sizes = {path: (folder / path).stat().st_size for path in paths}
    listed = [
        {"path": path, "bytes": sizes[path], "sha256": digest} for path, digest in _hashes(folder, sizes, progress)
    ]
    _record(models, name, listed, {"folder": str(folder), "original": folder.name, "stage": stage})
    return folder


def damage_of(models: Path, name: str, progress: Progress) -> str | None:
    """Why the repository ``name`` is not what it was, in words: every byte of it is read.

    It is written into the record: no job loads what is known to be damaged, and a pull fetches it anew.
    """
    record = read_record(models, name)
    misfit = misfit_of(models, name)
    if misfit is not None:  # seen by every look: when its disk is back, so is the folder
        return misfit
    found = _changed(folder_of(models, name), name, record, progress)
    if found != record.get("damage"):
        with suppress(OSError):  # who may only read is told all the same
            _write(models, name, {**record, "damage": found})
    return found


def remove_repository(models: Path, name: str) -> bool:
    """Remove a fetched repository, whole or in part, or the record of a person's own folder; False for neither."""
    record = read_record(models, name)
    fetched = [models / ".pulling" / name]
    if "repo" in record:
        fetched.append(models / name)
    there = [folder for folder in fetched if folder.is_dir()]
    if is_repository(record):
        record_of(models, name).unlink()
    for folder in there:
        shutil.rmtree(folder)
    return bool(there) or is_repository(record)


def _changed(folder: Path, name: str, record: Mapping[str, Any], progress: Progress) -> str | None:
    recorded = {file["path"]: file["sha256"] for file in record["files"]}
    sizes = {file["path"]: file["bytes"] for file in record["files"]}
    for path, found in _hashes(folder, sizes, progress):
        if found != recorded[path]:
            return f"{name} is damaged: the sha256 of {path} is {found} and should be {recorded[path]}"
    return None


def _hashes(folder: Path, sizes: Mapping[str, int], progress: Progress) -> Iterator[tuple[str, str]]:
    """The sha256 of each file."""
    done, total = 0, sum(sizes.values())
    for path, size in sizes.items():
        yield path, hash_file(folder / path)
        done += size
        progress(done, total)


def _paths_below(folder: Path) -> Iterator[str]:
    """Of all files, relative and parted by ``/``; a hub's cache links to its files, and links are followed."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _drop_strays(folder: Path, files: Iterable[HubFile]) -> None:
    """Of another commit, and wanted no more."""
    wanted = {folder / f"{file.path}{end}" for file in files for end in ("", ".part")}
    for path in [path for path in folder.rglob("*") if not path.is_dir() and path not in wanted]:
        path.unlink()


def _record(models: Path, name: str, listed: list[dict[str, Any]], facts: Mapping[str, Any]) -> None:
    listed = sorted(listed, key=lambda file: file["path"])
    lines = "".join(f"{file['sha256']} {file['bytes']} {file['path']}\n" for file in listed)
    whole = {"sha256": sha256(lines.encode()).hexdigest(), "bytes": sum(file["bytes"] for file in listed)}
    _write(models, name, {**whole, **facts, "framedaemon": version_of("framedaemon") or "", "files": listed})


def _write(models: Path, name: str, record: Mapping[str, Any]) -> None:
    write_atomically(record_of(models, name), json.dumps(record, indent=1).encode("ascii") + b"\n")
