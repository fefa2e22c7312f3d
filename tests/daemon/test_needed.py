"""Which files of a repository are fetched: each network once, in a form that runs nothing."""

from __future__ import annotations

import json

import pytest

from framedaemon.needed import needed_files, patterns_of
from hub import FILES, INDEX, NEEDED

ALL = ("*",)


def test_of_a_repository_only_what_loads_it_is_needed() -> None:
    """No pickle beside safetensors, no original in one file, no page about it."""
    assert needed_files(FILES, patterns_of(json.dumps(INDEX))) == sorted(NEEDED)


def test_an_index_needs_itself_and_the_folders_of_the_networks_it_has() -> None:
    assert patterns_of(json.dumps(INDEX)) == ("model_index.json", "vae/*", "transformer/*")


@pytest.mark.parametrize(
    ("index", "words"), [("{", "cannot be read"), ("[]", "names no network"), ('{"vae": [null, null]}', "names no net")]
)
def test_what_is_no_index_is_said(index: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        patterns_of(index)


def test_an_index_cannot_point_out_of_its_folder() -> None:
    index = json.dumps({"../etc": ["a", "b"], "..": ["a", "b"], "/": ["a", "b"], "vae": ["a", "b"]})

    assert patterns_of(index) == ("model_index.json", "vae/*")


@pytest.mark.parametrize(
    "path", ["../x.json", "vae/../../x.json", "/etc/x.json", "a//x.json", ".git/x.json", "a\\x.json"]
)
def test_a_path_that_leads_elsewhere_or_is_hidden_is_never_taken(path: str) -> None:
    assert needed_files([path, "vae/config.json"], ALL) == ["vae/config.json"]


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        (["a/model.safetensors", "a/model.fp16.safetensors"], ["a/model.safetensors"]),
        (["a/model.fp16.safetensors", "a/model.bf16.safetensors"], ["a/model.bf16.safetensors"]),
        (["a/model.int8.safetensors"], ["a/model.int8.safetensors"]),
        (
            ["a/model.safetensors", "a/model-00001-of-00001.safetensors", "a/model.safetensors.index.json"],
            ["a/model-00001-of-00001.safetensors", "a/model.safetensors.index.json"],
        ),
        (
            [
                "a/m-00001-of-00001.safetensors",
                "a/m.safetensors.index.json",
                "a/m.fp16-00001-of-00001.safetensors",
                "a/m-00001-of-00001.fp16.safetensors",
                "a/m.safetensors.index.fp16.json",
            ],
            ["a/m-00001-of-00001.safetensors", "a/m.safetensors.index.json"],
        ),
        (["a/model.safetensors", "b/model.fp16.safetensors"], ["a/model.safetensors", "b/model.fp16.safetensors"]),
        (["a/model.safetensors", "a/pytorch_model.bin", "a/pytorch_model.bin.index.json"], ["a/model.safetensors"]),
        (["a/model.safetensors", "a/flax_model.msgpack", "a/model.onnx", "a/run.py"], ["a/model.safetensors"]),
        (["t/spiece.model", "t/vocab.json", "t/merges.txt"], ["t/merges.txt", "t/spiece.model", "t/vocab.json"]),
    ],
    ids=["precision", "best precision", "only precision", "shards", "old names of shards", "each folder for itself",
         "pickle", "other formats", "tokenizer"],
)  # fmt: skip
def test_the_same_weights_are_taken_once(there: list[str], kept: list[str]) -> None:
    assert needed_files(there, ALL) == kept


def test_a_network_that_is_published_as_a_pickle_only_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a/diffusion_pytorch_model\.bin is a pickle, which may run anything"):
        needed_files(["a/config.json", "a/diffusion_pytorch_model.bin", "b/model.safetensors"], ALL)


def test_a_pickle_that_nothing_asks_for_is_no_matter() -> None:
    assert needed_files(["old/net.ckpt", "a/model.safetensors"], ("a/*",)) == ["a/model.safetensors"]
