"""A drop-in file for the tests' instances: a generator that does, as its sidecar says, what months of service bring."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from framedaemon import ClipSpec, Estimate, GeneratorOptions, Halted, hookimpl, open_weights

GO = Path(__file__).parent.parent / "tmp" / "go"


class TestOptions(GeneratorOptions):
    does: str = "draw"
    """draw; wait for tmp/go before the last frame; grow till memory is out, once; ask a network of torch's."""


class Tested:
    name = "tested"
    summary = "does what months of service bring"
    options = TestOptions
    accepts = frozenset({"picture"})
    preference = -1

    def unready(self, machine: Any) -> None:
        return None

    def promise(self, takes: Any, options: TestOptions) -> ClipSpec:
        return ClipSpec(32, 32, options.frames or 3, Fraction(25))

    def estimate(self, takes: Any, gives: ClipSpec, options: TestOptions) -> Estimate:
        return Estimate()

    @contextmanager
    def load(self, placement: Any, options: TestOptions) -> Iterator[Any]:
        def draw(source: Any, scratch: Any) -> Iterator[np.ndarray]:
            first = not (scratch.folder / "begun").exists()
            (scratch.folder / "begun").touch()
            if options.does == "grow" and first:
                hoard = []
                while True:
                    hoard.append(np.ones(8 << 20, np.uint8))
            frames = options.frames or 3
            for index in range(frames):
                while options.does == "wait" and index == frames - 1 and not GO.exists():
                    (scratch.folder / "waiting").touch()
                    if scratch.halting():
                        raise Halted("before its last frame")
                    time.sleep(0.02)
                shade = np.linspace(0, 200, 32, dtype=np.uint8)[:, None, None]
                frame = np.ascontiguousarray(np.broadcast_to(np.roll(shade, index, 0), (32, 32, 3)))
                yield through_a_network(frame, placement.models) if options.does == "network" else frame

        yield draw


def through_a_network(frame: np.ndarray, models: Path) -> np.ndarray:
    """The frame as a small convolution of torch's gives it back, by stored weights, compiled as torch compiles."""
    import torch

    layer = torch.nn.Conv2d(3, 3, 3, padding=1, bias=False)
    layer.load_state_dict(open_weights(models, "tested-small"))
    traced = torch.jit.trace(layer, torch.zeros(1, 3, 32, 32))
    with torch.inference_mode():
        drawn = traced(torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float())
    return np.ascontiguousarray(drawn[0].permute(1, 2, 0).clamp(0, 255).byte().numpy())


@hookimpl
def generators() -> list[Tested]:
    return [Tested()]
