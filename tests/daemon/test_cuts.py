"""Where clips are cut."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framedaemon.clip import ClipSpec
from framedaemon.cuts import cut


def clip(frames: int, width: int = 832, height: int = 1216) -> ClipSpec:
    return ClipSpec(width, height, frames, Fraction(32))


@pytest.mark.parametrize(
    ("spec", "cuts"),
    [
        (clip(1), (0, 1)),
        (clip(321), (0, 321)),
        (clip(500, 640, 480), (0, 250, 500)),
        (clip(375, 640, 480), (0, 375)),
        (clip(376, 640, 480), (0, 188, 376)),
        (clip(96, 3840, 2160), (0, 48, 96)),
    ],
)
def test_a_long_clip_is_cut_into_parts_of_like_length(spec: ClipSpec, cuts: tuple[int, ...]) -> None:
    assert cut(spec) == cuts


@given(st.integers(1, 100_000), st.sampled_from([(32, 32), (832, 1216), (1920, 1080), (7680, 4320)]))
def test_parts_make_up_the_clip_and_are_neither_short_nor_long(frames: int, size: tuple[int, int]) -> None:
    cuts = cut(clip(frames, *size))

    lengths = [stop - start for start, stop in pairwise(cuts)]
    assert sum(lengths) == frames
    assert max(lengths) - min(lengths) <= 1
    assert len(lengths) == 1 or 24 <= min(lengths) <= max(lengths) <= 250


def test_larger_frames_make_shorter_parts() -> None:
    small, large = (len(cut(clip(1000, *size))) for size in ((1280, 720), (3840, 2160)))

    assert small < large
