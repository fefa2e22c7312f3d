"""The form of the network that suits a device, and what runs its convolutions there.

    accelerator ─▶ WholeRife
    CPU ─────────▶ StripRife, where OpenCV looks up exactly ─▶ torch │ OpenVINO
                   WholeRife, where it does not

Which of the two is tried once on a machine, on a small piece of the work, and remembered in the models folder, so that
a job that goes on after a crash gets the same again. OpenVINO is taken only when it is clearly faster. bfloat16 only
where the placement says so: it is 56 to 66 dB away from float32.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Literal, TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor

from framedaemon import Placement, StageFailed
from framedaemon.networks import Device, PairNetwork
from framedaemon_rife.network.layers import Layers, fold
from framedaemon_rife.network.strips import Engine, StripRife
from framedaemon_rife.network.torch_engine import TorchEngine
from framedaemon_rife.network.versions import Version
from framedaemon_rife.network.whole import WholeRife

Runtime: TypeAlias = Literal["auto", "torch", "openvino"]

_CLEARLY = 1.25  # times as fast
_TRIED_BLOCK = 1  # of middling size
_TRIED_SIZE = (52, 76)
_TRIES = 5

_CHOICES = ".rife-runtime.json"


@contextmanager
def rife(
    version: Version, weights: Mapping[str, Tensor], device: Device, placement: Placement, runtime: Runtime
) -> Iterator[PairNetwork]:
    """The network on ``device``. Raises StageFailed where ``runtime`` is not installed."""
    layers = fold(version, weights)
    if not device.on_cpu or not looks_up_exactly():
        yield WholeRife(layers, device.torch_device, device.dtype)
        return
    with closing(engine_for(layers, device.dtype, placement, runtime)) as engine:
        yield StripRife(layers, engine)


@contextmanager
def lookups_by(threads: int) -> Iterator[None]:
    """Let OpenCV use so many threads; that setting is the whole process's, so it is put back."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def looks_up_exactly() -> bool:
    """Whether OpenCV's lookups of float32 are as fine as float32 (from 5.0 on): else they round to 1/32 pixel."""
    ramp = np.tile(np.arange(16, dtype=np.float32)[None, :, None], (16, 1, 4))
    across, down = np.full((16, 16), 7.51, np.float32), np.full((16, 16), 8.0, np.float32)
    seen = cv2.remap(ramp, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return bool(np.abs(seen - 7.51).max() < 1e-4)


def engine_for(layers: Layers, dtype: torch.dtype, placement: Placement, runtime: Runtime) -> Engine:
    """What runs the convolutions on the CPU. Raises StageFailed for one that is asked for and not installed."""
    there = find_spec("openvino") is not None
    if runtime == "openvino" and not there:
        raise StageFailed('[interpolate] runtime: openvino is not installed: pip install "framedaemon[openvino]"')
    makers: dict[str, Callable[[], Engine]] = {
        "torch": lambda: TorchEngine(layers, dtype if dtype == torch.bfloat16 else torch.float32),
        "openvino": lambda: _openvino(layers, placement.threads),
    }
    if runtime != "auto" or not there:
        return makers["torch" if runtime == "auto" else runtime]()
    there_before = _choices(placement.models)
    key = ", ".join([platform.node(), layers.version.name, f"{placement.threads} threads", *map(_release, makers)])
    if there_before.get(key) not in makers:
        there_before[key] = _measure(layers, makers)
        _remember(placement.models, there_before)
    return makers[there_before[key]]()


def _release(package: str) -> str:
    return f"{package} {version_of(package)}"


def _choices(models: Path) -> dict[str, str]:
    """What was found on this machine before; a job that goes on after a crash is to get the same again."""
    try:
        said = json.loads((models / _CHOICES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _remember(models: Path, choices: Mapping[str, str]) -> None:
    """Where the folder cannot be written to, each process finds out for itself."""
    partial = models / f"{_CHOICES}.{os.getpid()}.part"
    with suppress(OSError):
        partial.write_text(json.dumps(choices, indent=2), encoding="utf-8")
        partial.replace(models / _CHOICES)


def _openvino(layers: Layers, threads: int) -> Engine:
    from framedaemon_rife.network.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(layers, threads)


def _measure(layers: Layers, makers: Mapping[str, Callable[[], Engine]]) -> str:
    """The name of the one to take."""
    engines = {name: make() for name, make in makers.items()}
    maps = layers.blocks[_TRIED_BLOCK].look.weight.shape[0]
    looked = torch.zeros((1, *_TRIED_SIZE, maps))
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(_TRIES):  # in turn: what else the machine does meets all alike
        for name, engine in engines.items():
            began = perf_counter()
            engine.think(_TRIED_BLOCK, looked)
            seconds[name].append(perf_counter() - began)
    for engine in engines.values():
        engine.close()
    best = {name: min(times) for name, times in seconds.items()}
    name = min(best, key=lambda name: best[name])
    return name if best[name] * _CLEARLY < best["torch"] else "torch"
