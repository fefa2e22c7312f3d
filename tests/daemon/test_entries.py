"""What is listed of weights: rows and a person's own, files and folders, by names and sizes alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framedaemon.entries import Entry, entry_of, own_entry
from framedaemon.published import Repository
from framedaemon.weights import record_of
from weighty import row_for

ROW = Repository("toy-5b", "a toy", "MIT", "somebody", "somebody/Toy", "main", 126_000_000_000, ("*",))


def _put(models: Path, name: str, size: int = 126_000_000_000, **facts: Any) -> Path:
    """A repository of one huge file, none of which is on the disk."""
    folder = models / name
    folder.mkdir()
    with (folder / "a.safetensors").open("wb") as file:
        file.truncate(126_000_000_000)
    record = {"sha256": "0", "bytes": size, "files": [{"path": "a.safetensors", "bytes": size}], **facts}
    record_of(models, name).write_text(json.dumps(record))
    return folder


def test_a_repository_is_listed_with_its_size_without_being_read(tmp_path: Path) -> None:
    folder = _put(tmp_path, "toy-5b")

    said = entry_of(tmp_path, ROW, "toy")

    assert said == Entry("toy-5b", "toy", "there", 126_000_000_000, "MIT", "a toy", folder)


def test_one_that_is_not_there_is_listed_with_the_size_of_what_would_be_fetched(tmp_path: Path) -> None:
    said = entry_of(tmp_path, ROW, "toy")

    assert (said.state, said.bytes, said.path) == ("missing", ROW.bytes, tmp_path / "toy-5b")


def test_one_whose_files_have_other_sizes_is_damaged(tmp_path: Path) -> None:
    _put(tmp_path, "toy-5b", size=5)

    assert entry_of(tmp_path, ROW, "toy").state == "damaged"


@pytest.mark.parametrize(
    ("facts", "summary"),
    [
        ({"original": "My Wan", "folder": "toy-x"}, "your own, from My Wan"),
        ({"repo": "somebody/Toy"}, "somebody/Toy, as you added it"),
        ({}, "no stage here knows of it"),
    ],
)
def test_what_no_row_speaks_of_says_where_it_is_from(facts: dict[str, str], summary: str, tmp_path: Path) -> None:
    _put(tmp_path, "toy-x", **facts)

    assert (own_entry(tmp_path, "toy-x").summary, own_entry(tmp_path, "toy-x").state) == (summary, "there")


def test_a_file_is_listed_beside_them(tmp_path: Path) -> None:
    (tmp_path / "toy-1.safetensors").write_bytes(b"12345")
    record_of(tmp_path, "toy-1").write_text('{"bytes": 5}')

    assert (entry_of(tmp_path, row_for(b"1"), "toy").state, own_entry(tmp_path, "toy-1").bytes) == ("there", 5)
