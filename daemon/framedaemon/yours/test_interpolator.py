"""What every interpolator must do, and what this one does."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from framedaemon import CUT, Gap
from framedaemon.testing import InterpolatorContract
from framedaemon.yours.interpolator import Yours, YoursOptions, dissolve


class TestYours(InterpolatorContract):
    """framedaemon's own tests of every interpolator."""

    @pytest.fixture
    def stage(self) -> Yours:
        """The interpolator."""
        return Yours()

    @pytest.fixture
    def options(self) -> YoursOptions:
        """Its options, as they are when a recipe says nothing."""
        return YoursOptions()


def test_a_frame_has_of_each_neighbour_as_much_as_it_is_near() -> None:
    dark, light = (np.full((2, 3, 3), level, np.uint8) for level in (0, 100))

    answer = dissolve(Gap(dark, light, (Fraction(1, 4), Fraction(1, 2))), cut_above=0.5)

    assert isinstance(answer, list)
    assert [int(frame.max()) for frame in answer] == [25, 50]


def test_frames_that_have_nothing_in_common_are_a_cut() -> None:
    dark, light = (np.full((2, 3, 3), level, np.uint8) for level in (0, 255))

    assert dissolve(Gap(dark, light, (Fraction(1, 2),)), cut_above=0.5) is CUT
