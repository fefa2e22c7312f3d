"""Stages that are small but real: each keeps the contract of its kind, so that the core is tested without a plugin.

    squares   draws a square that moves over a dark ground
    blend     fills gaps by mixing the two frames, and answers CUT where they have nothing in common
    raw       writes frames one after another into a file, as they are

`registry_of` offers them through the hooks, as a plugin's module would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import pluggy

from framedaemon import (
    CUT,
    Clip,
    ClipSpec,
    Delivery,
    Encode,
    EncoderOptions,
    Estimate,
    Fill,
    Filled,
    Footage,
    Frame,
    Gap,
    Generate,
    GeneratorOptions,
    InterpolatorOptions,
    JobRejected,
    Machine,
    Picture,
    Placement,
    Scratch,
    Source,
    SourceKind,
    VideoSpec,
    hookimpl,
)
from framedaemon.hooks import PROJECT, Hooks
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.plugins import Registry

GIB = 2**30


class SquaresOptions(GeneratorOptions):
    """How the square moves, and how deep it is drawn."""

    step: int = 3
    """Pixels to the right, a frame."""
    depth: Literal[8, 16] = 8


@dataclass(eq=False)
class Squares:
    """Draws a bright square that moves to the right; 8 frames at 16 a second unless told otherwise."""

    name: str = "squares"
    summary: str = "a square that moves"
    options: type[SquaresOptions] = SquaresOptions
    accepts: frozenset[SourceKind] = frozenset({"picture", "footage"})
    preference: int = 10
    lacks: str | None = None
    ram: int = 0
    """Added to the estimate."""
    loaded: int = 0
    """How many loads have not been given back."""

    def unready(self, machine: Machine) -> str | None:
        return self.lacks

    def promise(self, takes: Source, options: SquaresOptions) -> ClipSpec:
        if options.frames == 13:
            raise JobRejected("[generate] frames: 13 is unlucky")
        size = options.width or takes.width, options.height or takes.height
        return ClipSpec(*size, options.frames or 8, options.fps or Fraction(16), options.depth)

    def estimate(self, takes: Source, gives: ClipSpec, options: SquaresOptions) -> Estimate:
        return Estimate(ram=4 * gives.frame_bytes + self.ram, disk=1000, seconds=gives.frames / 100)

    @contextmanager
    def load(self, placement: Placement, options: SquaresOptions) -> Iterator[Generate]:
        def generate(source: Source, scratch: Scratch) -> Iterator[Frame]:
            scratch.note("step", options.step)
            return draw_squares(self.promise(source, options), options.step)

        self.loaded += 1
        try:
            yield generate
        finally:
            self.loaded -= 1


class BlendOptions(InterpolatorOptions):
    """When two frames have nothing in common."""

    cut_above: float = 80.0
    """Mean difference in 8-bit levels."""


@dataclass(eq=False)
class Blend:
    """Mixes the two frames of a gap."""

    name: str = "blend"
    summary: str = "both frames, mixed"
    options: type[BlendOptions] = BlendOptions
    preference: int = 10
    lacks: str | None = None
    loaded: int = 0

    def unready(self, machine: Machine) -> str | None:
        return self.lacks

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: BlendOptions) -> Estimate:
        return Estimate(ram=32 * takes.frame_bytes, seconds=gives.frames / 50)

    @contextmanager
    def load(self, placement: Placement, options: BlendOptions) -> Iterator[Fill]:
        def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
            return (blend(gap, options.cut_above) for gap in gaps)

        self.loaded += 1
        try:
            yield fill
        finally:
            self.loaded -= 1


class RawOptions(EncoderOptions):
    """How much room the file is said to take."""

    container: str = "raw"
    said_bytes: int | None = None
    """The estimate of the finished file; None: what it really takes."""


@dataclass(eq=False)
class Raw:
    """Writes each frame's bytes after those of the one before."""

    name: str = "raw"
    summary: str = "frames as they are"
    options: type[RawOptions] = RawOptions
    preference: int = 10
    lacks: str | None = None
    loaded: int = 0

    def unready(self, machine: Machine) -> str | None:
        return self.lacks

    def promise(self, takes: ClipSpec, sound: bool, options: RawOptions) -> VideoSpec:
        if options.container != "raw":
            raise JobRejected(f"[encode] container: {options.container} is not raw")
        pixel_format = "rgb24" if takes.depth == 8 else "rgb48le"
        return VideoSpec(
            takes.width, takes.height, takes.frames, takes.fps, ".raw", "rawvideo", "raw", pixel_format, tagged=False,
            notes=("sound is left out",) if sound else (),
        )  # fmt: skip

    def estimate(self, takes: ClipSpec, options: RawOptions) -> Estimate:
        size = takes.frames * takes.frame_bytes
        return Estimate(ram=takes.frame_bytes, disk=options.said_bytes or size, seconds=takes.frames / 200)

    @contextmanager
    def load(self, placement: Placement, options: RawOptions) -> Iterator[Encode]:
        def encode(clip: Clip, delivery: Delivery) -> None:
            with delivery.output.open("xb") as file:
                file.writelines(frame.tobytes() for frame in clip)

        self.loaded += 1
        try:
            yield encode
        finally:
            self.loaded -= 1


