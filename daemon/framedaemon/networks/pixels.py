"""Frames as tensors, and tensors as frames again.

    (H, W, 3) uint8 | uint16  ─▶  (B, 3, H, W) 0..1  ─▶  network  ─▶  (B, 3, H, W)  ─▶  (H, W, 3), rounded

Frames travel to the device and back as whole numbers, a quarter of float32's bytes; on an accelerator from and to
pinned memory, so that the transfer runs beside the work on other frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from framedaemon.clip import Frame
from framedaemon.errors import StageFailed
from framedaemon.networks.device import Device


def upload(frames: Sequence[Frame], device: Device) -> Tensor:
    """The frames as (B, 3, H, W) in 0..1, of the device's dtype and memory format.

    frames: (H, W, 3) uint8 or uint16, of one shape and dtype.
    """
    height, width, channels = frames[0].shape
    deep = frames[0].dtype == np.uint16
    # torch's uint16 has no arithmetic: sixteen bits travel as int16 and are taken for unsigned on the device.
    staged = torch.empty(
        (len(frames), height, width, channels),
        dtype=torch.int16 if deep else torch.uint8,
        pin_memory=device.torch_device.type == "cuda",
    )
    for slot, frame in zip(staged.numpy(), frames, strict=True):
        slot[...] = frame.view(np.int16) if deep else frame
    # Of what is not pinned nobody keeps hold until it was copied: on MPS the device then reads memory that is let go.
    levels = staged.to(device.torch_device, non_blocking=staged.is_pinned())
    if deep:
        levels = levels.to(torch.int32).bitwise_and_(0xFFFF)
    x = levels.permute(0, 3, 1, 2).to(torch.float32)
    x /= 65535.0 if deep else 255.0
    return x.to(device.dtype).contiguous(memory_format=device.memory_format)


class Download:
    """Frames on their way back."""

    def __init__(self, drawn: Tensor, height: int, width: int, dtype: np.dtype[np.generic], device: Device) -> None:
        """drawn: (B, 3, H', W') with H' >= height and W' >= width, any range: what is beyond 0..1 is clipped.
        dtype: uint8 or uint16.
        """
        self._deep = dtype == np.uint16
        levels = drawn[..., :height, :width].float().clamp(0.0, 1.0).mul_(65535.0 if self._deep else 255.0).round_()
        total = levels.sum()  # no number, where any of them is none
        whole = levels.permute(0, 2, 3, 1).to(torch.int32 if self._deep else torch.uint8)
        if self._deep:
            whole = torch.where(whole > 0x7FFF, whole - 0x10000, whole).to(torch.int16)
        whole = whole.contiguous()
        self._event = None
        if device.torch_device.type == "cuda":
            self._levels, self._total = _sent(whole), _sent(total)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's own stubs
            self._event.record()
        else:
            self._levels, self._total = whole.cpu(), total.cpu()

    def frames(self) -> list[Frame]:
        """B frames of (height, width, 3), each its own memory to keep; waits for them.

        Raises StageFailed where the network drew what is no number.
        """
        if self._event is not None:
            self._event.synchronize()
        if bool(self._total.isnan()):
            raise StageFailed(
                "the network drew what is no number: its weights are spoilt, or its number format too narrow"
            )
        levels = self._levels.numpy()
        whole = levels.view(np.uint16) if self._deep else levels
        return [whole[0]] if len(whole) == 1 else [frame.copy() for frame in whole]


def _sent(x: Tensor) -> Tensor:
    """``x`` on its way into pinned memory."""
    there = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    return there.copy_(x, non_blocking=True)
