"""The receipt holds all that it takes to make the video again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import av
import pytest

from fakes import Raw, Squares, machine, picture, registry_of
from framedaemon import receipt
from framedaemon.layers import Layer, read_request
from framedaemon.pipeline import Made, run
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice

SOURCE = "ab" * 32


@pytest.fixture(scope="module")
def registry() -> Registry:
    return registry_of()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plan, Made, dict[str, object]]]:
    """A video of the camera's by ffmpeg, whose prompt is full of what metadata may trip over."""
    prompt = 'a "quoted" sea;\n# ünïcødé = 写真 \\ done'
    recipe = Recipe(
        generate=StageChoice(use="camera", options={"frames": 3, "prompt": prompt}),
        interpolate=InterpolateChoice(use="none"),
    )
    plan = make_plan(picture(), recipe, load_plugins(None), machine(), seed=11)
    folder = tmp_path_factory.mktemp("made")
    made = run(plan, folder, load_plugins(None), receipt.comment(plan, SOURCE), lambda *told: None)
    yield plan, made, receipt.describe(plan, made, name="sea.png", sha256=SOURCE, job="d-1", attempt=2)


@pytest.mark.parametrize(
    "interpolate",
    [
        InterpolateChoice(use="blend"),
        InterpolateChoice(use="blend", fps=Fraction(24000, 1001), loop=True),
        InterpolateChoice(use="blend", options={"cut_above": 12.5}),
        InterpolateChoice(use="none"),
        InterpolateChoice(use="none", loop=True),
        InterpolateChoice(use="none", speed=Fraction(1, 2)),
        InterpolateChoice(use="blend", speed=Fraction(2, 5), dedupe=True),
        InterpolateChoice(use="blend", factor=Fraction(1), dedupe=True),
        InterpolateChoice(use="blend", factor=Fraction(1, 2), speed=Fraction(1, 2)),
        InterpolateChoice(use="blend", factor=Fraction(1)),
        InterpolateChoice(use="blend", fps=Fraction(8)),
        InterpolateChoice(use="blend", fps=Fraction(8), loop=True),
    ],
    ids=lambda choice: choice.model_dump_json(exclude_none=True),
)
def test_the_recipe_of_a_receipt_gives_an_equal_plan(registry: Registry, interpolate: InterpolateChoice) -> None:
    source = picture()
    generate = StageChoice(use="squares", options={"frames": 9, "fps": "16", "step": 5, "negative_prompt": "noise"})
    plan = make_plan(source, Recipe(generate=generate, interpolate=interpolate), registry, machine(), seed=77)

    told = json.loads(json.dumps(receipt.resolved(plan)))
    (recipe,) = read_request([Layer("receipt", told)]).recipes

    assert make_plan(source, recipe, registry, machine(), seed=0) == plan


def test_a_video_without_interpolation_is_made_again_where_no_interpolator_is() -> None:
    registry = registry_of(Squares(), Raw())
    asked = Recipe(generate=StageChoice(options={"frames": 3}), interpolate=InterpolateChoice(use="none"))
    source = picture()
    plan = make_plan(source, asked, registry, machine(), seed=77)

    (recipe,) = read_request([Layer("receipt", receipt.resolved(plan))]).recipes

    assert make_plan(source, recipe, registry, machine(), seed=0) == plan


def test_a_seed_comes_from_the_sources_own_bytes_and_differs_between_its_jobs() -> None:
    seeds = [receipt.seed_from("ffffffff" + "00" * 28, number) for number in (1, 2)]

    assert seeds == [(0xFFFFFFFF + 1) % 2**31, (0xFFFFFFFF + 2) % 2**31]


def test_a_receipt_tells_of_source_video_frames_and_gate(finished: tuple[Plan, Made, dict[str, object]]) -> None:
    plan, made, facts = finished

    assert facts["source"] == {"name": "sea.png", "sha256": SOURCE, "kind": "picture", "notes": []}
    assert facts["video"] == {
        "file": "video.mp4",
        "bytes": made.video.stat().st_size,
        "sha256": hashlib.sha256(made.video.read_bytes()).hexdigest(),
    }
    assert facts["frames"] == {"drawn": 3, "shown": 3, "filled": 0, "held_at_cuts": 0, "held_duplicates": 0}
    assert facts["gate"] == made.gate.to_json()
    assert facts["said"] == made.said
    assert (facts["job"], facts["attempt"], facts["seed"]) == ("d-1", 2, 11)
    assert facts["resumed_at_frame"] == 0
    assert facts["plan"] == plan.summary().model_dump(mode="json")


def test_a_receipt_names_the_versions_that_made_the_pixels(finished: tuple[Plan, Made, dict[str, object]]) -> None:
    versions = finished[2]["versions"]

    assert isinstance(versions, dict)
    assert versions["framedaemon"] == version("framedaemon")
    assert {"python", "numpy", "pillow", "av", "imageio-ffmpeg", "opencv-python-headless"} <= versions.keys()


def test_a_receipt_measures_memory_of_the_worker_and_of_ffmpeg(finished: tuple[Plan, Made, dict[str, object]]) -> None:
    peak = finished[2]["peak_memory_bytes"]

    assert isinstance(peak, dict)
    assert 10_000_000 < peak["worker"] < 10_000_000_000
    assert 10_000_000 < peak["largest_child"] < 10_000_000_000


def test_a_receipt_comes_back_as_it_was_written(finished: tuple[Plan, Made, dict[str, object]], tmp_path: Path) -> None:
    _, _, facts = finished
    (tmp_path / "sea.json").write_bytes(receipt.encode(facts))

    assert receipt.read_receipt(tmp_path / "sea.json") == facts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"receipt": 2, "source": {}, "recipe": {}, "video": {}, "versions": {}}',
        '{"receipt": 1, "source": {}, "recipe": [], "video": {}, "versions": {}}',
        '{"receipt": 1}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_receipt_of_this_framedaemon_is_named(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "photo.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ValueError, match=r"photo\.json is not a receipt"):
        receipt.read_receipt(path)


def test_the_comment_in_the_video_is_json_with_seed_source_and_recipe(
    finished: tuple[Plan, Made, dict[str, object]],
) -> None:
    _, made, facts = finished

    with av.open(str(made.video)) as file:
        comment = json.loads(file.metadata["comment"])

    assert comment == {
        "framedaemon": version("framedaemon"),
        "source_sha256": SOURCE,
        "seed": 11,
        "recipe": facts["recipe"],
    }
    assert comment["recipe"]["generate"]["prompt"].endswith("写真 \\ done")


def test_a_comment_stands_on_one_line_of_ascii(finished: tuple[Plan, Made, dict[str, object]]) -> None:
    comment = receipt.comment(finished[0], SOURCE)

    assert comment.isascii()
    assert "\n" not in comment


def test_the_peak_of_memory_is_measured_anew() -> None:
    ballast = bytearray(64 * 2**20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    high = receipt.peak_memory()["worker"]
    del ballast

    receipt.forget_peak()

    assert receipt.peak_memory()["worker"] < high - 32 * 2**20


def test_another_last_picture_makes_another_video(finished: tuple[Plan, Made, dict[str, object]]) -> None:
    """The parts that an attempt goes on with, too, are kept by the comment."""
    plan, _, _ = finished
    plain, one, other = (
        receipt.comment(plan, SOURCE, last)
        for last in (None, receipt.LastFile("sea.last.png", "cd" * 32), receipt.LastFile("sea.last.png", "ef" * 32))
    )

    assert len({plain, one, other}) == 3
    assert json.loads(one)["last_sha256"] == "cd" * 32
