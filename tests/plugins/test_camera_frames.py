"""What the camera's frames show: the picture at exact places, at every scale, without shimmer or borders."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path as Folder

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from framedaemon import Picture, Placement, Scratch
from framedaemon_camera import Camera, CameraOptions
from framedaemon_camera.levels import plan_ladder
from framedaemon_camera.moves import Path

Pixels = npt.NDArray[np.uint8]


def scene(width: int, height: int) -> Picture:
    """Noise with detail of every size but the finest, as lenses give it."""
    throws = np.random.default_rng(2)
    total = np.zeros((height, width, 3))
    for blur in (0.8, 2, 5, 12):
        noise = Image.fromarray(throws.integers(0, 256, (height, width, 3), np.uint8))
        layer = np.asarray(noise.filter(ImageFilter.GaussianBlur(blur)), np.float64)
        total += (layer - layer.mean()) / layer.std()
    return Picture(np.clip(128 + 25 * total, 0, 255).astype(np.uint8))


def path_of(picture: Picture, options: CameraOptions) -> Path:
    spec = Camera().promise(picture, options)
    size = (picture.width, picture.height)
    return Path(size, (spec.width, spec.height), spec.frames, float(spec.duration), options, options.seed or 0)


def draw(picture: Picture, options: CameraOptions, folder: Folder) -> list[Pixels]:
    with Camera().load(Placement(), options) as generate:
        return [frame.astype(np.uint8) for frame in generate(picture, Scratch(folder))]


def exact(picture: Picture, options: CameraOptions) -> list[Pixels]:
    """Each frame cut straight from the picture by Pillow, which takes exact coordinates but knows no roll."""
    path = path_of(picture, options)
    image = Image.fromarray(picture.pixels)
    views = path.views(0, path.frames)
    half_x, half_y = views.width / 2, views.width / 2 * path.clip[1] / path.clip[0]
    low = np.maximum(np.stack([views.x - half_x, views.y - half_y], axis=1), 0)
    high = np.minimum(np.stack([views.x + half_x, views.y + half_y], axis=1), path.picture)
    boxes = np.concatenate([low, high], axis=1).tolist()
    return [np.asarray(image.resize(path.clip, Image.Resampling.LANCZOS, box=tuple(box))) for box in boxes]


def psnr(one: list[Pixels], other: list[Pixels]) -> npt.NDArray[np.float64]:
    errors = [np.mean((a.astype(np.float64) - b) ** 2) for a, b in zip(one, other, strict=True)]
    return 10 * np.log10(255**2 / (np.array(errors) + 1e-9))


@pytest.mark.parametrize("move", ["push_in", "pan_left", "orbit"])
@pytest.mark.parametrize("width", [40, 160, 270, 530], ids=lambda width: f"to{width}")
def test_frames_are_what_exact_resampling_of_the_picture_gives(move: str, width: int, tmp_path: Folder) -> None:
    """From a tenth of the picture's size to twice it; 45 dB is half the error that a good codec makes."""
    picture = scene(400, 300)
    options = CameraOptions(move=move, width=width, frames=3, amount=0.4)

    likeness = psnr(draw(picture, options, tmp_path), exact(picture, options))

    assert likeness.min() > 45


