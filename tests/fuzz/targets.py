"""What is fuzzed: each target takes any bytes, and returns however wrong they are.

A refusal in words is what is wanted. Anything else that comes out of a target is a finding, and so is a refusal that
nobody can read.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from framedaemon.choosing import check_recipe
from framedaemon.closing import Closing
from framedaemon.errors import FramedaemonError, JobRejected
from framedaemon.inbox import Inbox
from framedaemon.instance import Instance, create
from framedaemon.intake import Intake
from framedaemon.layers import Layer, read_request
from framedaemon.ledger import Ledger
from framedaemon.naming import show
from framedaemon.opening import Limits, open_source
from framedaemon.plan import make_plan
from framedaemon.plugins import load_plugins
from framedaemon.recipe import Recipe
from framedaemon.settings import InboxSettings, Settings
from framedaemon.sources import Footage, Picture
from framedaemon.stages import Machine
from framedaemon.toml import TomlError, read_toml
from framedaemon_video.reading import stream_frames
from framedaemon_video.stage import Video, VideoOptions
from fuzz import seeds

Target = Callable[[bytes], None]

_LIMITS = Limits(max_pixels=4_000_000)
"""Less than in earnest: a picture of 100 million pixels takes its seconds, which is no finding."""
_LONGEST_REASON = 4000
"""Characters. A person reads it; a file must not be able to fill a disk with it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A target that is made in a folder of its own, where it starts from, and words that it may be made of."""

    make: Callable[[Path], Target]
    seeds: Callable[[], Iterator[bytes]]
    words: tuple[bytes, ...] = ()


def open_target(folder: Path) -> Target:
    """A dropped file, opened; of a video the first frames are drawn too."""
    path = folder / "dropped"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            source = open_source(path, "x.dat", _LIMITS)
        except JobRejected as rejected:
            _check(rejected.problems)
            return
        if isinstance(source, Picture):
            assert source.pixels.dtype == np.uint8 and source.pixels.shape[2] == 3
        else:
            _draw(source)

    return run


def recipe_target(folder: Path) -> Target:
    """A sidecar, read, merged, checked and planned for a small picture."""
    registry = load_plugins(None)
    machine = Machine("cpu", 0, 8 << 30, 2)
    picture = Picture(np.zeros((48, 64, 3), np.uint8))

    def run(data: bytes) -> None:
        try:
            request = read_request([Layer("x.toml", read_toml(data, "x.toml"), sidecar=True)])
        except (TomlError, JobRejected) as rejected:
            _check(rejected.problems)
            return
        for recipe in request.recipes:
            assert Recipe.from_json(recipe.to_json()) == recipe
            _check(check_recipe(recipe, registry))
            try:
                make_plan(picture, recipe, registry, machine, 1).summary().model_dump_json()
            except JobRejected as rejected:
                _check(rejected.problems)

    return run


def name_target(folder: Path) -> Target:
    """A name: a file of that name is dropped, claimed, refused and put away, in real folders by a real ledger."""
    rounds = iter(range(1 << 60))

    def run(data: bytes) -> None:
        name = os.fsdecode(data.replace(b"\0", b"").strip(b"/"))
        root = folder / str(next(rounds))
        root.mkdir()
        try:
            with _claiming(Instance(root)) as (instance, ledger, intake):
                dropped = instance.input / name
                try:
                    dropped.parent.mkdir(parents=True, exist_ok=True)
                    dropped.write_bytes(b"not a picture")
                except OSError:
                    return  # no name at all, or one that no file can have
                _take(instance, ledger, intake)
        finally:
            shutil.rmtree(root)

    return run


KINDS = {
    "pictures": Kind(open_target, seeds.pictures),
    "footage": Kind(open_target, seeds.footage),
    "recipes": Kind(recipe_target, seeds.recipes, seeds.WORDS),
    "names": Kind(
        name_target, seeds.names, (b"/", b"../", b"..", b".toml", b".png", b".error.txt", b"\xe2\x80\xae", b"\n")
    ),
}


def _draw(footage: Footage) -> None:
    """A dozen frames, as the generator of videos draws them."""
    gives = Video().promise(footage, VideoOptions())
    assert gives.frames >= 1 and gives.fps > Fraction(0)
    try:
        for frame in islice(stream_frames(footage, gives, 1), 12):
            assert frame.shape == (gives.height, gives.width, 3)
    except FramedaemonError as failure:
        _check(str(failure).splitlines())


@contextmanager
def _claiming(instance: Instance) -> Iterator[tuple[Instance, Ledger, Intake]]:
    create(instance)
    with closing(Ledger(instance.ledger)) as ledger:
        yield instance, ledger, Intake(instance, Settings(), ledger)


def _take(instance: Instance, ledger: Ledger, intake: Intake) -> None:
    """All that is in input/ is refused and put away; nothing may end up anywhere else."""
    inbox = Inbox(instance.input, InboxSettings(settle_seconds=0.0))
    scan = inbox.scan(1.0)
    _check(scan.problems)
    for drop, rejected in intake.claim(scan.arrivals, 1.0):
        _check(rejected.problems if rejected else ())
        for job in ledger.jobs_of(drop.id):
            _check_stem(instance.output, job.stem)
            ledger.finish(job.id, "failed", "it is a test", 2.0)
        Closing(instance, ledger).close_drop(ledger.drop(drop.id))
        rests = ledger.drop(drop.id).rests
        assert rests is not None and (instance.input / rests).is_file()
        assert (instance.input / rests).resolve().is_relative_to(instance.failed.resolve())
    reasons = [path for path in instance.failed.rglob("*.error.txt") if path.is_file()]
    assert len(scan.arrivals) == len(reasons)


def _check_stem(output: Path, stem: str) -> None:
    """A video of that name can be written, in output/ and nowhere else."""
    video = output / f"{stem}.mp4"
    assert all(unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp") for letter in stem)
    assert video.resolve().is_relative_to(output.resolve())
    video.parent.mkdir(parents=True, exist_ok=True)
    video.touch()


def _check(problems: object) -> None:
    """Reasons are lines that a person can read: nothing that moves a cursor, nothing endless."""
    assert isinstance(problems, (tuple, list))
    for problem in problems:
        assert isinstance(problem, str) and problem.strip()
        assert show(problem) == problem, f"does not print: {problem!r}"
    assert sum(map(len, problems)) < _LONGEST_REASON * max(1, min(len(problems), 10)), f"endless: {len(problems)}"
