"""For interpolators with a torch network: everything between a gap's two frames and the network's tensors.

    gaps ─▶ a cut? ─▶ upload ─▶ features, once a frame ─▶ between, for each time ─▶ round, download ─▶ frames
                                └──────────── whole frames, or tiles that overlap ────────────┘

A plugin brings the network (`PairNetwork`) and loads its weights; the rest is done here alike for all: devices and
dtypes, padding, the features of the frame that two gaps share, batches, tiles, want of memory.

Imports torch: import it only where the stage is loaded.
"""

from __future__ import annotations

from framedaemon.networks.device import Device, device_for, memory_told
from framedaemon.networks.filling import PairNetwork, filler

__all__ = ["Device", "PairNetwork", "device_for", "filler", "memory_told"]
