"""A denoise of any pipeline that goes on where it was interrupted, to the bit.

    the pipeline draws its noise and reads its picture as at first ─▶ one step of its loop, whose result is not taken
    ─▶ the callback after it gives the checkpoint's latents, and random numbers go on from where they were ─▶ the rest

Latents are not given through the call's own ``latents``: what a pipeline does with those differs. Some scale them by
the scheduler's first noise, HunyuanVideo mixes the picture into them, and where they are given fewer random numbers
are drawn, so that others come after. What a callback gives is taken as it is, everywhere.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from diffusers import SchedulerMixin
from diffusers.schedulers.scheduling_utils import SchedulerOutput

from framedaemon import Halted
from framedaemon.diffusion import Checkpoint, ContinuedScheduler, read_checkpoint, write_checkpoint
from framedaemon_diffusers.signature import Signature
from framedaemon_diffusers.table import row_of

_FILE = "denoise.safetensors"
_USUAL = ["model_output", "timestep", "sample"]


def why_whole(pipeline: Any, signature: Signature) -> str:
    """Why a denoise of ``pipeline`` cannot go on in its middle, in words; empty where it can."""
    known = row_of(type(pipeline).__name__).whole
    if known:
        return known
    if "callback_on_step_end" not in signature or "latents" not in getattr(pipeline, "_callback_tensor_inputs", ()):
        return "its call hands out no latents after a step"
    others = [name for name in signature.defaults if name.endswith("latents") and name != "latents"]
    if others:
        return f"it works on {', '.join(others)} as well"
    schedulers = [name for name, part in pipeline.components.items() if isinstance(part, SchedulerMixin)]
    if schedulers != ["scheduler"]:
        return f"it has {len(schedulers)} schedulers"
    if "sample" not in inspect.signature(pipeline.scheduler.step).parameters:
        return f"{type(pipeline.scheduler).__name__} takes its steps in another way"
    return ""


class Denoise:
    """One denoise, with what an earlier attempt left of it."""

    def __init__(
        self,
        pipeline: Any,
        generator: torch.Generator,
        folder: Path,
        key: str,
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        halting: Callable[[], bool] = lambda: False,
    ) -> None:
        """Takes the place of the pipeline's scheduler. ``key``: a digest of all that the latents depend on."""
        self._path, self._key = folder / _FILE, key
        self._every, self._clock, self._last = every_seconds, clock, clock()
        self._halting = halting
        self._generator = generator
        self._kept: list[torch.Tensor] = []
        """What a step gave the pipeline to hand to the next one, beside latents: CogVideoX's DPM scheduler does so."""
        self._saved = read_checkpoint(self._path, key)
        self.done = 0 if self._saved is None else int(self._saved.facts["step"])
        """Steps that an earlier attempt did."""
        self.start = max(0, self.done - 1)
        """The first step that the pipeline goes through: the last that was done, for nothing."""
        self._scheduler = ContinuedScheduler(
            pipeline.scheduler, self.start, state=None if self._saved is None else self._saved.facts["state"]
        )
        self._scheduler.step = self._stepping(pipeline.scheduler.step)  # type: ignore[attr-defined]
        pipeline.scheduler = self._scheduler

    def _stepping(self, step: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(step)
        hands_back = list(signature.parameters)[:3] != _USUAL

        @wraps(step)  # pipelines look at its signature
        def stepping(*args: Any, **keywords: Any) -> Any:
            if self._saved is None:
                given = step(*args, **keywords)
                self._kept = list(given[1:]) if hands_back else []
                return given
            sample = signature.bind(*args, **keywords).arguments["sample"]
            self._kept = [one.to(sample.device) for one in self._saved.facts["kept"]]
            if keywords.get("return_dict", True):
                return SchedulerOutput(prev_sample=sample)
            return (sample, *self._kept)

        return stepping

    def after_step(self, pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """What the pipeline calls after each step: puts latents on disk, or takes them from there.

        Raises Halted behind a step that is on disk.
        """
        latents = tensors["latents"]
        if self._saved is not None:
            saved, self._saved = self._saved, None
            self._generator.set_state(saved.tensors["random"])
            return {"latents": saved.tensors["latents"].to(latents)}
        done = self.start + index + 1
        now, halting = self._clock(), self._halting()
        if now - self._last >= self._every or done == len(self._scheduler.all_timesteps) or halting:
            write_checkpoint(self._path, self._key, self._checkpoint(done, latents))
            self._last = now
        if halting:
            raise Halted(f"behind step {done} of {len(self._scheduler.all_timesteps)}")
        return {}

    def _checkpoint(self, done: int, latents: torch.Tensor) -> Checkpoint:
        tensors = {"latents": latents, "random": self._generator.get_state()}
        return Checkpoint(tensors, {"step": done, "state": self._scheduler.state, "kept": self._kept})
