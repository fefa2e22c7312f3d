"""What every encoder must do, and what this one does."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from framedaemon import Clip, ClipSpec, Delivery, Placement, Scratch
from framedaemon.testing import EncoderContract
from framedaemon.testing.encoder import draw
from framedaemon.yours.encoder import Yours, YoursOptions


class TestYours(EncoderContract):
    """framedaemon's own tests of every encoder."""

    @pytest.fixture
    def stage(self) -> Yours:
        """The encoder."""
        return Yours()

    @pytest.fixture
    def options(self) -> YoursOptions:
        """Its options, as they are when a recipe says nothing."""
        return YoursOptions()


def test_what_comes_out_is_what_went_in(tmp_path: Path) -> None:
    spec = ClipSpec(64, 48, frames=3, fps=Fraction(16))
    delivery = Delivery(tmp_path / "out.mkv", "", None, Scratch(tmp_path))

    with Yours().load(Placement(), YoursOptions()) as encode:
        encode(Clip(spec, draw(spec)), delivery)

    with av.open(str(delivery.output)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert all(map(np.array_equal, frames, draw(spec)))
