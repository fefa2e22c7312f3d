"""A pipeline of diffusers read from its folder, and put where a placement wants it. Nothing is fetched."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from framedaemon import Placement, StageFailed
from framedaemon.networks import Device
from framedaemon_diffusers.facts import Facts
from framedaemon_diffusers.table import row_of

Note = Callable[[str, Any], None]

_DENOISERS = ("transformer", "transformer_2", "unet")


def open_pipeline(folder: Path, facts: Facts, device: Device, placement: Placement, note: Note) -> Any:
    """The pipeline in ``folder``, ready to be called.

    What of ``placement`` its networks cannot do is said through ``note`` and left out.
    Raises StageFailed where diffusers cannot read it.
    """
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    dtype: Any = device.dtype
    if row_of(facts.pipeline).wide_vae and device.dtype != torch.float32:
        dtype = {"default": device.dtype, "vae": torch.float32}
    try:
        pipeline = getattr(diffusers, facts.pipeline).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, variant=facts.variant, dtype=dtype
        )
    except (OSError, ValueError, TypeError, ImportError, AttributeError, KeyError) as error:
        raise StageFailed(f"{facts.pipeline} cannot be read from {folder.name}: {error}") from error
    if placement.storage == "float8":
        _narrow(pipeline, device, note)
    if placement.tile is not None:
        _tile(pipeline.vae, placement.tile, note)
    if not device.on_cpu:
        _bring(pipeline, device, placement, note)
    return pipeline


def _narrow(pipeline: Any, device: Device, note: Note) -> None:
    """Keep the denoising networks in float8, to be widened layer by layer."""
    for name in _DENOISERS:
        network = getattr(pipeline, name, None)
        if network is None:
            continue
        if not hasattr(network, "enable_layerwise_casting"):
            note("float8", f"{type(network).__name__} cannot be kept in it")
            continue
        network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=device.dtype)


def _bring(pipeline: Any, device: Device, placement: Placement, note: Note) -> None:
    """Have networks come to the device layer by layer, or each as a whole when it is its turn."""
    where = device.torch_device
    if placement.offload == "group":
        networks = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
        whole = [name for name, part in networks.items() if not getattr(part, "_supports_group_offloading", True)]
        if whole:
            note("offload", f"not for {', '.join(whole)}: on the device as a whole")
        pipeline.enable_group_offload(
            onload_device=where,
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=where.type == "cuda",
            low_cpu_mem_usage=True,  # pins a layer when it is its turn, not all of them at once
            exclude_modules=whole,
        )
    elif pipeline.model_cpu_offload_seq is None:
        note("offload", "its networks are on the device all at once: it does not say in which order they work")
        pipeline.to(where)
    else:
        pipeline.enable_model_cpu_offload(device=where)


def _tile(vae: Any, side: int, note: Note) -> None:
    """Have the VAE work on tiles of ``side`` pixels that share a quarter with their neighbours."""
    if not hasattr(vae, "use_tiling"):
        note("tiles", f"{type(vae).__name__} has none: whole frames")
        return
    known = inspect.signature(vae.enable_tiling).parameters
    sides = dict.fromkeys(("tile_sample_min_height", "tile_sample_min_width"), side)
    steps = dict.fromkeys(("tile_sample_stride_height", "tile_sample_stride_width"), side * 3 // 4)
    vae.enable_tiling(**{key: value for key, value in {**sides, **steps}.items() if key in known})
