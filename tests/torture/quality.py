"""Stages that do their work to the end, and wrong: no such video is ever published, and the reason names the fault."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from framedaemon.instance import Instance
from made_clips import make_video
from torture.faulty import left_behind
from torture.invariants import Dropped, Violation, in_the_end
from torture.report import Row
from torture.workbench import CONFIG, Workbench, once

_STAGES = (Path(__file__).parent / "wrong_stages.py").read_text("utf-8")

_FAST = '[generate]\nmove = "pan_right"\namount = 0.5\n'
# Over a picture that rushes by, one of another colour is no leap: see docs/quality.md.
_SLOW = '[generate]\nmove = "pan_right"\namount = 0.04\n'


class Wrong(NamedTuple):
    """Something that a stage does wrong."""

    table: str
    """Of the recipe: generate, interpolate or encode."""
    what: str
    """See `wrong_stages`."""
    says: tuple[str, ...]
    """Words of the reason, one of which names the fault."""


WRONGS = (
    Wrong("generate", "nan", ("black: ", "nan: ")),
    Wrong("generate", "grey", ("nan: ",)),
    Wrong("generate", "black", ("black: ",)),
    Wrong("generate", "frozen", ("frozen: ",)),
    Wrong("generate", "missing", ("wrong: made 5 frames, promised were 6",)),
    Wrong("generate", "extra", ("wrong: made more than its 6 frames",)),
    Wrong("interpolate", "nan", ("black: ", "nan: ")),
    Wrong("interpolate", "grey", ("nan: ",)),
    Wrong("interpolate", "black", ("black: ",)),
    Wrong("interpolate", "missing", ("wrongflow: ",)),
    Wrong("interpolate", "extra", ("wrongflow: ",)),
    Wrong("encode", "nan", ("content: ",)),
    Wrong("encode", "grey", ("content: ",)),
    Wrong("encode", "black", ("content: ",)),
    Wrong("encode", "frozen", ("frozen: ", "content: ")),
    Wrong("encode", "missing", ("frames: ",)),
    Wrong("encode", "extra", ("frames: ",)),
    Wrong("encode", "skipped", ("content: ",)),
    Wrong("encode", "swapped", ("content: ",)),
    Wrong("encode", "blue", ("colour: ",)),
    Wrong("encode", "rate", ("rate: ",)),
    Wrong("encode", "size", ("size: ",)),
    Wrong("encode", "tags", ("tags: ",)),
    Wrong("encode", "truncated", ("decodes: ",)),
    Wrong("encode", "empty", ("decodes: ",)),
    Wrong("encode", "sound", ("sound: ",)),
)


def wrong_instance(bench: Workbench, name: str) -> Instance:
    """An instance whose stages do their work wrong when a sidecar says so, and get one try."""
    instance = bench.instance(name)
    config = CONFIG.replace("max_attempts = 100", "max_attempts = 1")
    config = config.replace("[defaults.generate]", '[defaults.generate]\nuse = "wrong"')
    config = config.replace("[defaults.interpolate]", '[defaults.interpolate]\nuse = "wrongflow"')
    instance.config.write_text(config + '[defaults.encode]\nuse = "wrongffmpeg"\n', "utf-8")
    (instance.plugins / "wrong_stages.py").write_text(_STAGES, "utf-8")
    return instance


def gate(wrongs: Iterable[Wrong], bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Each of ``wrongs`` in one job, beside one in which nothing is wrong."""
    row, instance = Row("quality"), wrong_instance(bench, "wrong")
    drops = [bench.drop(instance, "honest.png", 0)]
    dropped = list(zip(bench.trials(trials), wrongs, strict=False))
    for number, wrong in dropped:
        drops.append(_drop(bench, instance, f"wrong{number}", number, wrong))
    once(instance)
    row.add([*in_the_end(instance, drops), *left_behind(instance)], trials=0)
    for number, wrong in dropped:
        told = instance.failed / f"wrong{number}.error.txt"
        said = told.read_text("utf-8") if told.exists() else "nothing"
        named = any(words in said for words in wrong.says)
        row.add([] if named else [Violation("ledger", f"{wrong.table} {wrong.what}: said was {said}")])
    return row


def _drop(bench: Workbench, instance: Instance, stem: str, number: int, wrong: Wrong) -> Dropped:
    if wrong.what == "sound":
        path = make_video(instance.root / f"{stem}.mp4", sound=True, options={"qp": "10"})
        path.with_suffix(".toml").write_text('[generate]\nuse = "video"\n[encode]\nwrong = "sound"\n')
        path.with_suffix(".toml").rename(instance.input / f"{stem}.toml")
        path = path.rename(instance.input / path.name)
        return Dropped(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), None)
    table = "" if wrong.table == "generate" else f"[{wrong.table}]\n"
    asks = f'{_FAST if table else _SLOW}{table}wrong = "{wrong.what}"\n'
    made = bench.drop(instance, f"{stem}.png", number, asks)
    return Dropped(made.name, made.sha256, None, made.sidecar)


def all_wrongs(bench: Workbench, trials: int, rng: random.Random) -> Row:
    """Everything that can be wrong, at least once each."""
    return gate(WRONGS, bench, max(trials, len(WRONGS)), rng)


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {"quality": all_wrongs}
