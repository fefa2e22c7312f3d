from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framedaemon.errors import JobRejected
from framedaemon.layers import KINDS, MAX_JOBS, Layer, load_layers, read_request
from framedaemon.recipe import Recipe, Request
from framedaemon.toml import Table, read_toml


def _layer(where: str, text: str, sidecar: bool = False) -> Layer:
    return Layer(where, read_toml(text.encode(), where), sidecar)


def _request(*texts: str) -> Request:
    """What layers ask for together, the last of which is a sidecar."""
    *lower, sidecar = texts
    layers = [_layer(f"{n}.toml", text) for n, text in enumerate(lower)]
    return read_request([*layers, _layer("cat.toml", sidecar, sidecar=True)])


def _recipe(*texts: str) -> Recipe:
    (recipe,) = _request(*texts).recipes
    return recipe


def _problems(*texts: str) -> list[str]:
    with pytest.raises(JobRejected) as caught:
        _request(*texts)
    return sorted(caught.value.problems)


def test_nothing_said_is_the_default_recipe() -> None:
    assert read_request([]) == Request((Recipe(),), 0)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ESTALE, errno.EHOSTDOWN])
def test_a_picture_is_not_refused_for_what_is_no_fault_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    (tmp_path / "defaults.toml").touch()
    monkeypatch.setattr("os.open", fail)

    with pytest.raises(OSError, match=os.strerror(number)):
        load_layers(tmp_path, "cat.png", None)


def test_keys_of_all_layers_come_together_and_the_highest_counts() -> None:
    recipe = _recipe("[generate]\nfps = 16\nframes = 81", "generate.frames = 41", "generate.seed = 1")

    assert recipe.generate.options == {"fps": 16, "frames": 41, "seed": 1}
    assert recipe.generate.origins == {
        "fps": "0.toml [generate]",
        "frames": "1.toml [generate]",
        "seed": "cat.toml [generate]",
    }


def test_whether_there_is_a_preview_first_is_no_stages_business() -> None:
    recipe = _recipe("[generate]\npreview = true\nframes = 9", "[generate]\nuse = 'wan'")

    assert recipe.preview is True
    assert (recipe.generate.options, recipe.generate.origins) == ({"frames": 9}, {"frames": "0.toml [generate]"})
    assert _recipe("[generate]\npreview = true", "[generate]\npreview = false").preview is False


def test_each_job_has_a_word_on_its_preview() -> None:
    first, second = _request("[generate]\npreview = true\n[[job]]\n[[job]]\ngenerate.preview = false").recipes

    assert (first.preview, second.preview) == (True, False)


def test_a_preview_is_asked_for_by_true_or_false() -> None:
    assert _problems("[generate]\npreview = 'yes'") == ["cat.toml [generate] preview: 'yes' is not true or false"]


def test_an_approved_picture_has_the_defaults_of_the_folder_that_it_was_dropped_in(tmp_path: Path) -> None:
    for folder, frames in (("", 3), ("pets", 4), ("approved", 5), ("approved/pets", 6)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "defaults.toml").write_text(f"[generate]\nframes = {frames}\n")

    names = [layer.where for layer in load_layers(tmp_path, "approved/pets/cat.jpg", None)]

    assert names == ["input/defaults.toml", "input/pets/defaults.toml"]


def test_another_stage_does_not_hear_what_was_said_to_the_first() -> None:
    recipe = _recipe("[generate]\nuse = 'camera'\nzoom = 1.2\nprompt = 'x'", "[generate]\nuse = 'wan'\nsteps = 4")

    assert recipe.generate.use == "wan"
    assert recipe.generate.options == {"prompt": "x", "steps": 4}


def test_the_same_stage_named_again_still_hears() -> None:
    recipe = _recipe("[generate]\nuse = 'camera'\nzoom = 1.2", "generate.use = 'camera'")

    assert recipe.generate.options == {"zoom": 1.2}


