"""Frames are drawn from aims: without seams, at the right place, and as sharp as the sources."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from framedaemon import Frame
from framedaemon_flow.between import Aim, aim, bend, carry, draw, strips
from framedaemon_flow.motion import Field


def steady(height: int, width: int, x: float, y: float = 0.0) -> Field:
    """The same vector everywhere."""
    return np.broadcast_to(np.array((x, y), np.float32), (height, width, 2)).copy()


def wavy(height: int, width: int) -> Field:
    """A smooth field, unlike in each row."""
    rough = np.random.default_rng(3).normal(0, 4, (height // 4, width // 4, 2)).astype(np.float32)
    return np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def noise(height: int, width: int) -> Frame:
    return np.random.default_rng(4).integers(0, 256, (height, width, 3), np.uint8)


def draw_all(
    frames: tuple[Frame, Frame],
    flows: tuple[Field, Field],
    time: float,
    scale: Literal[1, 2],
    rows: list[tuple[int, int]],
) -> Frame:
    out = np.zeros_like(frames[0])
    aims = (aim(flows[0], None, time, scale), aim(flows[1], None, 1 - time, scale))
    for some in rows:
        draw(out, some, frames, aims, time, scale)
    return out


@pytest.mark.parametrize(("scale", "height", "width"), [(1, 150, 90), (2, 150, 90), (2, 151, 91)])
def test_strips_leave_no_seam(scale: Literal[1, 2], height: int, width: int) -> None:
    """Other strips, cut elsewhere and begun on an odd row, give the same rows, but for places that round otherwise."""
    frames = (noise(height, width), noise(height, width)[::-1].copy())
    small = (-(-height // scale), -(-width // scale))
    flows = (wavy(*small), -wavy(*small))

    usual = draw_all(frames, flows, 0.3, scale, strips(height))
    other = draw_all(frames, flows, 0.3, scale, [(0, 33), (33, 96), (96, 131), (131, height)])

    assert np.mean(usual != other) < 1e-3


def test_every_row_is_in_one_strip() -> None:
    rows = [row for top, bottom in strips(150) for row in range(top, bottom)]

    assert rows == list(range(150))


@pytest.mark.parametrize("time", [0.25, 0.5, 0.75])
def test_whole_pixels_are_moved_as_they_are(time: float) -> None:
    """A shift by four pixels: at each quarter the lookups fall on pixels, and nothing is sharpened or blurred."""
    x0 = noise(80, 96)
    frames = (x0, np.roll(x0, 4, axis=1))

    middle = draw_all(frames, (steady(80, 96, 4), steady(80, 96, -4)), time, 1, strips(80))

    assert np.array_equal(middle[:, 8:-8], np.roll(x0, round(4 * time), axis=1)[:, 8:-8])


def test_half_pixels_lose_no_contrast() -> None:
    """Linear lookups alone would leave 0.81 of a wave five pixels long."""
    frames = (wave(0), wave(1))

    middle = draw_all(frames, (steady(60, 100, 1), steady(60, 100, -1)), 0.5, 1, strips(60))

    assert 0.88 < middle[8:-8, 10:-10].std() / frames[0][8:-8, 10:-10].std() < 1.05


def wave(moved: int) -> Frame:
    row = 127.5 + 80 * np.sin(2 * np.pi * (np.arange(100) - moved) / 5.0)
    return np.repeat(np.tile(row, (60, 1))[..., None], 3, axis=2).astype(np.uint8)


def test_a_steady_motion_does_not_bend() -> None:
    bent = bend(steady(8, 8, 3, 1), steady(8, 8, -3, -1))

    assert np.array_equal(bent, np.zeros_like(bent))


def test_a_bend_is_the_change_of_speed() -> None:
    """It came by 2 and goes on by 3."""
    bent = bend(steady(8, 8, 3), steady(8, 8, -2))

    assert mean_x(bent) == pytest.approx(1.0, rel=0.02)


def test_a_still_pixel_does_not_bend_for_what_passed_before_it() -> None:
    bent = bend(steady(8, 8, 0), steady(8, 8, 30))

    assert abs(mean_x(bent)) < 0.01


def test_an_aim_halfway_along_a_bent_path_is_off_by_an_eighth_of_the_bend() -> None:
    flow, bent = steady(32, 32, 4), steady(32, 32, 1.6)

    found: Aim = aim(flow, bent, 0.5, 2)

    assert mean_x(found.near) == pytest.approx(2 * -(2 - 0.2))
    assert mean_x(found.far) == pytest.approx(2 * (2 + 0.2))


def test_a_bend_is_carried_along_the_flow() -> None:
    bent = np.zeros((32, 32, 2), np.float32)
    bent[10:20, 10:20] = 5

    carried = carry(bent, steady(32, 32, -4))

    assert np.array_equal(carried[10:20, 14:24], bent[10:20, 10:20])


def mean_x(field: npt.NDArray[np.float32]) -> float:
    return float(field[..., 0].mean())
