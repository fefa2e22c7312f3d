"""What a stage read becomes a file that is its record's, whatever interrupts the writing."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framedaemon import storing
from framedaemon.errors import DiskFull, FramedaemonError
from framedaemon.storing import how_to_install, missing_packages, read, refuse_without_packages, store
from framedaemon.weights import fault_of, file_of, open_weights, read_record
from weighty import make_toy, read_toy

torch = pytest.importorskip("torch", reason="torch is not installed")
safe_open = pytest.importorskip("safetensors", reason="safetensors is not installed").safe_open
FACTS = {"stage": "toy", "licence": "MIT"}


def test_what_is_stored_can_be_opened_and_says_where_it_came_from(tmp_path: Path) -> None:
    path = store(tmp_path, "toy-1", {"w": torch.arange(3.0)}, FACTS)

    assert open_weights(tmp_path, "toy-1")["w"].tolist() == [0, 1, 2]
    with safe_open(path, "pt") as file:
        assert file.metadata().items() >= {"name": "toy-1", **FACTS}.items()
    assert read_record(tmp_path, "toy-1").items() >= {"bytes": path.stat().st_size, **FACTS}.items()
    assert {entry.name for entry in tmp_path.iterdir()} == {"toy-1.safetensors", "toy-1.json"}


def test_where_writing_stops_between_record_and_file_nothing_is_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, "toy-1", {"w": torch.zeros(3)}, FACTS)
    write = storing.write_atomically

    def stop(path: Path, data: bytes) -> None:
        if path.suffix == ".safetensors":
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(storing, "write_atomically", stop)
    for name in ("toy-1", "toy-2"):
        with pytest.raises(KeyboardInterrupt):
            store(tmp_path, name, {"w": torch.ones(3)}, FACTS)

    assert "damaged" in str(fault_of(tmp_path, "toy-1"))
    assert "missing" in str(fault_of(tmp_path, "toy-2"))


def test_a_full_disk_leaves_nothing_that_looks_whole(tmp_path: Path, mount: Callable[..., None]) -> None:
    mount(tmp_path, "-t", "tmpfs", "-o", "size=64k", "framedaemon-test")

    with pytest.raises(DiskFull, match="make room and try again"):
        store(tmp_path, "toy-1", {"w": torch.zeros(100_000)}, FACTS)

    assert not file_of(tmp_path, "toy-1").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["toy-1.json"]


def test_tensors_that_are_views_of_each_other_are_read_as_their_own(tmp_path: Path) -> None:
    make_toy(tmp_path / "net.pkl", 10)

    tensors = read("toy-1", read_toy, tmp_path / "net.pkl")

    assert store(tmp_path, "toy-1", tensors, FACTS).is_file()
    assert tensors["b"].tolist() == tensors["w"][:7].tolist()


class _Evil:
    """What a pickle can do to whoever opens it without care."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("/tmp/framedaemon-was-here"),)


@pytest.mark.parametrize("reader", [read_toy, lambda path: torch.load(path, weights_only=True)])
def test_a_pickle_that_would_run_something_is_refused(reader: Any, tmp_path: Path) -> None:
    """And nobody is told torch's own advice, which is to open it all the same."""
    path = tmp_path / "net.pkl"
    torch.save({"module.w": _Evil()}, path)

    with pytest.raises(FramedaemonError, match=r"toy-1: .*net.pkl .*holds more than tensors") as caught:
        read("toy-1", reader, path)

    assert "weights_only" not in str(caught.value)
    assert not Path("/tmp/framedaemon-was-here").exists()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "holds no tensors"),
        ([1], "holds no tensors"),
        ({"w": 3}, "something else than tensors: w"),
    ],
)
def test_a_reader_that_gives_no_tensors_is_found_out(said: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(FramedaemonError, match=words):
        read("toy-1", lambda path: said, tmp_path)


def test_a_reader_that_breaks_is_named(tmp_path: Path) -> None:
    def reader(path: Path) -> Any:
        raise pickle.PickleError("odd")

    with pytest.raises(FramedaemonError, match=r"toy-1: .* cannot be read: PickleError: odd"):
        read("toy-1", reader, tmp_path)


def test_without_torch_the_command_that_brings_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "find_spec", lambda name: None)

    assert missing_packages() == ["torch", "safetensors"]
    with pytest.raises(FramedaemonError, match="toy-1 cannot be read without torch and safetensors: `pip install "):
        refuse_without_packages("toy-1", "toy")


def test_a_stage_with_an_extra_of_its_own_names_it() -> None:
    assert how_to_install("heif") == "pip install 'framedaemon[heif]'"
    assert how_to_install("toy") == "pip install torch safetensors"


def test_a_record_is_plain_json(tmp_path: Path) -> None:
    store(tmp_path, "toy-1", {"w": torch.zeros(1)}, {"original": "Größe.pkl"})

    assert json.loads((tmp_path / "toy-1.json").read_bytes().decode("ascii"))["original"] == "Größe.pkl"
