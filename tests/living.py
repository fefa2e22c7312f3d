"""A whole instance for tests: real folders, a real ledger, real worker processes, and stages that break on demand."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from framedaemon.instance import Instance, create
from framedaemon.ledger import JobRow, Ledger
from framedaemon.plugins import Registry, load_plugins
from framedaemon.service import Service
from framedaemon.settings import read_settings

CONFIG = """
[inbox]
settle_seconds = 0.0
rescan_seconds = 1.0
min_side = 8
[disk]
keep_free_bytes = 0
ballast_bytes = 0
[worker]
threads = 1
nice = 0
retry_seconds = 0
[defaults.generate]
frames = 3
fps = 4
[defaults.interpolate]
use = "blend"
"""

# A generator whose sidecar says how it is to fail, and a cross-fade: a drop-in file.
STAGES = '''
import os, signal, sys, time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from framedaemon import ClipSpec, Estimate, GeneratorOptions, InterpolatorOptions, OutOfMemory, hookimpl
from fractions import Fraction


class FaultyOptions(GeneratorOptions):
    fault: str = "none"
    times: int = 1000
    """How often it fails before it works."""
    disk: int = 0


class Faulty:
    name = "faulty"
    summary = "fails as it is told"
    options = FaultyOptions
    accepts = frozenset({"picture"})
    preference = -1

    def unready(self, machine):
        return None

    def promise(self, takes, options):
        if options.fault == "promise":
            raise KeyError("promise")
        return ClipSpec(32, 32, options.frames or 3, Fraction(4))

    def estimate(self, takes, gives, options):
        return Estimate(disk=options.disk)

    @contextmanager
    def load(self, placement, options):
        def draw(source, scratch):
            tries = scratch.folder / "tries"
            count = int(tries.read_text()) if tries.exists() else 0
            tries.write_text(str(count + 1))
            fault = options.fault if count < options.times else "none"
            if fault == "noise":
                print("a plugin speaks on stdout")
            for index in range(options.frames or 3):
                if index == 1:
                    if fault == "raise":
                        raise RuntimeError("something broke")
                    if fault == "memory":
                        raise OutOfMemory("no room on the device")
                    if fault == "memoryerror":
                        raise MemoryError
                    if fault == "exit":
                        sys.exit(3)
                    if fault == "kill":
                        os.kill(os.getpid(), signal.SIGKILL)
                    if fault == "hang":
                        time.sleep(3600)
                    if fault == "full":
                        raise OSError(28, "No space left on device")
                    if fault == "short":
                        return
                    if fault == "shape":
                        yield np.zeros((8, 8, 3), np.uint8)
                shade = np.linspace(0, 200, 32, dtype=np.uint8)[:, None, None]
                yield np.ascontiguousarray(np.broadcast_to(np.roll(shade, index, 0), (32, 32, 3)))
        yield draw


class Blend:
    name = "blend"
    summary = "cross-fades"
    options = InterpolatorOptions
    preference = -1

    def unready(self, machine):
        return None

    def estimate(self, takes, gives, options):
        return Estimate()

    @contextmanager
    def load(self, placement, options):
        def fill(gaps):
            for gap in gaps:
                yield [np.rint(gap.x0 * (1.0 - t) + gap.x1 * float(t)).astype(np.uint8) for t in map(float, gap.times)]
        yield fill


@hookimpl
def generators():
    return [Faulty()]


@hookimpl
def interpolators():
    return [Blend()]
'''


def make_instance(folder: Path, config: str = CONFIG) -> Instance:
    """An instance in ``folder`` that takes files at once and draws three small frames."""
    instance = Instance(folder)
    create(instance)
    instance.config.write_text(config, encoding="utf-8")
    (instance.plugins / "stages.py").write_text(STAGES, encoding="utf-8")
    return instance


def drop(instance: Instance, name: str, sidecar: str | None = None, side: int = 32) -> Path:
    """Drop a small picture with texture, its sidecar first."""
    path = instance.input / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if sidecar is not None:
        path.with_suffix(".toml").write_text(sidecar, encoding="utf-8")
    pixels = np.random.default_rng(len(name)).integers(0, 255, (side // 8, side // 8, 3), np.uint8)
    Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).save(path)
    return path


@contextmanager
def living(instance: Instance, registry: Registry | None = None) -> Iterator[Service]:
    """The instance's service, recovered and ready to tick, with its ledger; ended afterwards.

    Its own observers are loaded into this process, unless there is a ``registry``, as the daemon has one.
    """
    settings = read_settings(instance.config)
    ledger = Ledger(instance.ledger)
    registry = registry or load_plugins(instance.plugins, settings.plugins.disabled)
    service = Service(instance, settings, ledger, registry)
    try:
        service.recover()
        yield service
    finally:
        service.stop()
        ledger.close()


def tick_until(service: Service, done: Callable[[], bool], seconds: float = 180.0) -> None:
    """Tick, as the loop does, until ``done``; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        due = service.tick(time.monotonic())
        if done():
            return
        assert time.monotonic() < end, "it did not come to an end"
        with selectors.DefaultSelector() as selector:
            for handle in service.executor.handles():
                selector.register(handle, selectors.EVENT_READ)
            selector.select(max(0.0, min(due - time.monotonic(), 0.2)))


def run_all(instance: Instance) -> list[JobRow]:
    """Make everything in input/, as `framedaemon once` does; returns the jobs, the oldest first."""
    with living(instance) as service:
        tick_until(service, lambda: service.idle)
    return jobs_of(instance)


def jobs_of(instance: Instance) -> list[JobRow]:
    """Every job in the ledger, the oldest first."""
    ledger = Ledger(instance.ledger, read_only=True)
    rows = ledger.jobs()
    ledger.close()
    return rows[::-1]


def files_below(folder: Path) -> set[str]:
    """Every file, relative to ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
