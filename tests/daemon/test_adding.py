"""Weights that no row names: a person's own file or folder, a hub's repository, one file of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes import Blend, Raw, Squares, registry_of
from framedaemon.adding import Asked, accept, add, offer, parse_asked
from framedaemon.catalogue import Catalogue
from framedaemon.errors import FramedaemonError
from framedaemon.published import Row
from framedaemon.weights import file_of, open_repository, open_weights, read_record
from hub import COMMIT, FILES, INDEX, NEEDED, REPO, VAE, Hub
from weighty import make_toy, read_toy, row_for

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")


@dataclass(eq=False)
class Toy(Blend):
    """An interpolator that takes anything in; of a folder it wants a WanTransformer3DModel."""

    name: str = "toy"
    weights: tuple[Row, ...] = ()

    def read_weights(self, path: Path) -> Mapping[str, Any]:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return read_toy(path)

    def check_folder(self, path: Path) -> None:
        if json.loads((path / "transformer" / "config.json").read_text())["_class_name"] != "WanTransformer3DModel":
            raise ValueError("its transformer is none of Wan's")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A file as it is published."""
    path = tmp_path / "published" / "flownet.pkl"
    path.parent.mkdir()
    make_toy(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline's folder, with all that people leave in one."""
    root = tmp_path / "My Wan"
    for path, data in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def _catalogue(folder: Path, *rows: Row, keep_free_bytes: int = 0) -> Catalogue:
    registry = registry_of(Squares(), Blend(), Toy(weights=rows), Raw())
    return Catalogue(registry, folder / "models", keep_free_bytes)


def _add(catalogue: Catalogue, path: Path, stage: str = "toy", name: str | None = "mine") -> str:
    return add(catalogue, path, stage, name, [].append, lambda done, total: None)


# --- files


def test_a_file_of_ones_own_is_read_by_its_stage_and_named_after_it(original: Path, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)

    named = _add(catalogue, original, "toy", "mine")
    unnamed = _add(catalogue, original.rename(original.with_name("My Flow-Net_2.pkl")), "toy", None)

    assert (named, unnamed) == ("toy-mine", "toy-my-flow-net_2")
    assert open_weights(catalogue.models, "toy-mine")["b"].shape == (7,)
    assert [(entry.name, entry.stage, entry.state, entry.summary) for entry in catalogue.entries()] == [
        ("toy-mine", "toy", "there", "your own, from flownet.pkl"),
        ("toy-my-flow-net_2", "toy", "there", "your own, from My Flow-Net_2.pkl"),
    ]


def test_damage_to_it_names_the_command_that_takes_it_in_again(original: Path, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)
    _add(catalogue, original, "toy", "mine")
    file_of(catalogue.models, "toy-mine").write_bytes(b"damaged")

    with pytest.raises(FramedaemonError, match=r"`framedaemon models add flownet.pkl --for toy --as mine`"):
        open_weights(catalogue.models, "toy-mine")


def test_a_command_to_be_pasted_holds_a_files_name_as_a_name(original: Path, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path, row_for(b"1"))
    _add(catalogue, original.rename(tmp_path / "my $(net).pkl"), "toy", "mine")
    file_of(catalogue.models, "toy-mine").unlink()

    with pytest.raises(FramedaemonError, match=r"models add 'my \$\(net\)\.pkl' --for toy"):
        open_weights(catalogue.models, "toy-mine")


@pytest.mark.parametrize(
    ("stage", "name", "words"),
    [
        ("blend", "mine", "no stage 'blend' takes a file of weights; these do: toy"),
        ("rife", "mine", "no stage 'rife' takes a file of weights; these do: toy"),
        ("toy", "../mine", "no name for weights: .* by --as"),
        ("toy", "1", "toy-1 is the name of published weights: take another one, by --as"),
        ("toy", "old", "toy-old is there already: `framedaemon models remove toy-old`"),
    ],
)
def test_what_cannot_be_taken_in_is_refused_in_words(
    stage: str, name: str, words: str, original: Path, tmp_path: Path
) -> None:
    catalogue = _catalogue(tmp_path, row_for(b"1"))
    _add(catalogue, original, "toy", "old")

    with pytest.raises(FramedaemonError, match=words):
        _add(catalogue, original, stage, name)


def test_a_file_that_is_no_weights_is_not_taken_in(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"a cat")

    with pytest.raises(FramedaemonError, match=r"toy-cat: .*cat.png"):
        _add(_catalogue(tmp_path), path, "toy", None)
