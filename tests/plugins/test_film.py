"""film passes the contract, says what it costs, and refuses a CPU unless it is told to go on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from framedaemon import ClipSpec, Gap, Machine, Placement, StageFailed
from framedaemon.testing.interpolator import InterpolatorContract, measure
from framedaemon_film import Film, FilmOptions, interpolators
from framedaemon_film.cost import level_bytes
from framedaemon_film.shapes import SHAPES

SPEC = ClipSpec(width=832, height=1216, frames=81, fps=Fraction(16))
FORCED = FilmOptions(force=True)


def blending() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float16]]]:
    """Weights by which the network mixes both frames alike: no motion, no features, the two images halved and added.

    By halves that gives each time its share of both frames, which is all that a pattern that moves little needs.
    """
    made = {name: np.zeros(shape, np.float16) for name, shape in SHAPES.items()}
    for channel in range(3):
        made["fuse.0.1.weight"][channel, channel, 1, 1] = 0.5
        made["fuse.0.1.weight"][channel, 67 + channel, 1, 1] = 0.5  # behind one image and its 64 features
        made["fuse.0.2.weight"][channel, channel, 1, 1] = 1
        made["output.weight"][channel, channel, 0, 0] = 1
    return made


@pytest.fixture(scope="module")
def models() -> Iterator[Path]:
    """A models folder with weights that mix."""
    torch = pytest.importorskip("torch", reason="film needs torch")
    from framedaemon.storing import store

    with tempfile.TemporaryDirectory() as folder:
        tensors = {name: torch.from_numpy(numbers) for name, numbers in blending().items()}
        store(Path(folder), "film-fp16", tensors, {"stage": "film"})
        yield Path(folder)


class TestFilm(InterpolatorContract):
    @pytest.fixture
    def stage(self) -> Film:
        return Film()

    @pytest.fixture
    def options(self) -> FilmOptions:
        return FORCED

    @pytest.fixture
    def size(self) -> tuple[int, int]:
        """A little less than the 64 pixels that everything is padded to."""
        return 61, 57

    @pytest.fixture
    def large(self, size: tuple[int, int]) -> tuple[int, int]:
        """As small as the others: what large frames take is measured below, once."""
        return size

    @pytest.fixture
    def takes(self, size: tuple[int, int]) -> ClipSpec:
        """8 bits alone: 16 are the driver's work and tested there, and a pass reads 138 MB of weights."""
        return ClipSpec(width=size[0], height=size[1], frames=5, fps=Fraction(16))

    @pytest.fixture
    def models(self, models: Path) -> Path:
        return models

    @pytest.fixture
    def placement(self, models: Path) -> Placement:
        """One thread: it starts none of its own, and torch's wait for each other where other tests run beside."""
        return Placement(threads=1, models=models)


def test_it_is_never_chosen_by_itself() -> None:
    (stage,) = interpolators()

    assert stage.name == "film"
    assert stage.preference < 0


def test_without_weights_it_says_how_to_get_them(tmp_path: Path) -> None:
    missing = Film().unready(Machine("cpu", vram=0, ram=8 << 30, cores=2, models=tmp_path))

    assert missing == "its weights are missing: framedaemon models pull film-fp32"


def test_weights_that_are_named_and_not_there_are_not_replaced_by_others(models: Path) -> None:
    with (
        pytest.raises(StageFailed, match="film-mine"),
        Film().load(Placement(models=models), FilmOptions(weights="mine", force=True)),
    ):
        pass


def test_direct_draws_all_frames_of_a_gap_along_one_flow(models: Path) -> None:
    """With weights that mix both frames alike, every time gives the same mixture."""
    x0, x1 = np.full((64, 64, 3), 100, np.uint8), np.full((64, 64, 3), 120, np.uint8)
    options = FilmOptions(times="direct", force=True)

    with Film().load(Placement(models=models), options) as fill:
        (answer,) = fill(iter([Gap(x0, x1, (Fraction(1, 4), Fraction(2, 3)))]))

    assert [int(frame.max()) for frame in answer] == [110, 110]  # type: ignore[union-attr]


def test_a_cpu_is_refused_with_the_time_it_would_take() -> None:
    gives = replace(SPEC, frames=161, fps=Fraction(32))

    refusal = Film().estimate(SPEC, gives, FilmOptions()).not_on_cpu
    forced = Film().estimate(SPEC, gives, FORCED)

    assert f"about {forced.seconds / 60:.0f} minutes on a CPU" in refusal
    assert "force = true" in refusal
    assert forced.not_on_cpu == ""


@pytest.mark.parametrize(("frames", "said"), [(3, "seconds"), (81, "minutes"), (2000, "hours")])
def test_the_time_is_told_in_the_unit_that_people_count_it_in(frames: int, said: str) -> None:
    takes = replace(SPEC, frames=frames)

    refusal = Film().estimate(takes, replace(takes, frames=2 * frames - 1, fps=Fraction(32)), FilmOptions()).not_on_cpu

    assert f" {said} on a CPU" in refusal


def test_a_gpu_is_said_to_take_a_small_part_of_the_time() -> None:
    estimate = Film().estimate(SPEC, replace(SPEC, frames=161, fps=Fraction(32)), FORCED)

    assert estimate.accelerated is not None
    assert 0 < estimate.accelerated < estimate.seconds / 20


def test_direct_is_said_to_take_less_than_halves() -> None:
    four_times = replace(SPEC, frames=321, fps=Fraction(64))

    halves, direct = (
        Film().estimate(SPEC, four_times, FORCED.model_copy(update={"times": times}))
        for times in ("midpoints", "direct")
    )

    assert direct.seconds < halves.seconds * 0.8
    assert direct.vram < halves.vram


def test_a_rate_that_no_halving_reaches_is_estimated_too() -> None:
    """24 to 30: of five frames four are drawn, each by way of its gap's middle."""
    takes = replace(SPEC, fps=Fraction(24))

    once, by_way = (
        Film().estimate(takes, replace(takes, fps=rate), FORCED).seconds for rate in (Fraction(48), Fraction(30))
    )

    assert 1.5 < by_way / once < 2.5


def test_a_large_frame_is_said_to_take_more_than_what_is_kept_of_two() -> None:
    estimate = Film().estimate(SPEC, replace(SPEC, frames=161, fps=Fraction(32)), FORCED)

    assert estimate.vram - estimate.weights > 2 * 832 * 1216 * level_bytes()


def test_a_frame_of_middling_size_takes_no_more_memory_than_estimated(models: Path) -> None:
    spec = ClipSpec(width=256, height=256, frames=2, fps=Fraction(16))
    placement = Placement(threads=1, models=models)

    cost = measure(Film(), FORCED, placement, spec)

    assert cost.ram is not None
    doubled = replace(spec, frames=3, fps=Fraction(32))
    assert cost.ram <= Film().estimate(spec, doubled, FORCED).placed(placement, spec.width, spec.height).ram
