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
