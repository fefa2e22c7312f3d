from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes import footage, picture
from framedaemon.sources import Picture


def test_a_picture_is_as_wide_and_high_as_its_pixels() -> None:
    still = Picture(np.zeros((24, 32, 3), np.uint8))

    assert (still.width, still.height) == (32, 24)
    assert type(still.width) is int


def test_what_a_source_is_is_said_by_its_kind() -> None:
    assert picture().kind == "picture"
    assert footage().kind == "footage"


def test_the_kind_cannot_be_given_otherwise() -> None:
    with pytest.raises(TypeError):
        Picture(np.zeros((24, 32, 3), np.uint8), kind="footage")  # type: ignore[call-arg]


def test_pictures_are_compared_as_objects_and_not_pixel_by_pixel() -> None:
    """An array's == is an array, of which nobody can say whether it is true."""
    still = picture()

    assert still == still
    assert still != picture()


def test_footage_is_compared_by_its_facts() -> None:
    assert footage(Path("a.mp4")) == footage(Path("a.mp4"))
    assert footage(Path("a.mp4")) != footage(Path("b.mp4"))
