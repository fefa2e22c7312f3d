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

from framedaemon.instance import Instance, create
from torture.disks import Recording, ext4, recorded, sound
from torture.invariants import Dropped, Violation, after_a_crash, in_the_end
from torture.report import Row
from torture.workbench import Daemon, Workbench, once, put, unended, wait_until

_PICTURES = 6
_TRIALS_OF_A_RECORDING = 60

# Where disks are mounted below an instance.
ONE_DISK = (".",)
THREE_DISKS = ("input", "output", "tmp")


def power_cuts(bench: Workbench, trials: int, rng: random.Random, parts: Sequence[str] = ONE_DISK) -> Row:
    """Cut the power ``trials`` times, of all of an instance's disks at once."""
    row = Row("power cut" if len(parts) == 1 else f"power cut of {len(parts)} disks")
    began = time.monotonic()
    while row.trials < trials:
        folder = bench.folder / f"{row.fault.replace(' ', '-')}-{row.trials}"
        points = [folder / "powered" / part for part in parts]
        with recorded(folder / "disks", *points) as recording:
            drops, first, last = _work(bench, recording, folder / "powered", rng)
        moments = recording.moments(first, last)
        chosen = sorted(rng.sample(moments, min(len(moments), trials - row.trials, _TRIALS_OF_A_RECORDING)))
        for moment, images in recording.cut(chosen, rng):
            known = [drop for safe_since, drop in drops if safe_since <= moment]
            found = _trial(folder / "cut", parts, images, known, bench.config)
            row.add(found)
            if found:
                _keep(images, folder / f"kept-{moment}")
        shutil.rmtree(folder / "disks")
    row.seconds = time.monotonic() - began
    return row


def _work(
    bench: Workbench, recording: Recording, root: Path, rng: random.Random
) -> tuple[list[tuple[int, Dropped]], int, int]:
    """Let a daemon, killed and started once, make some videos.

    Returns what was dropped, each with the moment since when it is safe, and the first and the last moment.
    """
    instance = bench.instance("", root)
    subprocess.run(["sync", "-f", *(root / part for part in ("input", "output", "tmp", "."))], check=True)
    first = recording.now()
    drops = []
    daemon = Daemon(instance)
    try:
        for number in range(_PICTURES):
            name = f"picture{number}"
            if number % 3 == 2:
                put(instance.input / f"{name}.toml", b"[generate]\nframes = 6\n")
            drop = bench.refuse(instance, f"{name}.png") if number == 1 else bench.drop(instance, f"{name}.png", number)
            drops.append((recording.now(), drop))
            time.sleep(rng.uniform(0.0, 0.5))
            if number == _PICTURES // 2:
                daemon.kill()
                daemon = Daemon(instance)
        wait_until(lambda: not list(instance.input.glob("picture*")) and not unended(instance), "the last video")
        return drops, first, recording.now()
    finally:
        daemon.kill()


def _trial(
    root: Path, parts: Sequence[str], images: Sequence[Path], drops: Sequence[Dropped], config: str
) -> list[Violation]:
    """What the power cut broke, and what is still broken once a daemon has gone on."""
    with ExitStack() as mounts:
        for image, part in zip(images, parts, strict=True):
            mounts.enter_context(ext4(image, root / part))
        instance = Instance(root)
        create(instance)
        instance.config.write_text(config, encoding="utf-8")
        found = after_a_crash(instance, drops)
        once(instance)
        found += in_the_end(instance, drops)
    found += [Violation("ledger", f"{image} is not sound") for image in images if not sound(image)]
    return found


def _keep(images: Sequence[Path], folder: Path) -> None:
    folder.mkdir()
    for image in images:
        shutil.copy(image, folder)


FAULTS: dict[str, Callable[[Workbench, int, random.Random], Row]] = {
    "power cut": power_cuts,
    "power cut of 3 disks": lambda bench, trials, rng: power_cuts(bench, trials, rng, THREE_DISKS),
}
