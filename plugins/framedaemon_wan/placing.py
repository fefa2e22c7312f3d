"""A network's weights put where a placement wants them: on the device, narrowed to float8, or layer by layer."""

from __future__ import annotations

import gc
from typing import Any

import torch
from diffusers.hooks import apply_group_offloading

from framedaemon import Placement
from framedaemon.networks import Device


def place(network: Any, device: Device, *, narrow: bool = False, streamed: bool = False) -> None:
    """Put ``network``, of the device's dtype and on the CPU, where it will work.

    narrow: a network of diffusers' keeps weights in float8_e4m3fn, and widens them one by one; but not those, of a few
    numbers each, that diffusers knows to suffer by it: norms, embeddings, the last projection.
    streamed: they wait in main memory, and come to the device one by one.
    """
    network.eval().requires_grad_(False)
    if narrow:
        network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=device.dtype)
    if streamed and not device.on_cpu:
        apply_group_offloading(
            network,
            onload_device=device.torch_device,
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=device.torch_device.type == "cuda",
            low_cpu_mem_usage=True,  # pins a layer when it is its turn, not all of them at once
        )
        return
    network.to(device.torch_device)


def narrow(placement: Placement) -> bool:
    """Whether the policy wants weights in float8."""
    return placement.storage == "float8"


def streamed(placement: Placement) -> bool:
    """Whether the policy wants them layer by layer."""
    return placement.offload == "group"


def give_back() -> None:
    """Return what was let go to the allocators, and from there to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