@pytest.mark.parametrize(
    ("lower", "higher", "factor", "fps"),
    [
        ("factor = 3", "fps = 29.97", None, Fraction(30000, 1001)),
        ("fps = 30", "factor = 3", 3, None),
        ("fps = 30", "loop = true", None, 30),
        ("loop = true", "use = 'flow'", 2, None),
        ("fps = 30", "speed = 0.5", None, 30),
    ],
)
def test_factor_and_fps_replace_each_other(
    lower: str, higher: str, factor: Fraction | None, fps: Fraction | None
) -> None:
    interpolate = _recipe(f"[interpolate]\n{lower}", f"[interpolate]\n{higher}").interpolate

    assert (interpolate.factor, interpolate.fps) == (factor, fps)
    assert interpolate.options == {}


def test_no_filling_silences_a_lower_layers_rate() -> None:
    interpolate = _recipe("interpolate.fps = 60", "interpolate.use = 'none'").interpolate

    assert interpolate.target_fps(Fraction(16)) == 16


def test_a_rate_said_where_nothing_is_filled_in_is_refused() -> None:
    problems = _problems("interpolate.use = 'none'", "interpolate.fps = 60")

    assert problems == ['cat.toml [interpolate] fps: means nothing with use = "none"']


def test_crf_does_not_outlive_its_codec() -> None:
    recipe = _recipe("encode.crf = 18", "encode.codec = 'av1'")

    assert recipe.encode.options == {"codec": "av1"}


@pytest.mark.parametrize("higher", ["encode.codec = 'auto'", "[encode]\ncodec = 'av1'\ncrf = 18"])
def test_crf_stays_with_its_codec(higher: str) -> None:
    assert _recipe("encode.crf = 18", higher).encode.options["crf"] == 18


def test_each_job_makes_a_recipe_on_top_of_the_sidecar() -> None:
    request = _request(
        "generate.fps = 16",
        "priority = 5\n[generate]\nuse = 'camera'\n[[job]]\ngenerate.seed = 1\n[[job]]\ngenerate.fps = 8",
    )

    assert [recipe.generate.options for recipe in request.recipes] == [{"fps": 16, "seed": 1}, {"fps": 8}]
    assert [recipe.generate.use for recipe in request.recipes] == ["camera", "camera"]
    assert request.recipes[0].generate.origins["seed"] == "cat.toml [[job]] 1 [generate]"
    assert request.priority == 5


def test_the_command_line_goes_above_every_job() -> None:
    sidecar = _layer("cat.toml", "[[job]]\nencode.crf = 1\n[[job]]\nencode.crf = 2", sidecar=True)

    request = read_request([sidecar, _layer("the command line", "encode.crf = 30")])

    assert [recipe.encode.options["crf"] for recipe in request.recipes] == [30, 30]


def test_the_highest_priority_that_was_said_counts_even_when_it_is_zero() -> None:
    assert _request("priority = 5", "").priority == 5
    assert _request("priority = 5", "priority = 0").priority == 0


def test_every_problem_of_every_layer_is_said() -> None:
    problems = _problems(
        "prioritee = 1\n[generate]\nseed = -1\n[[job]]",
        "priority = 101\n[generat]\n[generate]\nfps = 'x'\nframes = true\nprompt = 3\n[interpolate]\nfactor = 0\n"
        "fps = 1\n[encode]\nuse = 'A b'\nbit_depth = 9\n[[job]]\npriority = 1\nencode.crf = 'x'",
    )

    assert problems == [
        "0.toml [generate] seed: -1 is not at least 0",
        "0.toml job: [[job]] tables stand in a picture's own sidecar only",
        "0.toml prioritee: is not known here; did you mean 'priority'?",
        "cat.toml [[job]] 1 [encode] crf: 'x' is not a whole number",
        "cat.toml [encode] bit_depth: 9 is not one of 8, 10",
        "cat.toml [encode] use: 'A b' is not the name of a stage: `framedaemon plugins` lists them",
        "cat.toml [generate] fps: 'x' is not a frame rate: write 24, 29.97 or '24000/1001'",
        "cat.toml [generate] frames: true is not a whole number",
        "cat.toml [generate] prompt: 3 is not text in quotes",
        "cat.toml [interpolate] factor: 0 is not a factor above 0 and at most 1000",
        "cat.toml [interpolate] fps: cannot stand beside factor; keep one of them",
        "cat.toml [job 1] priority: is not known here",
        "cat.toml generat: is not known here; did you mean 'generate'?",
        "cat.toml priority: 101 is not in -100..100",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"generate.note = '{'x' * 10_001}'", "note: is longer than 10000 characters"),
        (f"generate.note = [{'1, ' * 1001}]", "note: is nested deeper than 3 lists or has more than 1000 entries"),
        ("generate.note = [[[[1]]]]", "note: is nested deeper than 3 lists or has more than 1000 entries"),
    ],
)
def test_a_stages_own_options_are_bounded(text: str, said: str) -> None:
    assert _problems(text) == [f"cat.toml [generate] {said}"]


