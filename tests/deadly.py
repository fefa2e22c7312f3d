"""A drop-in plugin that draws as wan does, and at given points kills its own worker or runs out of memory."""

from __future__ import annotations

from pathlib import Path

from framedaemon.instance import Instance
from tiny_pipelines import save_tiny_pipeline

PLUGIN = '''
import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from framedaemon import OutOfMemory, hookimpl
from framedaemon_wan import Wan

HERE = Path(__file__).parent


class Deadly(Wan):
    name = "deadly"
    preference = -1
    weights = ()

    @contextmanager
    def load(self, placement, options):
        with super().load(placement, options) as generate:

            def draw(source, scratch):
                def progress(what, fraction):
                    pass_by(f"{what} {fraction:.3f}")
                    scratch.progress(what, fraction)

                for index, frame in enumerate(generate(source, replace(scratch, progress=progress))):
                    pass_by(f"frame {scratch.start + index}")
                    yield frame

            yield draw


def pass_by(point):
    """Write down that we came here, and end here where that is wanted."""
    with (HERE / "points").open("a") as file:
        file.write(f"{os.getpid()} {point}\\n")
    told = HERE / "kill-at"
    waiting = told.read_text().splitlines() if told.exists() else []
    if waiting and waiting[0] == point:
        told.write_text("\\n".join(waiting[1:]))
        if (HERE / "no-memory").exists():
            raise OutOfMemory("the device has no room")
        os.kill(os.getpid(), signal.SIGKILL)


@hookimpl
def generators():
    return [Deadly()]
'''


def make_deadly(instance: Instance, kind: str, *deaths: str, no_memory: bool = False) -> None:
    """Put the plugin into the instance, and a tiny pipeline beside it.

    deaths: where a worker is to die, one after the other; with ``no_memory`` it lives, and runs out of memory there.
    """
    from framedaemon.repositories import adopt_folder

    (instance.plugins / "deadly.py").write_text(PLUGIN, encoding="utf-8")
    models = instance.root / "models"
    models.mkdir()
    folder = save_tiny_pipeline(kind, instance.root / "tiny")
    adopt_folder(models, "deadly-tiny", "deadly", folder, lambda done, total: None)
    if no_memory:
        (instance.plugins / "no-memory").touch()
    (instance.plugins / "kill-at").write_text("\n".join(deaths), encoding="utf-8")


def points(instance: Instance) -> list[list[str]]:
    """What each attempt has passed, an attempt after the other: ``text 0.000``, ``denoise 0.200``, ``frame 3``."""
    attempts: dict[str, list[str]] = {}
    for line in (instance.plugins / "points").read_text(encoding="utf-8").splitlines():
        pid, _, point = line.partition(" ")
        attempts.setdefault(pid, []).append(point)
    return list(attempts.values())


def recipe(**generate: object) -> str:
    """A sidecar: a short clip by the tiny pipeline, twice as many frames by flow."""
    given = {"use": "deadly", "weights": "deadly-tiny", "prompt": "a wave, the sea", "seed": 5, "frames": 9, "steps": 4}
    given |= {"width": 96, "height": 64, "checkpoint_seconds": 0} | generate
    lines = [f"{key} = {value if isinstance(value, int) else repr(value)}" for key, value in given.items()]
    return "\n".join(["[generate]", *lines, "[interpolate]", 'use = "flow"', "factor = 2", ""])


def config_with_models(config: str, root: Path) -> str:
    """``config`` for an instance whose weights lie in it, and whose jobs may die often."""
    return f'{config}\n[models]\nfolder = "{root / "models"}"\noffline = true\n'
