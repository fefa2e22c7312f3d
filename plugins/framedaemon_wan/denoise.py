"""The denoise, one expert after the other, each alone in memory; on disk about once a minute.

    noise ─▶ high-noise expert, steps 0 to b ─▶ low-noise expert, b to the end ─▶ latents
                │ latents, the scheduler's memory ▼
                └──────────── denoise.safetensors ──▶ another attempt goes on with the step after

The loop is diffusers' own (`WanImageToVideoPipeline.__call__`): it is given what it would have computed before, and a
scheduler that begins in the middle.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanImageToVideoPipeline, WanTransformer3DModel
from torch import Tensor

from framedaemon import Halted
from framedaemon.diffusion import Checkpoint, ContinuedScheduler, read_checkpoint, write_checkpoint
from framedaemon.networks import Device
from framedaemon_wan.condition import Condition
from framedaemon_wan.options import WanOptions
from framedaemon_wan.placing import give_back

Expert: TypeAlias = Literal["high", "low"]
LoadExpert: TypeAlias = Callable[[Expert, int, int], WanTransformer3DModel]
OnStep: TypeAlias = Callable[[int], None]
OnSaved: TypeAlias = Callable[[Tensor], None]


@dataclass(frozen=True, slots=True)
class Denoise:
    """One clip's denoise."""

    folder: Path
    """Of the pipeline."""
    options: WanOptions
    """Complete: steps, guidance and shift are given."""
    device: Device
    load_expert: LoadExpert
    """Gives the network in its place, LoRA and all, for the steps from one to another; the denoise lets go of it before
    it asks for the next."""
    on_step: OnStep
    """Told of each step that is done, from 1 on."""
    on_saved: OnSaved
    """Told whenever the denoise was put on disk: what the model takes the clip for by now, (1, C, T, h, w)."""
    halting: Callable[[], bool] = lambda: False
    """Whether to end; as `Scratch` has it."""

    def run(self, condition: Condition, embedded: list[Tensor], checkpoint: Path, key: str) -> Tensor:
        """The final latents (1, C, T, h, w) float32, on the CPU.

        embedded: of the prompt, and of the negative prompt where guidance asks for it.
        checkpoint: where it goes on from, and what it leaves behind while it runs; ``key`` names all it depends on.
        Raises Halted behind a step whose checkpoint is on disk.
        """
        steps = self._boundaries()
        before = read_checkpoint(checkpoint, key)
        done = before.facts["done"] if before is not None else 0
        latents = before.tensors["latents"] if before is not None else condition.noise
        state = before.facts["state"] if before is not None else {}
        for expert, stop in zip(self.options.experts, steps, strict=True):
            if done >= stop:
                continue
            latents, state = self._draw(expert, done, stop, latents, state, condition, embedded, checkpoint, key)
            done = stop
            give_back()
        if self.options.facts.low is None:  # the pipeline ends so, but an attempt may have ended before it did
            mask = condition.mask()
            latents = (1 - mask) * condition.given + mask * latents
        return latents

    def _boundaries(self) -> list[int]:
        """The step before which each expert ends."""
        steps = self.options.steps
        assert steps is not None
        if self.options.facts.boundary is None:
            return [steps]
        scheduler = self._scheduler()
        scheduler.set_timesteps(steps)
        first_low = self.options.facts.boundary * scheduler.config.num_train_timesteps
        return [int((scheduler.timesteps >= first_low).sum()), steps]

    def _scheduler(self) -> UniPCMultistepScheduler:
        """The pipeline's own, with the shift that the model was trained with: the published index says another."""
        return UniPCMultistepScheduler.from_pretrained(
            self.folder, subfolder="scheduler", flow_shift=self.options.shift, local_files_only=True
        )

    def _draw(
        self,
        expert: Expert,
        start: int,
        stop: int,
        latents: Tensor,
        state: dict[str, Any],
        condition: Condition,
        embedded: list[Tensor],
        checkpoint: Path,
        key: str,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Steps ``start`` to ``stop``; returns the latents after the last, on the CPU, and the scheduler's state."""
        scheduler = ContinuedScheduler(self._scheduler(), start, stop, state)
        network = self.load_expert(expert, start, stop)
        pipeline = _prepared(self.folder, network, scheduler, expand=self.options.facts.low is None)
        del network
        pipeline.given = latents, condition
        after = latents
        saved = time.monotonic()

        def step_end(_: Any, index: int, timestep: Any, said: dict[str, Tensor]) -> dict[str, Tensor]:
            nonlocal after, saved
            after, done = said["latents"], start + index + 1
            now = time.monotonic()
            halting = self.halting()
            if now - saved >= self.options.checkpoint_seconds or done == stop or halting:
                state = scheduler.state
                write_checkpoint(checkpoint, key, Checkpoint({"latents": after}, {"done": done, "state": state}))
                self.on_saved(state["model_outputs"][-1])  # UniPC looks back at what each step took for noiseless
                saved = time.monotonic()
            self.on_step(done)
            if halting:
                raise Halted(f"behind step {done} of {self.options.steps}")
            return {}

        guidance = self.options.guidance if expert == "high" else self.options.guidance_low
        embedded = [one.to(self.device.torch_device) for one in embedded]
        _, _, frames, height, width = condition.noise.shape
        scale = pipeline.vae_scale_factor_spatial
        pipeline(
            image=torch.zeros(1, 3, 16, 16),  # unused: what it would become is given
            prompt_embeds=embedded[0],
            negative_prompt_embeds=embedded[1] if len(embedded) > 1 else None,
            height=height * scale,
            width=width * scale,
            num_frames=(frames - 1) * pipeline.vae_scale_factor_temporal + 1,
            num_inference_steps=self.options.steps,
            guidance_scale=guidance,
            callback_on_step_end=step_end,
            output_type="latent",
            return_dict=False,
        )
        return after.float().cpu(), scheduler.state


class _Prepared(WanImageToVideoPipeline):  # type: ignore[misc]  # diffusers is not typed
    """The pipeline with one expert and no VAE, given what it would make of the picture."""

    given: tuple[Tensor, Condition]
    """The latents to go on with, and the condition."""

    def prepare_latents(self, *args: Any, **keywords: Any) -> tuple[Tensor, ...]:
        device = self._execution_device
        latents, condition = self.given
        found = latents.to(device), condition.given.to(device)
        return (*found, condition.mask().to(device)) if self.config.expand_timesteps else found


def _prepared(folder: Path, expert: WanTransformer3DModel, scheduler: Any, *, expand: bool) -> _Prepared:
    """expand: for the model that takes the picture as its first latent frame (TI2V-5B)."""
    pipeline = _Prepared(
        tokenizer=None,
        text_encoder=None,
        vae=_Sizes(AutoencoderKLWan.load_config(folder, subfolder="vae", local_files_only=True)),
        scheduler=scheduler,
        transformer=expert,
        boundary_ratio=None,  # the one expert that is here draws all the steps that it is given
        expand_timesteps=expand,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class _Sizes:
    """What the pipeline asks of a VAE that it does not run: its config."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = _Config(config)


class _Config:
    def __init__(self, config: dict[str, Any]) -> None:
        self.__dict__.update(config)