def draw_squares(spec: ClipSpec, step: int = 3) -> Iterator[Frame]:
    """The frames of ``squares``: each another one, black but for a square of a quarter of the height."""
    side = max(1, spec.height // 4)
    for index in range(spec.frames):
        frame = np.full(spec.shape, np.iinfo(spec.dtype).max // 16, spec.dtype)
        left = index * step % max(1, spec.width - side)
        frame[side : 2 * side, left : left + side] = np.iinfo(spec.dtype).max - index % 64
        yield frame


def blend(gap: Gap, cut_above: float = 80.0) -> Filled:
    """What ``blend`` answers for a gap."""
    levels = np.iinfo(gap.x0.dtype).max / 255
    if np.abs(gap.x0.astype(np.float64) - gap.x1).mean() > cut_above * levels:
        return CUT
    return [np.rint(gap.x0 * (1 - float(t)) + gap.x1 * float(t)).astype(gap.x0.dtype) for t in gap.times]


def picture(width: int = 32, height: int = 24, notes: tuple[str, ...] = ()) -> Picture:
    """A still: a gradient."""
    row = np.linspace(0, 255, width, dtype=np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))
    pixels.flags.writeable = False
    return Picture(pixels, notes)


def footage(path: Path = Path("film.mp4"), sound: bool = True) -> Footage:
    """A video file as it was understood; there need not be one."""
    return Footage(path, 32, 24, 8, Fraction(25), sound=sound)


def machine(device: str = "cpu", ram: int = 8 * GIB, vram: int = 0, cores: int = 2) -> Machine:
    """A small computer."""
    return Machine(device, vram, ram, cores)


def plugin(**hooks: Callable[..., object]) -> ModuleType:
    """What a plugin's module would be: each hook by its name, the function that implements it."""
    module = ModuleType("a_plugin")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def offering(*stages: Squares | Blend | Raw) -> ModuleType:
    """A plugin that offers ``stages``."""
    return plugin(
        generators=lambda: [stage for stage in stages if isinstance(stage, Squares)],
        interpolators=lambda: [stage for stage in stages if isinstance(stage, Blend)],
        encoders=lambda: [stage for stage in stages if isinstance(stage, Raw)],
    )


def empty_registry() -> Registry:
    """A registry as it is before the first plugin is found: with the memory policy that is shipped."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(DefaultMemoryPolicy(), "framedaemon.memory")
    return Registry(manager)


def registry_of(*stages: Squares | Blend | Raw) -> Registry:
    """A registry of ``stages``; without any, of one of each kind."""
    registry = empty_registry()
    registry.add("fakes", "tests", offering(*(stages or (Squares(), Blend(), Raw()))))
    return registry
