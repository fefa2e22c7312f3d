"""Rows of weights, the folder they lie in, and that what is opened is what was stored."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framedaemon.errors import StageFailed
from framedaemon.published import Download, Repository, Weights, WheelMember
from framedaemon.weights import (
    choose_weights,
    fault_of,
    file_of,
    find_weights,
    how_to_get,
    models_folder,
    open_repository,
    open_weights,
    record_of,
    tensor_sizes,
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


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A folder with a file of weights and its record, as they are stored."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    save_file = pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file
    save_file({"w": torch.arange(6.0).reshape(2, 3)}, file_of(tmp_path, "toy-1"))
    _record(tmp_path, "toy-1")
    return tmp_path


def _record(models: Path, name: str, **facts: Any) -> None:
    sha256 = hashlib.sha256(file_of(models, name).read_bytes()).hexdigest()
    record_of(models, name).write_text(json.dumps({"sha256": sha256, **facts}))


def test_a_folder_that_is_chosen_is_taken_and_a_relative_one_lies_in_the_instance(tmp_path: Path) -> None:
    assert models_folder("/srv/models", tmp_path, {}) == Path("/srv/models")
    assert models_folder("models", tmp_path, {}) == tmp_path / "models"
    assert models_folder("~/models", tmp_path, {}) == Path("~/models").expanduser()


def test_else_it_is_the_cache_of_the_user(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}

    assert models_folder("", Path("/i"), home) == tmp_path / ".cache" / "framedaemon" / "models"
    assert models_folder("", Path("/i"), home | {"XDG_CACHE_HOME": "/cache"}) == Path("/cache/framedaemon/models")
    assert models_folder("", Path("/i"), home | {"XDG_CACHE_HOME": "x"}) == models_folder("", Path("/i"), home)


@pytest.mark.parametrize("home", ["/nonexistent", "/proc/1/nowhere"])
def test_a_user_without_a_home_has_them_in_the_instance(home: str, tmp_path: Path) -> None:
    assert models_folder("", tmp_path, {"HOME": home}) == tmp_path / "tmp" / "models"


def test_a_home_of_somebody_else_is_none(tmp_path: Path, give_away: Callable[[Path], None]) -> None:
    """systemd gives a service of no fixed user the home ``/``."""
    other = tmp_path / "home"
    other.mkdir()
    give_away(other)

    assert models_folder("", tmp_path, {"HOME": str(other)}) == tmp_path / "tmp" / "models"
    models = other / ".cache" / "framedaemon" / "models"
    models.mkdir(parents=True)
    assert models_folder("", tmp_path, {"HOME": str(other)}) == models, "systemd's ProtectHome=tmpfs hides all but this"


def test_weights_are_found_by_their_name(stored: Path) -> None:
    assert find_weights(stored, "toy-1") == stored / "toy-1.safetensors"
    assert find_weights(stored, "toy-2") is None
    assert find_weights(stored / "not there", "toy-1") is None


def test_a_name_never_leads_out_of_the_folder(stored: Path) -> None:
    with pytest.raises(ValueError, match="no name for weights"):
        find_weights(stored / "inner", "../toy-1")


def test_what_was_stored_is_opened(stored: Path) -> None:
    tensors = open_weights(stored, "toy-1")

    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {"w": [[0, 1, 2], [3, 4, 5]]}


def test_missing_weights_name_the_command_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(
        StageFailed, match=r"the weights toy-1 are missing; `framedaemon models pull toy-1` puts it right"
    ):
        open_weights(tmp_path, "toy-1")


def test_a_file_in_which_one_bit_turned_is_not_opened(stored: Path) -> None:
    path = file_of(stored, "toy-1")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    with pytest.raises(StageFailed, match=r"toy-1.safetensors is damaged: .*; `framedaemon models pull toy-1`"):
        open_weights(stored, "toy-1")


def test_a_file_is_hashed_again_once_it_was_touched(stored: Path) -> None:
    path = file_of(stored, "toy-1")
    assert fault_of(stored, "toy-1") is None
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))

    assert "damaged" in str(fault_of(stored, "toy-1"))


@pytest.mark.parametrize("record", [None, "", "[]", "{}", "3"])
def test_a_file_that_nobody_vouches_for_is_not_opened(record: str | None, stored: Path) -> None:
    record_of(stored, "toy-1").unlink()
    if record is not None:
        record_of(stored, "toy-1").write_text(record)

    with pytest.raises(StageFailed, match="has no record beside it"):
        open_weights(stored, "toy-1")


@pytest.mark.parametrize(
    ("there", "word", "name"),
    [
        ((), "auto", "net-1"),
        (("net-2", "net-1"), "auto", "net-1"),
        (("net-2", "net-0"), "auto", "net-2"),
        (("net-own", "net-mine", "other-2"), "auto", "net-mine"),
        (("net-1",), "own", "net-own"),
        (("net-1",), "net-2", "net-2"),
    ],
    ids=["none", "first", "second", "own", "short", "whole"],
)
def test_a_recipes_word_for_weights_means_one_name(
    tmp_path: Path, there: tuple[str, ...], word: str, name: str
) -> None:
    rows = [replace(ROW, name="net-1"), replace(ROW, name="net-2")]
    written = [(file_of(tmp_path, one).touch(), _record(tmp_path, one)) for one in there]

    assert choose_weights(tmp_path, "net", rows, word) == name, written


def test_what_lies_in_the_folder_without_a_record_or_a_name_is_not_taken_unasked(tmp_path: Path) -> None:
    (tmp_path / "net-Big One.safetensors").touch()
    (tmp_path / "net-copied.safetensors").touch()

    assert choose_weights(tmp_path, "net", [replace(ROW, name="net-1")], "auto") == "net-1"


# --- repositories


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


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A models folder with a repository and its record."""
    _write_repository(tmp_path / "toy-5b")
    _record_repository(tmp_path)
    return tmp_path


