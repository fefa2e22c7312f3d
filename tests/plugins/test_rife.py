"""rife passes the contract, and says what it lacks, takes and refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from framedaemon import CUT, ClipSpec, Frame, Gap, JobRejected, Machine, Placement, StageFailed, keeping
from framedaemon.testing.interpolator import HALF, InterpolatorContract, measure
from framedaemon.testing.patterns import draw_pattern
from framedaemon_rife import Rife, RifeOptions, interpolators, stage
from framedaemon_rife.network.versions import VERSIONS
from rife_plain import make_weights

SPEC = ClipSpec(width=129, height=97, frames=5, fps=Fraction(16))
AUTO = RifeOptions()


@pytest.fixture(scope="module")
def models(models_with: Callable[[str], Path]) -> Path:
    return models_with("rife-4.25")


class TestRife(InterpolatorContract):
    @pytest.fixture
    def stage(self) -> Rife:
        return Rife()

    @pytest.fixture
    def options(self) -> RifeOptions:
        return AUTO

    @pytest.fixture
    def large(self, size: tuple[int, int]) -> tuple[int, int]:
        """As small as the others: what large frames take is measured below, once."""
        return size

    @pytest.fixture
    def models(self, models_with: Callable[[str], Path]) -> Path:
        return models_with("rife-4.25")


def test_a_network_that_was_kept_draws_what_one_made_anew_draws(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of another clip went through it in between."""
    monkeypatch.setattr(keeping, "_SLOT", keeping._Slot())
    clip, other = ([draw_pattern(SPEC, time), draw_pattern(SPEC, time + 1)] for time in (0, 7))
    keeping.keep_between_jobs()

    anew, between, kept = (_drawn(models, frames) for frames in (clip, other, clip))
    held = keeping.holds()
    keeping.release()

    assert held
    assert np.array_equal(kept, anew)
    assert not np.array_equal(between, anew)


def test_it_is_registered_for_auto_before_flow() -> None:
    (found,) = interpolators()

    assert (found.name, found.preference) == ("rife", 20)


def test_without_weights_it_says_how_to_get_them(tmp_path: Path) -> None:
    assert Rife().unready(Machine("cpu", 0, 8 << 30, 2, models=tmp_path)) == (
        "rife's weights are not there: framedaemon models pull rife-4.25"
    )


def test_without_torch_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "find_spec", lambda name: None if name == "torch" else object())

    assert Rife().unready(Machine("cpu", 0, 8 << 30, 2, models=tmp_path)) == (
        'rife needs torch: pip install "framedaemon[rife]"'
    )


def test_a_persons_own_weights_are_enough(tmp_path: Path) -> None:
    (tmp_path / "rife-mine.safetensors").touch()
    (tmp_path / "rife-mine.json").write_text('{"stage": "rife"}')  # the record of what was added

    assert Rife().unready(Machine("cpu", 0, 8 << 30, 2, models=tmp_path)) is None


@pytest.mark.parametrize(
    ("word", "means"), [("4.0", "rife-4.0"), ("rife-4.0", "rife-4.0"), ("mine", "rife-mine"), ("auto", "rife-4.25")]
)
def test_a_word_names_weights(word: str, means: str, tmp_path: Path) -> None:
    for name in ("rife-4.25", "rife-4.0", "rife-1st"):
        (tmp_path / f"{name}.safetensors").touch()

    assert Rife().chosen_weights(tmp_path, RifeOptions(weights=word)) == (means,)


def test_weights_that_are_not_there_are_said_with_the_command(tmp_path: Path) -> None:
    with (
        pytest.raises(StageFailed, match=r"framedaemon models pull rife-4\.0"),
        Rife().load(Placement(models=tmp_path), RifeOptions(weights="4.0")),
    ):
        pass


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = make_weights(VERSIONS[0])
    del tensors["blocks.4.up.bias"]
    monkeypatch.setattr(stage, "open_weights", lambda models, name: tensors)

    with (
        pytest.raises(StageFailed, match=r"rife-mine holds no weights of RIFE's"),
        Rife().load(Placement(models=tmp_path), RifeOptions(weights="mine")),
    ):
        pass


def test_a_persons_file_is_read_for_the_models_folder(tmp_path: Path) -> None:
    weights = make_weights(VERSIONS[1])
    save_file(weights, tmp_path / "mine.safetensors")

    assert Rife().read_weights(tmp_path / "mine.safetensors").keys() == weights.keys()


def test_a_frame_too_large_for_lookups_is_refused_with_the_limit() -> None:
    spec = replace(SPEC, width=32_705)

    with pytest.raises(JobRejected, match="at most 32704 pixels a side, and this clip has 32705x97"):
        Rife().estimate(spec, spec, AUTO)


def test_the_estimate_counts_filled_frames_only() -> None:
    twice = replace(SPEC, frames=9, fps=Fraction(32))
    same = Rife().estimate(SPEC, SPEC, AUTO)

    doubled, four_times = (Rife().estimate(SPEC, replace(twice, frames=n), AUTO) for n in (9, 17))

    assert doubled.seconds > same.seconds
    assert four_times.seconds - doubled.seconds == pytest.approx(doubled.seconds - same.seconds)


@pytest.mark.parametrize("size", [(40, 56), (17, 200), (130, 64)])
@pytest.mark.parametrize("depth", [8, 16])
def test_any_size_is_filled_where_the_motion_is(size: tuple[int, int], depth: int, models: Path) -> None:
    spec = replace(SPEC, width=size[0], height=size[1], depth=8 if depth == 8 else 16)
    gap = Gap(draw_pattern(spec, 0.0), draw_pattern(spec, 1.0), HALF)
    most = np.iinfo(gap.x0.dtype).max

    with Rife().load(Placement(models=models), AUTO) as fill:
        (answer,) = fill(iter([gap]))

    assert not isinstance(answer, type(CUT))
    error = np.abs(answer[0].astype(np.float64) - draw_pattern(spec, 0.5)).mean() / most
    faded = np.abs((gap.x0.astype(np.float64) + gap.x1) / 2 - draw_pattern(spec, 0.5)).mean() / most
    assert error < max(faded, 0.02)
    assert answer[0].dtype == gap.x0.dtype


def test_a_large_frame_takes_no_more_memory_than_estimated(models: Path) -> None:
    spec = ClipSpec(width=832, height=480, frames=3, fps=Fraction(16))
    placement = Placement(threads=2, models=models)

    cost = measure(Rife(), AUTO, placement, spec)

    assert cost.ram is not None
    assert cost.ram <= Rife().estimate(spec, spec, AUTO).placed(placement, spec.width, spec.height).ram


def _drawn(models: Path, frames: list[Frame]) -> Frame:
    """What lies halfway between two frames."""
    with Rife().load(Placement(models=models), RifeOptions(runtime="torch")) as fill:
        (filled,) = fill([Gap(frames[0], frames[1], HALF)])
    assert not isinstance(filled, type(CUT))
    return filled[0]
