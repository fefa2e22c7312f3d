"""An expert made ready: its weights, LoRA fused into them, and the means to be faster that a recipe asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import FirstBlockCacheConfig, MagCacheConfig, WanImageToVideoPipeline, WanTransformer3DModel
from safetensors.torch import load_file

from framedaemon import JobRejected, Placement, StageFailed, open_repository, open_weights
from framedaemon.networks import Device
from framedaemon_wan.denoise import Expert
from framedaemon_wan.options import WanOptions
from framedaemon_wan.placing import narrow, place, streamed
from framedaemon_wan.presets import LIGHTNING

_SUBFOLDERS = {"high": "transformer", "low": "transformer_2"}
_SIDES = {"high": "high_noise", "low": "low_noise"}
_ADAPTER = "one"  # the name of a LoRA while it is being fused

# Exact ones, the fastest first; sage rounds to 8 bits, and is taken by name only.
_EXACT = ("_flash_3", "flash", "_native_cudnn", "native")

Note = Callable[[str, Any], None]


def load_expert(
    expert: Expert,
    start: int,
    stop: int,
    folder: Path,
    options: WanOptions,
    placement: Placement,
    device: Device,
    note: Note,
) -> WanTransformer3DModel:
    """The network of ``expert``, where ``placement`` puts it, for the steps ``start`` to ``stop``.

    Raises JobRejected for a LoRA that does not fit, or an attention backend that is not there.
    """
    network = WanTransformer3DModel.from_pretrained(
        folder, subfolder=_SUBFOLDERS[expert], torch_dtype=device.dtype, local_files_only=True
    )
    _fuse(network, expert, options, placement.models)
    _set_cache(network, options, start, stop)  # before what brings layers: diffusers 0.42 takes that apart again after
    # the first step, and with it all hooks that came later
    place(network, device, narrow=narrow(placement), streamed=streamed(placement))
    note("attention", _set_attention(network, options.attention, device))
    if options.compile:
        network.compile_repeated_blocks(fullgraph=False)
    return network


def _fuse(network: WanTransformer3DModel, expert: Expert, options: WanOptions, models: Path) -> None:
    """Add LoRA to the weights themselves: the steps then cost what they did before."""
    files = [
        (lora.weights, open_weights(models, lora.weights), lora.scale)
        for lora in options.loras
        if lora.expert in ("both", expert)
    ]
    if options.speed == "lightning":
        files.append((LIGHTNING.name, load_file(_lightning(models, expert)), 1.0))
    for name, tensors, scale in files:
        try:
            state = WanImageToVideoPipeline.lora_state_dict(tensors)
            WanImageToVideoPipeline.load_lora_into_transformer(state, network, adapter_name=_ADAPTER)
        except (ValueError, KeyError, RuntimeError, IndexError) as error:
            raise JobRejected(f"[generate] loras: {name} does not fit this model: {error}") from error
        if _ADAPTER not in getattr(network, "peft_config", {}):
            raise JobRejected(f"[generate] loras: {name} holds nothing for this model")
        network.fuse_lora(lora_scale=scale, adapter_names=[_ADAPTER])
        network.unload_lora()  # before the next one comes: peft would take back what is fused


def _lightning(models: Path, expert: Expert) -> Path:
    folder = open_repository(models, LIGHTNING.name)
    found = sorted(folder.rglob(f"*{_SIDES[expert]}*.safetensors"))
    if not found:
        raise StageFailed(f"{LIGHTNING.name} has no file for the {expert}-noise expert: framedaemon models verify")
    return found[0]


def _set_attention(network: WanTransformer3DModel, wanted: str, device: Device) -> str:
    """The backend that was set."""
    if wanted == "auto" and not _has_kernels(device.torch_device):
        return "native"
    for name in _EXACT if wanted == "auto" else (wanted,):
        try:
            network.set_attention_backend(name)
        except (ImportError, RuntimeError, ValueError) as error:
            if wanted != "auto":
                reason = str(error).splitlines()[0]
                raise JobRejected(f"[generate] attention: {wanted} is not to be had here: {reason}") from error
        else:
            return name
    return "native"


def _has_kernels(device: torch.device) -> bool:
    """Whether backends work there that torch does not choose by itself; that they are installed is no proof of it."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere: the first with bfloat16 in these kernels


def _set_cache(network: WanTransformer3DModel, options: WanOptions, start: int, stop: int) -> None:
    if options.step_cache == "first_block":
        network.enable_cache(FirstBlockCacheConfig(threshold=options.step_cache_threshold))
    if options.step_cache == "mag":
        ratios = torch.tensor(options.mag_ratios[start:stop])
        network.enable_cache(MagCacheConfig(num_inference_steps=stop - start, mag_ratios=ratios))
