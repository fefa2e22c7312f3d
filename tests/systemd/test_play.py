"""A service's whole life in a real systemd: the scenes of `run`, one after the other on one machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from systemd.machine import lacking
from systemd.run import SCENES

REASON = lacking()


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
def test_a_service_lives_through_all_that_months_bring() -> None:
    """As a process of its own, whose transcript is what a failure shows."""
    run = Path(__file__).parent / "run.py"

    said = subprocess.run([sys.executable, run], capture_output=True, text=True, check=False)

    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("\n* ") == len(SCENES)
