from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from framedaemon.clip import Frame
from framedaemon.scenes import flow_agreement, is_cut

SIZE = (208, 304)


def _scene(seed: int, size: tuple[int, int] = SIZE) -> Frame:
    """A picture with detail at several scales, as photographs have: twice as wide as the frames cut from it."""
    rng = np.random.default_rng(seed)
    height, width = size[0] + 80, 2 * size[1]
    total = np.zeros((height, width, 3), np.float32)
    for side in (4, 9, 24, 64):
        coarse = rng.normal(0, 1, (height // side + 2, width // side + 2, 3)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * side**0.5
    low, high = total.min(), total.max()
    return ((total - low) / (high - low) * 255).astype(np.uint8)


def _view(scene: Frame, right: int, down: int = 0) -> Frame:
    return np.ascontiguousarray(scene[down : down + SIZE[0], right : right + SIZE[1]])


@pytest.mark.parametrize("seed", range(6))
def test_another_scene_is_a_cut(seed: int) -> None:
    assert is_cut(_view(_scene(seed), 0), _view(_scene(seed + 100), 0))


@pytest.mark.parametrize("right", [0, 1, 6, 20, 36])
def test_a_camera_that_moves_is_no_cut(right: int) -> None:
    scene = _scene(1)

    assert not is_cut(_view(scene, 0), _view(scene, right, right // 2))


def test_a_fade_is_no_cut() -> None:
    """From one exposure to another the picture stays where it is."""
    view = _view(_scene(2), 0)

    assert not is_cut(view, (view * 0.6).astype(np.uint8))


def test_pictures_with_nothing_to_hold_on_to_are_a_cut() -> None:
    """Flow that finds nothing stays where it is, and agrees with itself: what it leads to must look the same too."""
    flat = [np.full((*SIZE, 3), 30, np.uint8) for _ in range(2)]
    flat[0][40:90, 40:120], flat[1][120:190, 180:290] = 200, 160

    assert is_cut(_view(_scene(2), 0), np.ascontiguousarray(_scene(5)[: SIZE[0], ::-1][:, : SIZE[1]]))
    assert is_cut(*flat)


def test_two_pictures_that_are_all_but_alike_are_no_cut_though_nothing_can_be_followed() -> None:
    rng = np.random.default_rng(3)
    noise0, noise1 = (np.clip(rng.normal(16, 4, (*SIZE, 3)), 0, 255).astype(np.uint8) for _ in range(2))

    assert not is_cut(noise0, noise1)


def test_sixteen_bits_are_judged_as_eight_are() -> None:
    scene, other = _view(_scene(1), 0), _view(_scene(101), 0)
    moved = _view(_scene(1), 9)

    assert is_cut(_deep(scene), _deep(other))
    assert not is_cut(_deep(scene), _deep(moved))


@pytest.mark.parametrize("size", [(16, 16), (17, 400), (1200, 16), (2, 2)])
def test_the_narrowest_frames_are_judged_too(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    x0 = rng.integers(0, 255, (*size, 3), np.uint8)

    assert is_cut(x0, x0) is False


def test_vectors_that_lead_there_and_back_agree() -> None:
    there = np.full((64, 64, 2), (3, -2), np.float32)

    assert flow_agreement(there, -there) == 1.0


def test_vectors_that_do_not_return_do_not() -> None:
    there = np.full((64, 64, 2), (3, -2), np.float32)

    assert flow_agreement(there, there) == 0.0


def test_of_both_ways_the_lower_share_counts() -> None:
    """What went out of sight is found in one direction only."""
    there = np.zeros((64, 64, 2), np.float32)
    back = there.copy()
    back[:, 32:] = 40

    assert flow_agreement(there, back) == pytest.approx(flow_agreement(back, there))
    assert flow_agreement(there, back) < 0.6


def _deep(frame: Any) -> Frame:
    return frame.astype(np.uint16) * 257
