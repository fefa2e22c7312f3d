"""The interpolator that draws the frames between two by FILM, halfway each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from framedaemon import (
    ClipSpec,
    Estimate,
    Fill,
    InterpolatorOptions,
    Machine,
    Placement,
    Weights,
    choose_weights,
    find_weights,
    kept,
    open_weights,
    read_record,
)
from framedaemon_film.checkpoint import ROWS, read_weights
from framedaemon_film.cost import estimate
from framedaemon_film.halving import Times

if TYPE_CHECKING:
    from torch import Tensor

    from framedaemon.networks import PairNetwork


class FilmOptions(InterpolatorOptions):
    """Which weights, and how frames that are not halfway are drawn."""

    weights: str = Field("auto", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """A name of `framedaemon models list`, ``fp16`` for short; auto: the first that is there."""
    times: Times = "midpoints"
    """midpoints: by halves, as FILM learned it. direct: all frames of a gap along one flow, in less time and memory
    where there are several; for times other than the middle nothing was ever learned."""
    force: bool = False
    """Work on a CPU too, for as long as that takes."""


class Film:
    """FILM (Reda et al. 2022), made for large motion: two frames moved to the middle and fused, both by learned maps.

    Halves (1/2, 1/4, 3/4 and so on, to 1/32) are drawn by drawing the middle again and again, which is what the network
    was trained for. Any other time, as 24 to 30 frames a second ask for, is drawn from the middle of its gap and the
    nearer of the two frames, along the flow between them, scaled: `halving` says why. ``times = "direct"`` draws them
    all from the gap's own two frames.
    """

    name: ClassVar[str] = "film"
    summary: ClassVar[str] = "FILM, a network for large motion; wants a GPU and its weights"
    options: ClassVar[type[InterpolatorOptions]] = FilmOptions
    preference: ClassVar[int] = -1  # a hundred times RIFE's work: whoever wants it says so
    looks_back: ClassVar[int] = 0
    weights: ClassVar[tuple[Weights, ...]] = ROWS

    def unready(self, machine: Machine) -> str | None:
        """What it needs: torch, safetensors, and weights."""
        missing = [package for package in ("torch", "safetensors") if find_spec(package) is None]
        if missing:
            return f"{' and '.join(missing)} missing: pip install 'framedaemon[film]'"
        if find_weights(machine.models, self.chosen_weights(machine.models, FilmOptions())[0]) is None:
            return f"its weights are missing: framedaemon models pull {self.weights[0].name}"
        return None

    def estimate(self, takes: ClipSpec, gives: ClipSpec, options: FilmOptions) -> Estimate:
        """What filling needs, each way; without ``force`` it refuses a CPU."""
        needs = estimate(takes, gives, options.times)
        if options.force:
            return needs
        return replace(
            needs,
            not_on_cpu=f"[interpolate] use: film would take about {_show(needs.seconds)} on a CPU: take rife or flow, "
            "or say force = true to wait so long",
        )

    def read_weights(self, path: Path) -> Mapping[str, Tensor]:
        """A person's own file, as `framedaemon models add` asks. Raises ValueError."""
        return read_weights(path)

    def chosen_weights(self, models: Path, options: FilmOptions) -> tuple[str, ...]:
        """The name of those that ``load`` will open."""
        return (choose_weights(models, self.name, self.weights, options.weights),)

    @contextmanager
    def load(self, placement: Placement, options: FilmOptions) -> Iterator[Fill]:
        """Gaps filled on ``placement.device``, with weights of its dtype; flow is float32."""
        from framedaemon.networks import device_for, filler
        from framedaemon_film.network.film import FilmNetwork

        with device_for(placement) as device:
            name = self.chosen_weights(placement.models, options)[0]
            key = "film", read_record(placement.models, name).get("sha256"), options, replace(placement, reason="")

            def make() -> AbstractContextManager[PairNetwork]:
                tensors = open_weights(placement.models, name)
                return nullcontext(FilmNetwork(tensors, device.torch_device, device.dtype, options.times))

            with kept(key, make) as network:
                yield filler(network, device, placement)


def _show(seconds: float) -> str:
    if seconds < 120:
        return f"{max(2, round(seconds))} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
