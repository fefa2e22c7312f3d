"""Rows say what can be: names of files, hashes, addresses of the web, repositories of a hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes import Blend
from framedaemon.published import (
    Completes,
    Download,
    Repository,
    TakesFiles,
    TakesFolders,
    Weighted,
    Weights,
    WheelMember,
    rows_of,
)

ROW = Weights(
    name="toy-1",
    summary="a toy",
    licence="MIT",
    credit="nobody",
    bytes=8,
    sha256="0" * 64,
    sources=(WheelMember("toy", "1.0", "toy/net.pkl"), Download("https://example.org/net.pkl")),
    read=lambda path: {},
)


REPOSITORY = Repository(
    name="toy-5b",
    summary="a toy",
    licence="Apache-2.0",
    credit="nobody",
    repo="somebody/Toy-5B",
    revision="main",
    bytes=14,
    files=("model_index.json", "vae/*"),
)


@pytest.mark.parametrize("name", ["", "Rife", "../x", "a/b", ".hidden", "x" * 65, "x\n"])
def test_a_name_that_is_none_for_a_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name for weights"):
        replace(ROW, name=name)


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 63}, {"sha256": "G" * 64}, {"bytes": 0}])
def test_a_row_says_what_a_file_can_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="toy-1"):
        replace(ROW, **wrong)


def test_a_download_is_from_the_web() -> None:
    with pytest.raises(ValueError, match="file:///etc/passwd is no https address"):
        Download("file:///etc/passwd")


@pytest.mark.parametrize("wrong", [{"repo": "Toy-5B"}, {"repo": "a/b/c"}, {"files": ()}, {"name": "../toy"}])
def test_a_row_of_a_repository_says_which_and_what_of_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(REPOSITORY, **wrong)


def test_a_stage_without_a_word_on_weights_has_none() -> None:
    assert rows_of(Blend()) == ()
    assert not isinstance(Blend(), Weighted)


def test_what_a_stage_can_do_with_weights_is_seen_from_its_methods() -> None:
    assert isinstance(Learned(), Weighted)
    assert rows_of(Learned()) == (ROW,)
    assert not isinstance(Learned(), TakesFiles | TakesFolders | Completes)


class Learned(Blend):
    """A stage that is loaded from weights."""

    weights = (ROW,)

    def chosen_weights(self, models: Path, options: Any) -> tuple[str, ...]:
        return (ROW.name,)
