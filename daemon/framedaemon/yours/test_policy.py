"""What every memory policy must do, and what this one does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from framedaemon import Estimate, Machine, Placement, StageTask
from framedaemon.testing import MemoryPolicyContract
from framedaemon.yours.policy import memory_policy


class TestYours(MemoryPolicyContract):
    """framedaemon's own tests of every memory policy."""

    @pytest.fixture
    def policy(self) -> Callable[..., Placement | None]:
        """The policy."""
        return memory_policy


def test_one_core_is_left() -> None:
    machine = Machine("cpu", vram=0, ram=8 << 30, cores=8)

    placement = memory_policy(StageTask("interpolate", "flow", 640, 480, 81), Estimate(), machine, attempt=0)

    assert placement is not None
    assert placement.threads == 7
