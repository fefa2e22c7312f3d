"""Weights that no row names: a person's own file or folder, a hub's repository, one file of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes import Blend, Raw, Squares, registry_of
from framedaemon import storing
from framedaemon.adding import Asked, accept, add, offer, parse_asked
from framedaemon.catalogue import Catalogue
from framedaemon.errors import FramedaemonError
from framedaemon.published import Row
from framedaemon.weights import file_of, open_repository, open_weights, read_record
from hub import COMMIT, FILES, NEEDED, REPO, VAE, Hub
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


# --- folders


def test_a_folder_stays_where_it_is_and_is_listed(folder: Path, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)

    assert _add(catalogue, folder, name=None) == "toy-my-wan"
    assert open_repository(catalogue.models, "toy-my-wan") == folder
    (entry,) = catalogue.entries()
    assert (entry.state, entry.path, entry.summary) == ("there", folder, "your own, from My Wan")
    assert entry.bytes == sum(len(FILES[path]) for path in NEEDED)


def test_a_folder_that_went_away_is_said_with_the_command_that_takes_it_in_again(folder: Path, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)
    _add(catalogue, folder)
    folder.rename(tmp_path / "elsewhere")

    assert [entry.state for entry in catalogue.entries()] == ["missing"]
    with pytest.raises(
        FramedaemonError, match=r"models remove toy-mine` and then `framedaemon models add 'My Wan' --f"
    ):
        open_repository(catalogue.models, "toy-mine")


def test_a_folder_that_its_stage_cannot_use_is_refused_in_its_words(folder: Path, tmp_path: Path) -> None:
    (folder / "transformer" / "config.json").write_text('{"_class_name": "LTXVideoTransformer3DModel"}')

    with pytest.raises(FramedaemonError, match="toy cannot use that: its transformer is none of Wan's"):
        _add(_catalogue(tmp_path), folder)


@pytest.mark.parametrize(
    ("stage", "name", "words"),
    [
        ("blend", "mine", "no stage 'blend' takes a whole repository; these do: toy"),
        ("toy", "old", "toy-old is there already: `framedaemon models remove toy-old`"),
    ],
)
def test_a_folder_is_refused_as_a_file_is(stage: str, name: str, words: str, folder: Path, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)
    _add(catalogue, folder, name="old")

    with pytest.raises(FramedaemonError, match=words):
        _add(catalogue, folder, stage, name)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FramedaemonError, match=r"has no model_index\.json: that is no folder of a diffusers pipeline"):
        _add(_catalogue(tmp_path), tmp_path)


# --- of a hub


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("somebody/Toy-5B", Asked(REPO)),
        ("somebody/Toy-5B@v1.0", Asked(REPO, "v1.0")),
        ("somebody/Toy-5B:loras/fast.safetensors", Asked(REPO, "main", "loras/fast.safetensors")),
        ("somebody/Toy-5B@v1.0:fast.safetensors", Asked(REPO, "v1.0", "fast.safetensors")),
        ("flownet.pkl", None),
        ("/data/models/wan", None),
        ("a/b/c", None),
        ("https://example.org/a", None),
    ],
)
def test_what_is_asked_of_a_hub_is_read(words: str, asked: Asked | None) -> None:
    assert parse_asked(words) == asked


def test_a_repository_is_offered_with_its_licence_and_size_before_its_weights_are_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    offered = offer(_catalogue(tmp_path), Asked(REPO), "toy", "ltx")

    row = offered.row
    assert (row.name, row.licence, row.credit) == ("toy-ltx", "apache-2.0", "published by somebody")
    assert row.bytes == sum(len(FILES[path]) for path in NEEDED)
    assert {path for path, _ in hub.fetched()} == {"model_index.json", "vae/config.json", "transformer/config.json"}


def test_what_was_accepted_is_fetched_and_can_be_pulled_by_its_name_again(hub: Hub, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)

    path = accept(catalogue, offer(catalogue, Asked(REPO), "toy", "ltx"), [].append, lambda done, total: None)
    (path / VAE).unlink()
    damaged = catalogue.entries()[0]
    catalogue.pull(catalogue.row("toy-ltx"), [].append, lambda done, total: None)

    assert (damaged.state, damaged.licence) == ("damaged", "apache-2.0")
    assert open_repository(catalogue.models, "toy-ltx") == path
    assert catalogue.entries()[0].summary == "somebody/Toy-5B, as you added it"
    assert read_record(catalogue.models, "toy-ltx")["revision"] == COMMIT


def test_a_repository_that_the_stage_cannot_use_is_refused_before_its_weights_are_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    hub.files["transformer/config.json"] = b'{"_class_name": "LTXVideoTransformer3DModel"}'

    with pytest.raises(FramedaemonError, match="its transformer is none of Wan's"):
        offer(_catalogue(tmp_path), Asked(REPO), "toy", None)

    assert VAE not in dict(hub.fetched())


def test_a_repository_of_no_pipeline_is_refused(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model_index.json"]

    with pytest.raises(FramedaemonError, match=r"Toy-5B has no model_index\.json: that is no repository of a diffuser"):
        offer(_catalogue(tmp_path), Asked(REPO), "toy", None)


def test_one_file_of_a_repository_is_read_by_the_stage_and_stored(hub: Hub, tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)
    hub.files["loras/Fast High.safetensors"] = _safetensors()

    offered = offer(catalogue, Asked(REPO, file="loras/Fast High.safetensors"), "toy", None)
    path = accept(catalogue, offered, [].append, lambda done, total: None)

    assert path == file_of(catalogue.models, "toy-fast-high")
    assert open_weights(catalogue.models, "toy-fast-high")["w"].tolist() == [1, 2]
    record = read_record(catalogue.models, "toy-fast-high")
    assert record["original"] == f"{REPO}@{COMMIT}:loras/Fast High.safetensors"
    assert record["licence"] == "apache-2.0"
    assert [left.name for left in (catalogue.models / ".pulling").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("vae/diffusion_pytorch_model.bin", "of a hub's single files only those in safetensors are taken"),
        ("loras/none.safetensors", r"Toy-5B has no loras/none\.safetensors at main"),
    ],
)
def test_a_file_that_is_none_is_refused(file: str, words: str, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(FramedaemonError, match=words):
        offer(_catalogue(tmp_path), Asked(REPO, file=file), "toy", None)


def test_without_huggingface_hub_the_command_that_brings_it_is_said(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "find_spec", lambda name: None)

    with pytest.raises(
        FramedaemonError, match="cannot be fetched without huggingface_hub: `pip install huggingface_hub`"
    ):
        offer(_catalogue(tmp_path), Asked(REPO), "toy", "ltx")


def _safetensors() -> bytes:
    import torch
    from safetensors.torch import save

    return save({"w": torch.tensor([1.0, 2.0])})
