"""Where a network works: a device of torch's, and the number format of its convolutions."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import cv2
import torch

from framedaemon.errors import OutOfMemory, StageFailed
from framedaemon.stages import Placement

# malloc.h. 32 MiB is the most that glibc takes for the second, 128 KiB what it has for the first.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT, _MOST_KEPT, _TRIM_THRESHOLD = 32 << 20, 512 << 20, 128 << 10

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_CV_NO_MEMORY = -4  # OpenCV's StsNoMem
_NO_MEMORY = (
    "DefaultCPUAllocator",
    "MPS backend out of memory",
    "std::bad_alloc",
    "CUDA error: out of memory",  # past torch's own allocator: pinned memory, the context, a library
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


@dataclass(frozen=True, slots=True)
class Device:
    """What a network is moved to."""

    torch_device: torch.device
    dtype: torch.dtype
    """Of weights and features; what adds up over a frame, flow above all, stays float32."""

    @property
    def on_cpu(self) -> bool:
        """Whether tensors lie in main memory."""
        return self.torch_device.type == "cpu"

    @property
    def memory_format(self) -> torch.memory_format:
        """How pictures lie in memory: channels last is what tensor cores and oneDNN work on."""
        return torch.channels_last


@contextmanager
def device_for(placement: Placement) -> Iterator[Device]:
    """The device that ``placement`` names, its threads and number format; given back, cache and all, on exit.

    Raises StageFailed where torch cannot use it.
    """
    device = Device(torch.device(placement.device), _DTYPES[placement.dtype])
    _check(device.torch_device)
    threads, fastest = torch.get_num_threads(), torch.backends.cudnn.benchmark
    torch.set_num_threads(placement.threads)
    # cuDNN tries its kernels once for each shape, and a clip has one. TF32 would cost what float32 was asked for.
    torch.backends.cudnn.benchmark = device.torch_device.type == "cuda"
    try:
        with torch.inference_mode(), _room_kept() if device.on_cpu else nullcontext():
            yield device
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = fastest
        if not device.on_cpu:
            getattr(torch, device.torch_device.type).empty_cache()  # torch.accelerator knows this from 2.9 on


@contextmanager
def _room_kept() -> Iterator[None]:
    """Let glibc keep for the next tensor what the last one had, instead of giving each back to the system.

    A worker gives back whatever is larger than 1 MiB: that keeps memory flat where frames come and go. A network asks
    for hundreds of megabytes anew for each frame, and having them mapped took half as long again as its arithmetic.
    Settings of the whole process, which other processes than a worker do not have: there glibc sees to it by itself.
    """
    usual = os.environ.get("MALLOC_MMAP_THRESHOLD_", "")
    libc = ctypes.CDLL(None)
    if not usual.isdecimal() or not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
    libc.mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_THRESHOLD, int(usual))
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
        libc.malloc_trim(0)


@contextmanager
def memory_told(device: str) -> Iterator[None]:
    """Raise OutOfMemory, saying where, for what torch and OpenCV raise when memory runs out."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(f"out of memory on {device}: {error}") from error
    except (RuntimeError, cv2.error) as error:
        if not _tells_of_memory(error):
            raise
        raise OutOfMemory(f"out of memory on {device}: {str(error).splitlines()[0]}") from error


def _tells_of_memory(error: Exception) -> bool:
    """torch has no class for main memory that ran out: the words of its allocators are all there is to go by."""
    if isinstance(error, cv2.error):
        return error.code == _CV_NO_MEMORY
    return any(words in str(error) for words in _NO_MEMORY)


def _check(device: torch.device) -> None:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise StageFailed(f"[worker] device: torch {torch.__version__} cannot use {device}: say auto or cpu")
