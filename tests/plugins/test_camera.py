"""The camera as a stage: contract, sizes, memory, threads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from framedaemon import Footage, Frame, JobRejected, Picture, Placement, Scratch
from framedaemon.testing import GeneratorContract
from framedaemon.testing.generator import measure
from framedaemon.testing.measuring import TOLERANCE
from framedaemon_camera import Camera, CameraOptions, generators


def scene(width: int, height: int, seed: int = 1) -> Picture:
    """A picture with detail at every size, so that a shift shows everywhere."""
    throws = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), (128, 128, 128))
    for blur in (0, 2, 8):
        noise = Image.fromarray(throws.integers(0, 256, (height, width, 3), np.uint8))
        image = Image.blend(image, noise.filter(ImageFilter.GaussianBlur(blur)), 0.4)
    pixels = np.asarray(image).copy()
    pixels.setflags(write=False)
    return Picture(pixels)


def draw(picture: Picture, options: CameraOptions, folder: Path, threads: int = 1) -> Iterator[Frame]:
    with Camera().load(Placement(threads=threads), options) as generate:
        yield from generate(picture, Scratch(folder))


class TestContract(GeneratorContract):
    @pytest.fixture
    def stage(self) -> Camera:
        return Camera()

    @pytest.fixture
    def source(self) -> Picture:
        return scene(900, 600)

    @pytest.fixture
    def options(self) -> CameraOptions:
        return CameraOptions(move="drift", width=320, frames=4)


def test_it_is_registered_through_the_hook() -> None:
    assert [stage.name for stage in generators()] == ["camera"]


def test_it_draws_five_seconds_at_sixteen_frames_in_the_pictures_own_size() -> None:
    spec = Camera().promise(scene(640, 480), CameraOptions())

    assert (spec.width, spec.height, spec.frames, spec.fps, spec.depth) == (640, 480, 81, 16, 8)


def test_another_rate_still_gives_five_seconds() -> None:
    spec = Camera().promise(scene(64, 48), CameraOptions(fps="30000/1001"))

    assert spec.frames == 151
    assert spec.fps == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("picture", "options", "size"),
    [
        ((4000, 3000), {}, (1280, 960)),
        ((3000, 4000), {}, (960, 1280)),
        ((767, 511), {}, (766, 510)),
        ((2048, 12288), {}, (212, 1280)),
        ((16, 16), {}, (16, 16)),
        ((2, 2), {}, (16, 16)),
        ((4, 900), {}, (16, 900)),
        ((4000, 3000), {"width": 800}, (800, 600)),
        ((4000, 3000), {"height": 301}, (402, 301)),
        ((4000, 3000), {"width": 832, "height": 1216}, (832, 1216)),
    ],
)
def test_the_size_is_the_pictures_own_or_as_asked(
    picture: tuple[int, int], options: dict[str, int], size: tuple[int, int]
) -> None:
    pixels = np.broadcast_to(np.uint8(0), (picture[1], picture[0], 3))

    spec = Camera().promise(Picture(pixels), CameraOptions(**options))

    assert (spec.width, spec.height) == size


def test_a_side_that_the_other_cannot_follow_is_refused_with_the_range_that_works() -> None:
    strip = Picture(np.broadcast_to(np.uint8(0), (6000, 1000, 3)))

    with pytest.raises(JobRejected, match=r"\[generate\] width: 4000 .* allowed here is 16\.\.1365"):
        Camera().promise(strip, CameraOptions(width=4000))


def test_the_range_that_a_refusal_names_works() -> None:
    strip = Picture(np.broadcast_to(np.uint8(0), (6000, 1000, 3)))

    assert Camera().promise(strip, CameraOptions(width=1365)).height == 8190
    assert Camera().promise(strip, CameraOptions(width=16)).height == 96


def test_a_thread_too_thin_for_any_side_alone_says_to_give_both() -> None:
    thread = Picture(np.broadcast_to(np.uint8(0), (20000, 2, 3)))

    with pytest.raises(JobRejected, match="give width and height both"):
        Camera().promise(thread, CameraOptions(height=8000))


def test_footage_is_refused() -> None:
    footage = Footage(Path("clip.mp4"), width=64, height=64, frames=10, fps=Fraction(25))

    with pytest.raises(JobRejected, match="footage"):
        Camera().promise(footage, CameraOptions())


def test_any_number_of_threads_draws_the_same_frames(tmp_path: Path) -> None:
    options = CameraOptions(move="drift", width=200, frames=3, seed=5)
    picture = scene(500, 400)

    digests = [[hashlib.sha256(f.data).digest() for f in draw(picture, options, tmp_path, n)] for n in (1, 2, 3)]

    assert digests[0] == digests[1] == digests[2]


def test_the_seed_left_out_is_taken_from_the_picture(tmp_path: Path) -> None:
    options = CameraOptions(move="drift", frames=2)

    one, again = (next(draw(scene(64, 64), options, tmp_path)) for _ in range(2))

    assert np.array_equal(one, again)


def test_another_seed_drifts_elsewhere(tmp_path: Path) -> None:
    one, other = (next(draw(scene(64, 64), CameraOptions(move="drift", seed=s), tmp_path)) for s in (1, 2))

    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("width", "height"), [(16, 16), (2, 2), (1, 40), (60, 360), (900, 30)], ids=lambda side: str(side)
)
@pytest.mark.parametrize("move", ["push_in", "tilt_up", "drift"])
def test_odd_shapes_become_clips(width: int, height: int, move: str, tmp_path: Path) -> None:
    picture = scene(width, height)
    options = CameraOptions(move=move, frames=3)

    frames = list(draw(picture, options, tmp_path))

    assert len(frames) == 3
    assert {frame.shape for frame in frames} == {Camera().promise(picture, options).shape}


def test_fifty_megapixels_take_no_more_memory_than_estimated(tmp_path: Path) -> None:
    """It is read a few rows at a time; another copy of it would take 150 MB."""
    pixels: npt.NDArray[np.uint8] = np.zeros((5800, 8700, 3), np.uint8)
    pixels[::7, ::5] = 255

    cost = measure(Camera(), Picture(pixels), CameraOptions(move="orbit", frames=1), Placement(), tmp_path)

    assert cost.ram is not None
    assert cost.ram <= cost.estimated + TOLERANCE
    assert cost.estimated < 3 * cost.ram, "an estimate far too high keeps jobs waiting"
