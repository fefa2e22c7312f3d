from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, JsonValue, ValidationError

from framedaemon.errors import JobRejected
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice, parse_factor
from framedaemon.stages import EncoderOptions, GeneratorOptions

VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
CHOICES = st.builds(
    StageChoice,
    use=st.sampled_from(["auto", "camera", "my-stage_2"]),
    options=st.dictionaries(st.text(), VALUES, max_size=4),
    origins=st.dictionaries(st.text(), st.text(), max_size=2),
)
RATES = st.fractions(Fraction(1, 100), 999, max_denominator=1001)
FILLINGS = st.one_of(
    st.builds(InterpolateChoice, factor=RATES, loop=st.booleans(), speed=RATES, dedupe=st.booleans()),
    st.builds(InterpolateChoice, fps=RATES),
    st.builds(InterpolateChoice),
)


class Codec(EncoderOptions):
    crf: int | None = Field(18, ge=0, le=51)


@settings(max_examples=40)
@given(st.builds(Recipe, generate=CHOICES, interpolate=FILLINGS, encode=CHOICES))
def test_a_recipe_survives_the_ledger(recipe: Recipe) -> None:
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_recipe_is_one_line() -> None:
    recipe = Recipe(generate=StageChoice(options={"prompt": "two\nlines"}))

    assert "\n" not in recipe.to_json()


def test_twice_the_frames_are_asked_for_by_default() -> None:
    assert InterpolateChoice().factor == 2
    assert Recipe().interpolate.target_fps(Fraction(16)) == 32


@pytest.mark.parametrize(
    ("choice", "target"),
    [
        (InterpolateChoice(factor=Fraction(5, 2)), Fraction(40)),
        (InterpolateChoice(fps=Fraction(24000, 1001)), Fraction(24000, 1001)),
        (InterpolateChoice(use="none"), Fraction(16)),
    ],
)
def test_the_target_rate_follows_factor_or_fps(choice: InterpolateChoice, target: Fraction) -> None:
    assert choice.target_fps(Fraction(16)) == target


def test_factor_and_fps_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="factor and fps exclude each other"):
        InterpolateChoice(factor=Fraction(2), fps=Fraction(30))


@pytest.mark.parametrize("value", [2, 2.0, "2", " 2 ", "4/2", Fraction(2)])
def test_a_factor_is_read_in_any_spelling(value: object) -> None:
    assert parse_factor(value) == 2


def test_a_factor_is_not_rounded_to_television_rates() -> None:
    assert parse_factor("29.97") == Fraction(2997, 100)


@pytest.mark.parametrize(
    "value",
    [0, -1, 1001, "x", "1/0", "1e999999999", "0.0000001", True, None, float("inf"), float("nan"), []],
)
def test_what_is_no_factor_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a factor"):
        parse_factor(value)


@pytest.mark.parametrize("use", ["", "Camera", "../x", "a b", "x" * 65, "-x"])
def test_a_stage_has_a_plain_name(use: str) -> None:
    with pytest.raises(ValidationError, match="is not the name of a stage"):
        StageChoice(use=use)


def test_options_become_the_stages_own() -> None:
    choice = StageChoice(options={"crf": 16, "codec": "av1"})

    assert choice.fit("encode", Codec, "cat.jpg") == Codec(crf=16, codec="av1")


def test_options_that_do_not_fit_are_all_said_with_the_file_that_said_them() -> None:
    choice = StageChoice(
        options={"crf": 99, "container": 3, "pace": 1},
        origins={"crf": "cat.toml [encode]", "container": "config.toml [defaults.encode]"},
    )

    with pytest.raises(JobRejected) as caught:
        choice.fit("encode", Codec, "cat.jpg")

    assert sorted(caught.value.problems) == [
        "cat.jpg [encode] pace: is not known here",
        "cat.toml [encode] crf: 99 is not in 0..51",
        "config.toml [defaults.encode] container: 3 is not text in quotes",
    ]


def test_a_seed_out_of_range_says_the_end_that_was_broken() -> None:
    with pytest.raises(JobRejected, match=r"cat\.jpg \[generate\] seed: -1 is not at least 0"):
        StageChoice(options={"seed": -1}).fit("generate", GeneratorOptions, "cat.jpg")