def _write_repository(folder: Path) -> None:
    (folder / "vae").mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    (folder / "vae" / "model.safetensors").write_text("12 bytes all")


def _record_repository(models: Path, name: str = "toy-5b", **facts: Any) -> None:
    files = [{"path": "model_index.json", "bytes": 2}, {"path": "vae/model.safetensors", "bytes": 12}]
    record_of(models, name).write_text(json.dumps({"sha256": "0" * 64, "files": files, **facts}))


def test_a_repository_is_opened_as_its_folder(repository: Path) -> None:
    assert find_weights(repository, "toy-5b") == repository / "toy-5b"
    assert open_repository(repository, "toy-5b") == repository / "toy-5b"


def test_a_folder_without_a_record_is_no_repository(repository: Path) -> None:
    record_of(repository, "toy-5b").unlink()

    assert find_weights(repository, "toy-5b") is None
    with pytest.raises(StageFailed, match="toy-5b are missing; `framedaemon models pull toy-5b` puts it right"):
        open_repository(repository, "toy-5b")


def test_a_record_whose_folder_is_gone_is_no_repository(repository: Path) -> None:
    (repository / "toy-5b").rename(repository / "moved")

    assert find_weights(repository, "toy-5b") is None
    with pytest.raises(StageFailed, match="the folder of toy-5b is missing; `framedaemon models pull toy-5b`"):
        open_repository(repository, "toy-5b")


def test_a_folder_of_a_persons_own_is_opened_where_it_is(tmp_path: Path) -> None:
    models, theirs = tmp_path / "models", tmp_path / "their folder"
    models.mkdir()
    _write_repository(theirs)
    _record_repository(models, folder=str(theirs))

    assert find_weights(models, "toy-5b") == theirs
    assert open_repository(models, "toy-5b") == theirs


def test_a_file_of_a_repository_that_is_missing_or_of_another_size_is_said(repository: Path) -> None:
    path = repository / "toy-5b" / "vae" / "model.safetensors"
    path.write_text("shorter")
    shorter = fault_of(repository, "toy-5b")
    path.unlink()
    missing = fault_of(repository, "toy-5b")

    assert shorter == "toy-5b is damaged: vae/model.safetensors has 7 bytes and should have 12"
    assert missing == "toy-5b is damaged: vae/model.safetensors is missing"


def test_a_single_file_is_no_folder(stored: Path) -> None:
    with pytest.raises(StageFailed, match=r"toy-1 is a file of weights, and a folder with a model_index\.json is need"):
        open_repository(stored, "toy-1")


def test_auto_takes_a_pipeline_where_rows_are_repositories(repository: Path, stored: Path) -> None:
    """LoRA files lie there under the stage's name too, one or several, and are no model."""
    record_of(repository, "toy-0-fast").write_text(json.dumps({"sha256": "0", "files": [{"path": "a.safetensors"}]}))
    (repository / "toy-0-fast").mkdir()
    _record_repository(repository, "toy-zz", folder=str(repository / "toy-5b"))

    assert choose_weights(repository, "toy", [replace(REPOSITORY, name="toy-14b")], "auto") == "toy-5b"
    assert choose_weights(repository, "toy", [replace(ROW, name="toy-4")], "auto") == "toy-1"


def test_a_stage_without_rows_takes_a_pipeline_of_a_persons_own(repository: Path, tmp_path: Path) -> None:
    assert choose_weights(repository, "toy", [], "auto") == "toy-5b"
    assert choose_weights(tmp_path / "none", "toy", [], "auto") == "toy-auto"


def test_what_is_missing_is_said_with_the_command_that_brings_it(repository: Path, tmp_path: Path) -> None:
    _record_repository(tmp_path, "toy-mine", folder="/gone", original="my models", stage="toy")
    _record_repository(tmp_path, "toy-hub", folder="gone", stage="toy", repo="somebody/Toy")

    assert [how_to_get(tmp_path, name, "toy", [REPOSITORY]) for name in ("toy-5b", "toy-mine", "toy-hub", "toy-x")] == [
        "`framedaemon models pull toy-5b` brings it",
        "`framedaemon models remove toy-mine` and then "
        "`framedaemon models add 'my models' --for toy --as mine` brings it",
        "`framedaemon models pull toy-hub` brings it",
        "`framedaemon models list` shows what there is, and `framedaemon models add PATH --for toy --as x` takes in "
        "what is yours",
    ]


# --- headers


def _header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def test_a_header_tells_how_large_tensors_are(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(_header(b'{"__metadata__": {"format": "pt"}, "a": {"shape": [2, 3], "data_offsets": [4, 16]}}'))

    assert tensor_sizes(path) == {"a": (6, 12)}


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 3, struct.pack("<Q", 1 << 60), _header(b"[]"), _header(b'{"a": 1}'), _header(b'{"a": {}}')]
)
def test_a_header_that_is_none_is_said_by_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "vae" / "m.safetensors"
    path.parent.mkdir()
    path.write_bytes(data)

    with pytest.raises(ValueError, match=r"^vae/m\.safetensors is damaged$"):
        tensor_sizes(path)
