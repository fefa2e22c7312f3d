from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from framedaemon import Footage, GeneratorOptions, JobRejected, Picture, Source
from framedaemon.opening import Limits, open_source
from framedaemon.testing.generator import GeneratorContract
from framedaemon_video import Video, VideoOptions, generators
from made_clips import make_video


def footage(**changes: object) -> Footage:
    facts = {"path": Path("x.mp4"), "width": 1920, "height": 1080, "frames": 100, "fps": Fraction(30)}
    return Footage(**(facts | changes))  # type: ignore[arg-type]


class TestVideoKeepsTheContract(GeneratorContract):
    @pytest.fixture
    def stage(self) -> Video:
        return Video()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        path = make_video(tmp_path / "x.mp4", size=(640, 480))
        return open_source(path, path.name, Limits())

    @pytest.fixture
    def options(self) -> GeneratorOptions:
        return VideoOptions()


def test_the_hook_offers_it() -> None:
    assert [type(stage) for stage in generators()] == [Video]


def test_the_footages_own_clip_is_promised() -> None:
    spec = Video().promise(footage(depth=16), VideoOptions())

    assert (spec.width, spec.height, spec.frames, spec.fps, spec.depth) == (1920, 1080, 100, 30, 16)


def test_frames_are_an_upper_limit() -> None:
    assert Video().promise(footage(), VideoOptions(frames=7)).frames == 7
    assert Video().promise(footage(), VideoOptions(frames=700)).frames == 100


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({"width": 960}, (960, 540)),
        ({"height": 480}, (854, 480)),
        ({"width": 1000, "height": 200}, (356, 200)),
        ({"width": 200, "height": 1000}, (200, 112)),
        ({"width": 333}, (333, 188)),
        ({"width": 3840}, (3840, 2160)),
    ],
)
def test_a_wanted_size_is_filled_without_cropping_or_squashing(wanted: dict[str, int], given: tuple[int, int]) -> None:
    spec = Video().promise(footage(), VideoOptions(**wanted))  # type: ignore[arg-type]

    assert (spec.width, spec.height) == given


@pytest.mark.parametrize(("frames", "fps", "left"), [(6, 15, 3), (5, 15, 3), (100, 10, 34), (1, 1, 1), (100, 20, 67)])
def test_a_lower_rate_leaves_frames_out(frames: int, fps: int, left: int) -> None:
    spec = Video().promise(footage(frames=frames), VideoOptions(fps=fps))  # type: ignore[arg-type]

    assert (spec.frames, spec.fps) == (left, fps)


def test_a_higher_rate_is_an_interpolators_work() -> None:
    with pytest.raises(JobRejected, match=r"60 is above the video's own 30.*\[interpolate\] fps"):
        Video().promise(footage(), VideoOptions(fps=60))  # type: ignore[arg-type]


def test_a_picture_is_refused() -> None:
    import numpy as np

    with pytest.raises(JobRejected, match="for a picture choose another generator"):
        Video().promise(Picture(np.zeros((32, 32, 3), np.uint8)), VideoOptions())


def test_memory_does_not_grow_with_the_clip() -> None:
    stage, short, long = Video(), footage(), footage(frames=16_100)
    options = VideoOptions()

    needs = [stage.estimate(takes, stage.promise(takes, options), options) for takes in (short, long)]

    assert needs[0].ram == needs[1].ram
    assert needs[1].seconds == pytest.approx(161 * needs[0].seconds)
