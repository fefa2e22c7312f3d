"""Pictures whose preview waits to be looked at, and how those that are approved go on.

    input/waiting/trip/a.jpg ─ moved by a person, or by `approve` ─▶ input/approved/trip/a.jpg ─▶ taken like any other

The ledger knows by which recipe, and with which seed, each preview was made: the whole is made by the same ones,
whatever the files around the picture say by then. Where a picture lies decides, so nothing has to run for an approval.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from framedaemon.errors import JobRejected
from framedaemon.identity import hash_file
from framedaemon.instance import Instance
from framedaemon.ledger import DropRow, JobRow, Ledger
from framedaemon.naming import APPROVED, WAITING, mirrored
from framedaemon.proof import read_json
from framedaemon.recipe import Recipe
from framedaemon.workspace import move, real_folder


@dataclass(frozen=True, slots=True)
class Waiting:
    """A picture in input/waiting/."""

    drop: DropRow
    name: PurePosixPath
    """Relative to input/waiting/."""
    previews: tuple[str, ...]
    """Relative paths in output/."""


def waiting_in(instance: Instance, ledger: Ledger) -> list[Waiting]:
    """What waits to be approved, the oldest first: what the daemon put into input/waiting/, and is still there."""
    return [
        Waiting(drop, mirrored(place), tuple(job.output for job in ledger.jobs_of(drop.id) if job.output is not None))
        for place, drop in ledger.resting_in(WAITING).items()
        if os.path.lexists(instance.input / place)
    ]


def approve(instance: Instance, waiting: Waiting) -> Path:
    """Move the picture, and what belongs to it first, to input/approved/; returns where it is.

    Raises OSError: FileNotFoundError when it is gone, FileExistsError where another of its name stands there.
    """
    below, target = waiting.name.parent, instance.approved / waiting.name
    with (
        real_folder(instance.input, WAITING / below, moved=True) as there,
        real_folder(instance.input, APPROVED / below, make=True) as here,
    ):
        if os.path.lexists(here / target.name):
            raise FileExistsError(f"{target} is there already")
        for side in resting_beside(waiting.drop):
            if os.path.lexists(there / side.name):
                move(there / side.name, here / side.name)
        move(there / target.name, here / target.name)
    return target


def is_approved(name: str) -> bool:
    """Whether a picture at ``name``, relative to input/, lies in input/approved/."""
    return mirrored(name) != PurePosixPath(name)


def resting_beside(drop: DropRow) -> tuple[PurePosixPath, ...]:
    """Where in input/ those files were put that belong to a drop that was put away."""
    if drop.rests is None:
        return ()
    rests = PurePosixPath(drop.rests)
    stem = rests.name.removesuffix(PurePosixPath(drop.name).suffix)
    return tuple(rests.with_name(f"{stem}{side}") for side in drop.sides)


def origin_of(ledger: Ledger, name: str) -> DropRow | None:
    """The drop that a picture at ``name`` in input/approved/ goes on from; None where no preview of it was made.

    Its preview's, or the one before where the whole was tried and failed.
    """
    last = ledger.last_closed(f"{WAITING}/{mirrored(name)}", name)
    if last is None or last.rests is None:
        return None
    if last.rests.startswith(f"{WAITING}/"):
        return last
    goes_on = last.rests.startswith("failed/") and any(_finishes(job) for job in ledger.jobs_of(last.id))
    return last if goes_on else None


def recipes_from(ledger: Ledger, origin: DropRow) -> tuple[Recipe, ...]:
    """The recipes of the wholes that are still to be made, by the seeds that their previews were drawn with.

    Raises JobRejected where another version made the previews, and this one cannot read by what.
    """
    found = []
    for job in ledger.jobs_of(origin.id):
        recipe = recipe_of(job)
        if recipe is None:
            raise JobRejected("what was previewed is of another version of framedaemon: have a new preview made")
        if recipe.preview or job.state != "done":
            found.append(_whole(job, recipe))
    return tuple(found)


def previews(job: JobRow) -> bool:
    """Whether the job's video is a preview."""
    recipe = recipe_of(job)
    return recipe is not None and recipe.preview


def clear_finished(output: Path, ledger: Ledger, job: JobRow) -> None:
    """Remove the preview of which ``job``'s video, just published, is the whole. As `clear_away`."""
    finishes = _finishes(job)
    preview = ledger.job(finishes) if finishes is not None else None
    if preview is not None:
        clear_away(output, preview)


def clear_away(output: Path, preview: JobRow) -> None:
    """Remove the files of a preview from output/: those that are, to the byte, what the daemon put there.

    Its receipt goes last, and stays where another file does. What cannot be removed stays too.
    """
    if preview.output is None or not previews(preview):
        return
    video = output / preview.output
    receipt = video.with_name(f"{video.stem if video.suffix else video.name}.json")
    facts = _receipt(receipt, preview.id)
    if facts is None:
        return
    with suppress(OSError, LookupError, TypeError, ValueError):  # somebody changed the receipt
        left = [path for path, sha256 in _published(video, facts) if _remains(path, sha256)]
        if not left:
            receipt.unlink()


def _published(video: Path, facts: dict[str, Any]) -> Iterator[tuple[Path, object]]:
    """The files beside the receipt ``facts``, each with the sha256 that it had."""
    yield video, facts["video"]["sha256"]
    if "sheet" in facts:
        yield video.with_name(PurePosixPath(facts["sheet"]["file"]).name), facts["sheet"]["sha256"]


def _remains(path: Path, sha256: object) -> bool:
    """Whether a file is there that the daemon did not make; the one that it made is removed. Raises OSError."""
    if path.is_file() and not path.is_symlink() and hash_file(path) == sha256:
        path.unlink()
    return os.path.lexists(path)


def _receipt(path: Path, job: str) -> dict[str, Any] | None:
    """The receipt that the daemon wrote of ``job``'s video; None where it is not there, or another one is."""
    facts: dict[str, Any] | None = read_json(path)
    with suppress(KeyError, TypeError):
        if facts is not None and facts["job"] == job and isinstance(facts["video"]["file"], str):
            return facts
    return None


def _whole(job: JobRow, recipe: Recipe) -> Recipe:
    finishes = job.id if recipe.preview else recipe.finishes
    seed = json.loads(job.plan).get("seed") if job.plan is not None else None
    options = recipe.generate.options | ({"seed": seed} if seed is not None else {})
    generate = recipe.generate.model_copy(update={"options": options})
    return recipe.model_copy(update={"generate": generate, "preview": False, "finishes": finishes})


def _finishes(job: JobRow) -> str | None:
    recipe = recipe_of(job)
    return recipe.finishes if recipe is not None else None


def recipe_of(job: JobRow) -> Recipe | None:
    """What is asked for; None where another version wrote it so that this one cannot read it."""
    with suppress(ValueError):
        return Recipe.from_json(job.recipe)
    return None
