from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from framedaemon.toml import MAX_BYTES, TomlError, did_you_mean, fit, load_toml, read_toml


class Lens(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    zoom: float = Field(1.0, ge=1, le=8)
    steps: int = Field(1, ge=1)
    kind: Literal["wide", "tele"] = "wide"
    names: Annotated[tuple[str, ...], Field(strict=False, max_length=2)] = ()
    title: str = Field("", max_length=5)
    mount: str = Field("e", pattern="^[a-z]+$")
    mirrored: bool = False


class Camera(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    lens: Lens = Lens()


def _complaint(text: str) -> str:
    with pytest.raises(TomlError) as caught:
        fit(read_toml(text.encode(), "cat.toml"), Camera, "cat.toml")
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_what_any_editor_writes_is_read(encoding: str, newline: str) -> None:
    data = f'prompt = "ein Kätzchen 猫"{newline}seed = 7{newline}'.encode(encoding)

    assert read_toml(data, "cat.toml") == {"prompt": "ein Kätzchen 猫", "seed": 7}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a = 1\nb = = 2", "cat.toml line 2: invalid value; text must stand in quotes"),
        (b"a = 1\na = 2", "cat.toml line 2: cannot overwrite a value"),
        (b"[a]\n[a]", "cat.toml line 2: there is a table [a] already"),
        (b"[a.b]\n[a.b]", "cat.toml line 2: there is a table [a.b] already"),
        (b"a = 1\nb = '\xe9'", "cat.toml line 2: is not UTF-8 text; save the file as UTF-8"),
        ("a = 1".encode("utf-16-le"), "cat.toml: is not UTF-8 text (it holds NUL bytes); save the file as UTF-8"),
        (b"\xff\xfea", "cat.toml line 1: is not UTF-8 text; save the file as UTF-8"),
        (b"a = nan", "cat.toml a: nan is not a finite number"),
        (b"[t]\na = [1, -inf]", "cat.toml [t] a 2: -inf is not a finite number"),
        (b"a = 1e999", "cat.toml a: inf is not a finite number"),
        (b"a = 9223372036854775808", "cat.toml a: is too large a number"),
        (b"a = 1979-05-27", "cat.toml a: 1979-05-27 is a date, which nothing here takes; put it in quotes"),
        (rb'a = "\u0000"', "cat.toml a: holds a control character"),
        (rb'a = "\u001b[2J"', "cat.toml a: holds a control character"),
        (b"a.b.c.d.e.f.g.h.i = 1", "cat.toml [a] b: is nested deeper than 8 tables"),
        (b"#" * (MAX_BYTES + 1), "cat.toml: is larger than 64 kB"),
    ],
)
def test_what_cannot_be_used_is_said_with_file_and_place(data: bytes, said: str) -> None:
    with pytest.raises(TomlError) as caught:
        read_toml(data, "cat.toml")

    assert caught.value.problems == (said,)


def test_all_values_that_cannot_be_used_are_named() -> None:
    with pytest.raises(TomlError) as caught:
        read_toml(b"a = nan\nb = inf\nc = 1\n[d]\ne = 07:32:00", "cat.toml")

    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        *("cat.toml a", "cat.toml b", "cat.toml [d] e")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a." * 32_000 + "a = 1",
        "a = " + "[" * 65_000,
        "a = " + "{a=" * 16_000,
        "a = " + "9" * 65_000,
        "[[a]]\n" * 10_000,
    ],
    ids=["dots", "lists", "tables", "digits", "array"],
)
def test_hostile_text_is_answered_at_once(text: str) -> None:
    began = time.process_time()

    read_or_refuse(text.encode())

    assert time.process_time() - began < 1.0


@given(st.binary(max_size=300))
@example(b'a = "\\')
@example(b"\xef\xbb\xbf\xff")
def test_no_bytes_raise_anything_but_a_toml_error(data: bytes) -> None:
    read_or_refuse(data)


@given(st.text("ab=[]{}.,\"'#\n 1-", max_size=60))
def test_no_text_raises_anything_but_a_toml_error(text: str) -> None:
    read_or_refuse(text.encode())


