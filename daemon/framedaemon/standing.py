"""How far a process stands back behind others on the machine: at the CPU, at the disk, and in threads.

What it starts inherits all of it.
"""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

IoPriority: TypeAlias = Literal["idle", "low", "normal"]

# linux/ioprio.h: a class above 13 bits of how much it matters within, 7 the least. Python has no name for the call.
_CLASSES: dict[IoPriority, int] = {"low": 2 << 13 | 7, "idle": 3 << 13}
_CALLS = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_OF_A_PROCESS = 1

# What libraries ask for the number of threads that they start without being told: OpenMP's, and those of BLAS.
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

# Where memory runs out, the kernel ends the worker before the service, and before what else the machine is for.
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_GOES_FIRST = "500"


def stand_back(nice: int, io: IoPriority) -> None:
    """From now on this thread, and what it starts, come after others. Where the kernel knows no such thing: nothing."""
    os.nice(nice)
    number = _CALLS.get(platform.machine())
    if io in _CLASSES and number is not None:
        ctypes.CDLL(None, use_errno=True).syscall(number, _OF_A_PROCESS, 0, _CLASSES[io])
    with suppress(OSError):
        _OOM_SCORE.write_text(_GOES_FIRST, encoding="ascii")


def thread_counts(threads: int) -> dict[str, str]:
    """For the environment of a process that is to use so many threads; 0: as many as it likes."""
    return dict.fromkeys(_COUNTS, str(threads)) if threads else {}
