"""Contract tests for authors of plugins: what framedaemon's own stages pass, yours can too.

    class TestMine(GeneratorContract):
        @pytest.fixture
        def stage(self): return MyGenerator()

        @pytest.fixture
        def source(self): return Picture(np.zeros((64, 96, 3), np.uint8))

        @pytest.fixture
        def options(self): return MyOptions(frames=5)

Needs pytest; nothing else in framedaemon does.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(f"framedaemon.testing.{part}" for part in ("asking", "encoder", "generator", "held", "interpolator")),
    *(f"framedaemon.testing.{part}" for part in ("measuring", "observer", "policy")),
)

from framedaemon.testing.encoder import EncoderContract  # noqa: E402  (asserts are rewritten first)
from framedaemon.testing.generator import GeneratorContract  # noqa: E402  (the same)
from framedaemon.testing.interpolator import InterpolatorContract  # noqa: E402  (the same)
from framedaemon.testing.observer import ObserverContract  # noqa: E402  (the same)
from framedaemon.testing.policy import MemoryPolicyContract  # noqa: E402  (the same)

__all__ = ["EncoderContract", "GeneratorContract", "InterpolatorContract", "MemoryPolicyContract", "ObserverContract"]
