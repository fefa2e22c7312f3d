"""The interpolator that asks a network where things moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from framedaemon import (
    ClipSpec,
    Estimate,
    Fill,
    InterpolatorOptions,
    JobRejected,
    Machine,
    Placement,
    StageFailed,
    Weights,
    choose_weights,
    find_weights,
    kept,
    open_weights,
    read_record,
)
from framedaemon_rife import published
from framedaemon_rife.network.reading import read_weights
from framedaemon_rife.network.versions import VERSIONS, recognise

if TYPE_CHECKING:
    from torch import Tensor

    from framedaemon.networks import PairNetwork

MOST_SIDE = 32_704
"""Pixels; OpenCV's lookups count no further."""

_MULTIPLE = max(version.multiple for version in VERSIONS)

_LIBRARIES = 330 << 20  # bytes: torch, OpenCV and OpenVINO, once imported and used
_WEIGHTS = 80 << 20  # bytes: the network in float32, as published, folded, and laid out by what runs it
_PIXEL_BYTES = 470  # for a pixel of a padded frame, at the peak
_FRAMES = 6  # held at once: sources, what is drawn, and copies
_FEATURE_SECONDS = 80e-9  # for a pixel of a source frame, on one core of a 2.5 GHz server
_SECONDS = 700e-9  # for a pixel of a filled frame, the same


class RifeOptions(InterpolatorOptions):
    """Which weights, and what runs them."""

    weights: str = Field("auto", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """A name of `framedaemon models list`, ``4.25`` for short; auto: the first that is there."""
    runtime: Literal["auto", "torch", "openvino"] = "auto"
    """What runs the convolutions on a CPU; auto: OpenVINO where it is installed and clearly faster there."""


class Rife:
    """RIFE: flow, occlusion and mask from one small network; any time between two frames."""

    name: ClassVar[str] = "rife"
    summary: ClassVar[str] = "RIFE, a small network for motion; needs torch and 25 MB of weights, no GPU"
    options: ClassVar[type[InterpolatorOptions]] = RifeOptions
    preference: ClassVar[int] = 20
    looks_back: ClassVar[int] = 0
    weights: ClassVar[tuple[Weights, ...]] = published.ROWS

    def unready(self, machine: Machine) -> str | None:
        """What is missing, and the command that mends it."""
        if find_spec("torch") is None or find_spec("safetensors") is None:
            return 'rife needs torch: pip install "framedaemon[rife]"'
        if find_weights(machine.models, self.chosen_weights(machine.models, RifeOptions())[0]) is None:
            return f"rife's weights are not there: framedaemon models pull {self.weights[0].name}"
        return None

    def read_weights(self, path: Path) -> dict[str, Tensor]:
        """A person's own ``flownet.pkl`` by our names, its version told by its shapes. Raises ValueError."""
        return read_weights(path)

    def chosen_weights(self, models: Path, options: RifeOptions) -> tuple[str, ...]:
        """The name of those that ``load`` will open."""
        return (choose_weights(models, self.name, self.weights, options.weights),)

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: RifeOptions) -> Estimate:
        """What filling needs: the same for a clip of any length."""
        if max(takes.width, takes.height) > MOST_SIDE:
            raise JobRejected(
                f"[interpolate] use: rife works on frames of at most {MOST_SIDE} pixels a side, "
                f"and this clip has {takes.width}x{takes.height}"
            )
        padded = -(-takes.width // _MULTIPLE) * -(-takes.height // _MULTIPLE) * _MULTIPLE**2
        seconds = padded * (takes.frames * _FEATURE_SECONDS + _filled(takes, gives) * _SECONDS)
        return Estimate(
            vram=_WEIGHTS + padded * _PIXEL_BYTES,
            weights=_WEIGHTS,
            ram=_LIBRARIES + _FRAMES * takes.frame_bytes,
            seconds=seconds,
        )

    @contextmanager
    def load(self, placement: Placement, options: RifeOptions) -> Iterator[Fill]:
        """Raises StageFailed for weights that are not there or are not RIFE's."""
        from framedaemon.networks import device_for, filler
        from framedaemon_rife.network import build

        name = self.chosen_weights(placement.models, options)[0]
        key = "rife", read_record(placement.models, name).get("sha256"), options, replace(placement, reason="")
        with device_for(placement) as device, build.lookups_by(placement.threads):

            def make() -> AbstractContextManager[PairNetwork]:
                tensors = open_weights(placement.models, name)
                version = recognise({key: tuple(tensor.shape) for key, tensor in tensors.items()})
                if version is None:
                    raise StageFailed(f"{name} holds no weights of RIFE's: another of `framedaemon models list` may")
                return build.rife(version, tensors, device, placement, options.runtime)

            with kept(key, make) as rife:
                yield filler(rife, device, placement)


def _filled(takes: ClipSpec, gives: ClipSpec) -> int:
    """How many frames of the clip stand between two source frames."""
    together = (takes.fps / gives.fps).denominator
    return gives.frames - -(-gives.frames // together)
