"""The power fails at any write to a disk; the machine comes back with what was flushed, and a part of the rest.

    daemon at work on disks that remember ─▶ the disks as a cut at write N leaves them ─▶ mounted, looked at ─▶ goes on

One recording serves many trials: each write and each flush of it is a moment at which the power may have failed.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from framedaemon.instance import Instance, create
from torture.disks import Recording, ext4, recorded, sound
from torture.invariants import Dropped, Violation, after_a_crash, in_the_end
from torture.report import Row
from torture.stream import SIDECAR
from torture.strikes import where_possible
from torture.workbench import Daemon, Workbench, once, unended, wait_until

_PICTURES = 6
_TRIALS_OF_A_RECORDING = 60

# Where disks are mounted below an instance.
_ONE_DISK = (".",)
_THREE_DISKS = ("input", "output", "tmp")


class _Put(NamedTuple):
    """A picture that was dropped while the disks remembered."""

    drop: Dropped
    begun: int
    safe: int
    """From this moment on it must not be lost; since ``begun`` it may be there."""


def power_cut(bench: Workbench, trials: int, rng: random.Random, parts: Sequence[str] = _ONE_DISK) -> Row:
    """Cut the power of all of an instance's disks at once."""
    row = Row("power cut" if len(parts) == 1 else f"power cut of {len(parts)} disks")
    for number in bench.trials(-(-trials // _TRIALS_OF_A_RECORDING)):
        folder = bench.folder / f"recording{number}"
        with recorded(folder / "disks", *(folder / "powered" / part for part in parts)) as recording:
            puts, first, last = _work(bench, recording, folder / "powered", rng)
        moments = recording.moments(first, last)
        chosen = sorted(rng.sample(moments, min(len(moments), trials - row.trials, _TRIALS_OF_A_RECORDING)))
        for _, (moment, images) in zip(bench.trials(trials), recording.cut(chosen, rng), strict=False):
            with ExitStack() as mounts:
                for image, part in zip(images, parts, strict=True):
                    mounts.enter_context(ext4(image, folder / "cut" / part))
                row.add(_come_back(Instance(folder / "cut"), bench.config, puts, moment))
            row.add([Violation("ledger", f"{image} is not sound") for image in images if not sound(image)], trials=0)
            if row.violations:
                return row  # the images are kept
        shutil.rmtree(folder)
    return row


def _work(bench: Workbench, recording: Recording, root: Path, rng: random.Random) -> tuple[list[_Put], int, int]:
    """Let a daemon, killed and started once, make some videos; also returns the first and the last moment of it."""
    instance = bench.instance("", root)
    for kind in range(_PICTURES):
        bench.expected(kind)  # now, since it takes a while
    subprocess.run(["sync", "-f", root, instance.input, instance.output, instance.tmp], check=True)
    first, puts = recording.now(), []
    daemon = Daemon(instance)
    try:
        for number in range(_PICTURES):
            begun, name = recording.now(), f"picture{number}.png"
            if number == 1:
                drop = bench.refuse(instance, name)
            else:
                drop = bench.drop(instance, name, number, SIDECAR if number % 3 == 2 else None)
            puts.append(_Put(drop, begun, recording.now()))
            wait_until(lambda awaited=number - 2: len(_put_away(instance)) >= awaited, "what was dropped earlier")
            time.sleep(rng.uniform(0.0, 0.2))
            if number == _PICTURES // 2:
                daemon.kill()
                daemon = Daemon(instance)
        wait_until(lambda: len(_put_away(instance)) == _PICTURES and not unended(instance), "the last video")
        return puts, first, recording.now()
    finally:
        daemon.kill()


def _put_away(instance: Instance) -> list[Path]:
    return [path for folder in (instance.done, instance.failed) for path in folder.glob("*.png")]


def _come_back(instance: Instance, config: str, puts: Sequence[_Put], moment: int) -> list[Violation]:
    """What a power cut at ``moment`` broke, and what is still broken once a daemon has gone on."""
    create(instance)
    instance.config.write_text(config, encoding="utf-8")
    there = {path.name for path in instance.root.rglob("picture*.png")}
    drops = [put.drop for put in puts if put.safe <= moment or (put.begun <= moment and put.drop.name in there)]
    found = after_a_crash(instance, drops)
    once(instance)
    return found + in_the_end(instance, drops)


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = where_possible(
    {
        "power cut": power_cut,
        "power cut of 3 disks": lambda bench, trials, rng: power_cut(bench, trials, rng, _THREE_DISKS),
    }
)
