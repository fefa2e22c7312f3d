"""What every generator must do, and what this one does."""

from __future__ import annotations

import numpy as np
import pytest

from framedaemon import Picture
from framedaemon.testing import GeneratorContract
from framedaemon.yours.generator import Yours, YoursOptions, draw


class TestYours(GeneratorContract):
    """framedaemon's own tests of every generator."""

    @pytest.fixture
    def stage(self) -> Yours:
        """The generator."""
        return Yours()

    @pytest.fixture
    def source(self) -> Picture:
        """What it is given: large, so that memory for it shows."""
        return Picture(np.full((1081, 1921, 3), 128, np.uint8))

    @pytest.fixture
    def options(self) -> YoursOptions:
        """What makes a short clip."""
        return YoursOptions(frames=5)


def test_the_light_is_on_the_left_at_first_and_wanders_to_the_right() -> None:
    picture = Picture(np.full((2, 100, 3), 100, np.uint8))

    brightest = [int(draw(picture, time, 0.5)[0, :, 0].argmax()) for time in (0.0, 0.5, 1.0)]

    assert brightest == sorted(brightest)
    assert brightest[0] < 5
    assert brightest[-1] > 95