def test_a_path_of_points_is_no_problem() -> None:
    assert _recipe("generate.path = [[0.5, 0.5], [0.2, 0.8]]").generate.options == {"path": [[0.5, 0.5], [0.2, 0.8]]}


@pytest.mark.parametrize("text", ["generate = 3", "job = 3", "job = [3]", "[[generate]]"])
def test_a_value_in_a_tables_place_is_said(text: str) -> None:
    (problem,) = _problems(text)

    assert problem.startswith("cat.toml ")


def test_there_is_an_end_to_the_jobs_of_one_picture() -> None:
    assert len(_request("[[job]]\n" * MAX_JOBS).recipes) == MAX_JOBS
    assert _problems("[[job]]\n" * (MAX_JOBS + 1)) == [f"cat.toml job: has more than {MAX_JOBS} entries"]


TABLES = st.dictionaries(
    st.sampled_from(["use", "fps", "factor", "loop", "crf", "codec", "seed", "zoom"]),
    st.sampled_from(["none", "auto", "flow", 2, 24, True, "h264"]),
    max_size=3,
)


@given(st.lists(st.dictionaries(st.sampled_from([*KINDS, "priority", "job"]), TABLES, max_size=3), max_size=4))
def test_layers_give_a_recipe_that_survives_the_ledger_or_a_sentence(tables: list[dict[str, object]]) -> None:
    layers = [Layer(f"{n}.toml", table, sidecar=n == 3) for n, table in enumerate(tables)]  # type: ignore[arg-type]

    try:
        (recipe,) = read_request(layers).recipes
    except JobRejected as error:
        assert all(".toml " in problem for problem in error.problems)
    else:
        assert Recipe.from_json(recipe.to_json()) == recipe


def test_folders_speak_from_the_top_down_and_the_sidecar_last(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "defaults.toml").write_text("priority = 1")
    (tmp_path / "a" / "b" / "defaults.toml").write_text("priority = 2")
    (tmp_path / "taken.toml").write_text("priority = 3")

    layers = load_layers(tmp_path, "a/b/cat.jpg", tmp_path / "taken.toml")

    assert [(layer.where, layer.table, layer.sidecar) for layer in layers] == [
        ("input/defaults.toml", {"priority": 1}, False),
        ("input/a/b/defaults.toml", {"priority": 2}, False),
        ("taken.toml", {"priority": 3}, True),
    ]


def test_a_picture_without_any_toml_has_no_layers(tmp_path: Path) -> None:
    assert load_layers(tmp_path, "cat.jpg", None) == ()


def test_files_that_cannot_be_read_are_all_said(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "defaults.toml").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "a" / "defaults.toml")

    with pytest.raises(JobRejected) as caught:
        load_layers(tmp_path, "a/cat.jpg", tmp_path / "cat.toml")

    assert caught.value.problems == (
        "input/defaults.toml: is a link; put the file itself here",
        "input/a/defaults.toml: is not a regular file",
        "cat.toml: vanished",
    )


def test_a_table_of_thousands_of_keys_is_refused_in_one_sentence() -> None:
    """Merged into each of a hundred jobs they would hold the service up for seconds, and there may be many pictures."""
    table: Table = {"generate": {f"k{number}": 1 for number in range(201)}}

    with pytest.raises(JobRejected) as refused:
        read_request([Layer("cat.toml", table, sidecar=True)])

    assert refused.value.problems == ("cat.toml [generate]: has more than 200 keys",)