def test_a_drift_that_does_not_roll_is_exact_too(tmp_path: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framedaemon_camera.moves._MOST_ROLL", 0.0)
    picture, options = scene(400, 300), CameraOptions(move="drift", width=200, frames=3, seed=4)

    likeness = psnr(draw(picture, options, tmp_path), exact(picture, options))

    assert likeness.min() > 45


def test_a_crop_is_not_stretched(tmp_path: Folder) -> None:
    picture = scene(600, 450)
    options = CameraOptions(width=160, height=240, frames=3)

    likeness = psnr(draw(picture, options, tmp_path), exact(picture, options))

    assert likeness.min() > 45


def test_a_slow_pan_moves_by_the_same_fraction_of_a_pixel_each_frame(tmp_path: Folder) -> None:
    """0.3 px a frame: coordinates rounded to whole pixels would be off by 0.45 px RMS."""
    picture = scene(600, 450)
    options = CameraOptions(move="pan_right", amount=0.01, frames=21, easing="linear")
    ideal = 0.01 * 600 / 20 / path_of(picture, options).views(0).width[0] * 600

    frames = draw(picture, options, tmp_path)
    steps = np.array([slope(before, after) for before, after in pairwise(frames)])

    assert np.sqrt(np.mean((steps + ideal) ** 2)) < 0.005


def slope(one: Pixels, two: Pixels) -> float:
    """How far (pixels) the middle of ``two`` lies to the right of that of ``one``: the slope of the phase."""
    window = np.hanning(256)[:, None] * np.hanning(256)
    patches = [frame[100:356, 150:406, 1].astype(np.float64) for frame in (one, two)]
    spectra = [np.fft.fft2((patch - np.average(patch, weights=window)) * window)[:, 4:40] for patch in patches]
    cross = (spectra[0].conj() * spectra[1])[:8]
    turns = np.arange(4, 40) / 256 * -2 * np.pi * np.ones((8, 1))
    found = 0.0
    for _ in range(4):
        left = np.angle(cross * np.exp(-1j * turns * found))
        found += float((np.abs(cross) * turns * left).sum() / (np.abs(cross) * turns**2).sum())
    return found


def test_a_slow_pan_does_not_breathe(tmp_path: Folder) -> None:
    """Sharpness that comes and goes with the fraction of a pixel is seen as shimmer."""
    picture = scene(600, 450)
    options = CameraOptions(move="pan_right", amount=0.01, frames=24, easing="linear")

    sharpness = np.array(
        [np.mean(np.diff(frame.astype(np.float64), 2, axis=1) ** 2) for frame in draw(picture, options, tmp_path)]
    )

    assert sharpness.std() < 0.003 * sharpness.mean()


def test_a_push_through_several_levels_does_not_pop(tmp_path: Folder) -> None:
    picture = scene(800, 600)
    options = CameraOptions(move="push_in", width=106, amount=0.6, frames=48, easing="linear")
    assert len(plan_ladder(path_of(picture, options)).levels) >= 4

    ratio = np.array(
        [
            np.mean(np.diff(ours.astype(np.float64), axis=1) ** 2)
            / np.mean(np.diff(true.astype(np.float64), axis=1) ** 2)
            for ours, true in zip(draw(picture, options, tmp_path), exact(picture, options), strict=True)
        ]
    )

    assert np.abs(np.diff(ratio)).max() < 0.08


def test_detail_finer_than_a_frames_pixels_becomes_grey(tmp_path: Folder) -> None:
    """A checkerboard of single pixels, shrunk four times: what is not filtered shows as bands."""
    board = (np.indices((800, 800)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = Picture(np.repeat(board[:, :, None], 3, axis=2))

    frames = draw(picture, CameraOptions(width=200, frames=3), tmp_path)

    assert all(np.abs(frame.astype(int) - 127.5).max() <= 2 for frame in frames)


@pytest.mark.parametrize("move", ["push_in", "pan_right", "tilt_up", "orbit", "drift"])
@pytest.mark.parametrize("size", [(16, 16), (33, 200), (640, 360)], ids=str)
def test_no_border_is_ever_shown(move: str, size: tuple[int, int], tmp_path: Folder) -> None:
    picture = Picture(np.full((size[1], size[0], 3), 200, np.uint8))

    frames = draw(picture, CameraOptions(move=move, amount=0.5, frames=7, seed=1), tmp_path)

    assert {int(value) for frame in frames for value in np.unique(frame)} == {200}


def test_a_drift_rolls(tmp_path: Folder) -> None:
    """A horizon tilts by less than a degree: seen as a hand, not as an accident."""
    views = path_of(scene(640, 360), CameraOptions(move="drift", frames=200)).views(0, 200)

    assert 0.1 < np.degrees(np.abs(views.roll)).max() <= 0.6
