from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fakes import Blend, Raw, Squares, machine, picture
from framedaemon.clip import Clip
from framedaemon.stages import (
    CUT,
    AnyEncoder,
    AnyGenerator,
    AnyInterpolator,
    Cut,
    Delivery,
    EncoderOptions,
    Estimate,
    Gap,
    GeneratorOptions,
    InterpolatorOptions,
    Options,
    Placement,
    Scratch,
)


@pytest.mark.parametrize("model", [GeneratorOptions, InterpolatorOptions, EncoderOptions])
def test_an_option_that_nobody_knows_is_refused(model: type[Options]) -> None:
    with pytest.raises(ValidationError, match="promt"):
        model.model_validate({"promt": "a cat"})


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1},
        {"seed": 2**63},
        {"frames": 0},
        {"frames": 1_000_001},
        {"fps": 0},
        {"width": 15},
        {"height": 8193},
        {"prompt": "x" * 10_001},
    ],
)
def test_what_no_generator_can_do_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        GeneratorOptions.model_validate(options)


def test_numbers_that_are_none_are_refused_in_every_option() -> None:
    class Own(InterpolatorOptions):
        strength: float = 1.0

    with pytest.raises(ValidationError, match="finite"):
        Own.model_validate({"strength": float("nan")})


def test_options_are_written_so_that_they_can_be_read_back() -> None:
    options = GeneratorOptions(prompt="ein Garten – 庭", seed=2**63 - 1, fps=Fraction(24000, 1001))

    assert GeneratorOptions.model_validate_json(options.model_dump_json()) == options


def test_options_do_not_change_between_promise_and_work() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        GeneratorOptions().seed = 3  # type: ignore[misc]


def test_the_smallest_placement_is_the_default() -> None:
    placement = Placement()

    assert (placement.device, placement.threads, placement.batch, placement.clear_cache_every) == ("cpu", 1, 1, 0)


def test_gaps_are_told_apart_by_identity() -> None:
    """Two gaps with the same pixels are two gaps, and comparing arrays would give no answer."""
    frame = np.zeros((2, 2, 3), np.uint8)

    assert Gap(frame, frame, (Fraction(1, 2),)) != Gap(frame, frame, (Fraction(1, 2),))


def test_progress_need_not_be_listened_to(tmp_path: Path) -> None:
    Scratch(tmp_path).progress("latents", 0.5)


def test_cut_is_the_one_answer_of_its_kind() -> None:
    assert isinstance(CUT, Cut)


def test_the_three_kinds_work_together_as_their_protocols_say(tmp_path: Path) -> None:
    generator: AnyGenerator = Squares()
    interpolator: AnyInterpolator = Blend()
    encoder: AnyEncoder = Raw()
    options, source = generator.options.model_validate({"frames": 3}), picture()
    spec = generator.promise(source, options)
    delivery = Delivery(tmp_path / "video.raw", "", None, Scratch(tmp_path))

    with (
        generator.load(Placement(), options) as generate,
        interpolator.load(Placement(), interpolator.options()) as fill,
        encoder.load(Placement(), encoder.options()) as encode,
    ):
        frames = list(generate(source, Scratch(tmp_path)))
        ((middle,),) = list(fill([Gap(frames[0], frames[1], (Fraction(1, 2),))]))  # type: ignore[misc]
        encode(Clip(spec, iter([frames[0], middle, frames[2]])), delivery)

    assert generator.unready(machine()) is None
    assert delivery.output.stat().st_size == encoder.estimate(spec, encoder.options()).disk
    assert [stage.loaded for stage in (generator, interpolator, encoder)] == [0, 0, 0]  # type: ignore[attr-defined]


def test_an_estimate_comes_to_less_in_tiles_but_for_the_weights() -> None:
    estimate = Estimate(vram=1000, weights=200, ram=50, disk=7, seconds=1.0)

    placed = estimate.placed(Placement("cuda:0", tile=50), 100, 200)

    together = 32 * 100 * 200  # the frame that the tiles are put together to
    assert placed == Estimate(vram=300 + together, weights=200, ram=50, disk=7, seconds=1.0)


def test_an_estimate_comes_to_more_for_several_gaps_at_a_time() -> None:
    assert Estimate(vram=1000, weights=200).placed(Placement("cuda:0", batch=3), 100, 200).vram == 2600


def test_on_the_cpu_an_estimate_is_all_main_memory() -> None:
    placed = Estimate(vram=1000, weights=200, ram=50).placed(Placement(tile=1000), 100, 200)

    assert (placed.vram, placed.ram) == (0, 1050)


def test_the_seconds_of_an_estimate_are_those_of_the_device_it_works_on() -> None:
    both, one = Estimate(seconds=100.0, accelerated=2.0), Estimate(seconds=100.0)

    seconds = [
        estimate.placed(Placement(device), 100, 200).seconds for estimate in (both, one) for device in ("cpu", "cuda:0")
    ]

    assert seconds == [100.0, 2.0, 100.0, 100.0]
