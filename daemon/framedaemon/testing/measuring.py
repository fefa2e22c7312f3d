"""What a stage costs, measured in a fresh process."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from framedaemon import Placement
from framedaemon.stages import AnyStage, StageKind

TOLERANCE = 8 << 20
"""Bytes by which measured memory may pass the estimate: what the allocator keeps and pages round up."""

_PROBE = Path(__file__).with_name("probe.py")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage took in a process of its own."""

    heavy: tuple[str, ...]
    """Heavy modules that stood in ``sys.modules`` when it had promised and estimated."""
    ram: int | None
    """Peak bytes that loading and working added; None where it was not run or the system does not tell."""
    estimated: int
    """Bytes, as `Estimate.ram` said, where it was placed."""


def measure_stage(kind: StageKind, stage: AnyStage, placement: Placement, folder: Path, **work: Any) -> Cost:
    """Run it there, or with ``run=False`` only ask. All of it is pickled, so the stage's module must be importable.

    Raises AssertionError with the process's own words when it fails.
    """
    told_all = {"kind": kind, "stage": stage, "placement": placement, "folder": str(folder), "run": True, **work}
    done = subprocess.run(
        [sys.executable, str(_PROBE)], input=pickle.dumps(sys.path) + pickle.dumps(told_all), capture_output=True
    )
    assert done.returncode == 0, f"{stage.name} failed in a process of its own:\n{done.stderr.decode()}"
    told = json.loads(done.stdout.splitlines()[-1])
    return Cost(tuple(told["heavy"]), told["ram"], told["estimated"])


def check_light(cost: Cost) -> None:
    """Raises AssertionError, naming them, where heavy modules were imported too early."""
    assert cost.heavy == (), (
        f"{', '.join(cost.heavy)} was imported before `load`: every command and every plan waits for that. "
        "Import it inside the functions that need it"
    )


def check_memory(cost: Cost) -> None:
    """Raises AssertionError, with both numbers, where the stage took more than it had said."""
    if cost.ram is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert cost.ram <= cost.estimated + TOLERANCE, (
        f"it took {cost.ram / 2**20:.1f} MiB and Estimate.ram said {cost.estimated / 2**20:.1f}: count all arrays that "
        "are alive at once (float32 has 4 bytes a sample) and what `load` imports; hold no frame that was given away"
    )
