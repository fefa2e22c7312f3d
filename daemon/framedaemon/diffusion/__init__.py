"""For generators that denoise with diffusers: a denoise that goes on where it was interrupted, to the bit.

    pipeline ── set_timesteps, timesteps, step ──▶ ContinuedScheduler ─▶ the pipeline's own scheduler
       │                                                  ▲  state
       └── callback_on_step_end ──▶ latents + state ──▶ checkpoint, a safetensors file

Latents alone do not tell how to go on: a multistep scheduler looks back at what the model said some steps before.

Imports torch: import it only where the stage is loaded.
"""

from __future__ import annotations

from framedaemon.diffusion.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from framedaemon.diffusion.scheduler import ContinuedScheduler

__all__ = ["Checkpoint", "ContinuedScheduler", "read_checkpoint", "write_checkpoint"]