def read_or_refuse(data: bytes) -> None:
    try:
        read_toml(data, "cat.toml")
    except TomlError as error:
        assert all(problem.startswith("cat.toml") for problem in error.problems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lens.zoom = 9", "cat.toml [lens] zoom: 9 is not in 1..8"),
        ("lens.steps = 0", "cat.toml [lens] steps: 0 is not at least 1"),
        ("lens.steps = 1.5", "cat.toml [lens] steps: 1.5 is not a whole number"),
        ("lens.steps = true", "cat.toml [lens] steps: true is not a whole number"),
        ("lens.zoom = 'big'", "cat.toml [lens] zoom: 'big' is not a number"),
        ("lens.kind = 'fish'", "cat.toml [lens] kind: 'fish' is not one of 'wide', 'tele'"),
        ("lens.names = 'a'", "cat.toml [lens] names: 'a' is not a list"),
        ("lens.names = ['a', 3]", "cat.toml [lens] names 2: 3 is not text in quotes"),
        ("lens.names = ['a', 'b', 'c']", "cat.toml [lens] names: has more than 2 entries"),
        ("lens.title = 'abcdef'", "cat.toml [lens] title: is longer than 5 characters"),
        ("lens.mount = '../x'", "cat.toml [lens] mount: '../x' is not of the form ^[a-z]+$"),
        ("lens.mirrored = 'yes'", "cat.toml [lens] mirrored: 'yes' is not true or false"),
        ("lens = 3", "cat.toml lens: 3 is not a table"),
        ("lens.zom = 2", "cat.toml [lens] zom: is not known here; did you mean 'zoom'?"),
        ("lense = {}", "cat.toml lense: is not known here; did you mean 'lens'?"),
        ("lens.qqqq = 2", "cat.toml [lens] qqqq: is not known here"),
    ],
)
def test_a_misfit_is_said_with_place_value_and_what_was_allowed(text: str, said: str) -> None:
    assert _complaint(text) == said


def test_all_misfits_are_said_at_once() -> None:
    assert _complaint("lens.zoom = 0\nlens.steps = 0\nlens.zom = 1").count("cat.toml [lens]") == 3


def test_a_strange_key_is_shown_short_and_printable() -> None:
    said = _complaint('"a\\u202e' + "b" * 500 + '" = 1')

    assert said.isprintable()
    assert len(said) < 120


def test_the_file_that_said_a_key_is_named_for_it() -> None:
    with pytest.raises(TomlError) as caught:
        fit({"zoom": 9, "steps": 0}, Lens, lambda key: {"zoom": "a.toml [x]", "steps": "b.toml [x]"}[key])

    assert caught.value.problems == (
        "a.toml [x] zoom: 9 is not in 1..8",
        "b.toml [x] steps: 0 is not at least 1",
    )


def test_a_name_is_suggested_only_when_it_is_near() -> None:
    known = ["settle_seconds", "watch"]

    assert did_you_mean("settle", known) == "; did you mean 'settle_seconds'?"
    assert did_you_mean("Settle-Second", known) == "; did you mean 'settle_seconds'?"
    assert did_you_mean("xyz", known) == ""


def test_a_link_is_refused_where_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a = 1")
    (tmp_path / "cat.toml").symlink_to(tmp_path / "secret")

    with pytest.raises(TomlError, match=r"cat\.toml: is a link; put the file itself here"):
        load_toml(tmp_path / "cat.toml", "cat.toml", follow=False)

    assert load_toml(tmp_path / "cat.toml", "cat.toml") == {"a": 1}


@pytest.mark.parametrize("follow", [True, False])
def test_a_named_pipe_does_not_block(follow: bool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cat.toml")

    with pytest.raises(TomlError, match="is not a regular file"):
        load_toml(tmp_path / "cat.toml", "cat.toml", follow=follow)


def test_a_folder_in_the_files_place_is_said_and_not_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(TomlError, match=r"cat\.toml: is not a regular file"):
        load_toml(tmp_path, "cat.toml")

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_missing_file_is_for_the_caller_to_judge(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_toml(tmp_path / "cat.toml", "cat.toml")


def test_of_an_endless_file_only_the_beginning_is_read(tmp_path: Path) -> None:
    with (tmp_path / "cat.toml").open("wb") as file:
        file.truncate(10**12)

    with pytest.raises(TomlError, match="is larger than 64 kB"):
        load_toml(tmp_path / "cat.toml", "cat.toml")


def test_thousands_of_unknown_keys_are_refused_in_one_sentence() -> None:
    table = read_toml("\n".join(f"k{number} = 1" for number in range(201)).encode(), "cat.toml")

    with pytest.raises(TomlError, match=r"^cat\.toml: has more than 200 keys$"):
        fit(table, Camera, "cat.toml")
