"""Recipes by example: each becomes a plan, with what is shipped, on a small computer without a GPU."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from fakes import footage, machine, picture
from framedaemon.layers import Layer, read_request
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.settings import Settings
from framedaemon.sources import Source
from framedaemon.toml import fit, read_toml
from pages import Example, examples

PLANNED = [example for example in examples("toml") if example.page in ("recipes.md", "start.md", "README.md")]


@pytest.fixture(scope="module")
def shipped() -> Registry:
    return load_plugins(None)


@pytest.mark.parametrize("example", PLANNED, ids=lambda example: example.page + "-" + example.text[:40])
def test_a_recipe_by_example_becomes_plans(example: Example, shipped: Registry) -> None:
    plans = _plans(example, shipped)

    assert plans != []
    assert [plan.notes for plan in plans if any("is not known" in note for note in plan.notes)] == []


def test_slow_motion_by_example_lasts_four_times_as_long(shipped: Registry) -> None:
    (plan,) = _plans(_example("speed = 0.25"), shipped)

    assert (plan.shown.fps, plan.shown.frames) == (plan.drawn.fps, (plan.drawn.frames - 1) * 4 + 1)


def test_the_vertical_video_by_example_is_vertical(shipped: Registry) -> None:
    (plan,) = _plans(_example("focus = [0.33, 0.5]"), shipped)

    assert (plan.drawn.width, plan.drawn.height, plan.shown.fps) == (1080, 1920, Fraction(30))


def test_the_4k_video_by_example_is_prores_as_drawn(shipped: Registry) -> None:
    (plan,) = _plans(_example('codec = "prores"'), shipped)

    assert (plan.shown.width, plan.shown.height, plan.shown.frames) == (3840, 2160, 125)
    assert (plan.video.codec, plan.video.suffix) == ("prores", ".mov")


def test_variants_by_example_differ_by_their_seeds(shipped: Registry) -> None:
    plans = _plans(_example("generate.seed = 3"), shipped)

    assert [plan.seed for plan in plans] == [1, 2, 3]


def _example(words: str) -> Example:
    return next(example for example in PLANNED if words in example.text)


def _plans(example: Example, registry: Registry) -> list[Plan]:
    table = read_toml(example.text.encode(), example.file or "photo.toml")
    if example.file == "config.toml":
        table = fit(table, Settings, example.file).defaults.layer().table
    layer = Layer(example.file, table, sidecar="job" in table)
    return [
        make_plan(_source(example), recipe, registry, machine(ram=2**36), seed=42)
        for recipe in read_request([layer]).recipes
    ]


def _source(example: Example) -> Source:
    return footage(Path("clip.mp4")) if example.file == "clip.toml" else picture(640, 480)
