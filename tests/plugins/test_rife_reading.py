"""Published files are read by our names, and told apart by their shapes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from framedaemon.errors import FramedaemonError
from framedaemon.storing import read
from framedaemon_rife.network.reading import read_weights
from framedaemon_rife.network.versions import VERSIONS, Version, recognise
from rife_plain import make_weights

LATEST, OLDER, OLDEST = VERSIONS

EACH = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


def publish(version: Version, weights: dict[str, Tensor], wrapped: bool = True) -> dict[str, Tensor]:
    """By the names of Practical-RIFE's files, with what only training needs."""
    published = {}
    for name, tensor in weights.items():
        part = name.split(".")
        kind = part[-1]
        if part[0] == "head":
            called = f"encode.cnn{part[1]}.{kind}"
        elif part[2] == "down":
            called = f"block{part[1]}.conv0.{part[3]}." + ("1.weight" if kind == "slope" else f"0.{kind}")
        elif part[2] == "up":
            called = f"block{part[1]}.lastconv." + (f"0.{kind}" if version.shuffled else kind)
        elif version.residual:
            called = f"block{part[1]}.convblock.{part[3]}." + ("beta" if kind == "beta" else f"conv.{kind}")
        else:
            called = f"block{part[1]}.convblock.{part[3]}." + ("1.weight" if kind == "slope" else f"0.{kind}")
        published[f"module.{called}" if wrapped else called] = tensor
    return published | {"module.caltime.0.weight": torch.zeros(1), "module.teacher.conv0.0.0.bias": torch.zeros(1)}


@EACH
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_published_file_is_read_by_our_names(version: Version, wrapped: bool, tmp_path: Path) -> None:
    weights = make_weights(version)
    torch.save(publish(version, weights, wrapped), tmp_path / "flownet.pkl")

    read = read_weights(tmp_path / "flownet.pkl")

    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)


@EACH
def test_the_version_is_told_by_the_shapes(version: Version) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in make_weights(version).items()}

    assert recognise(shapes) is version


def test_what_was_read_can_be_read_again_as_safetensors_in_half_precision(tmp_path: Path) -> None:
    weights = {name: tensor.half() for name, tensor in make_weights(LATEST).items()}
    save_file(weights, tmp_path / "mine.safetensors")

    found = read_weights(tmp_path / "mine.safetensors")

    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert recognise({name: tuple(tensor.shape) for name, tensor in found.items()}) is LATEST


def test_a_version_that_is_not_in_the_table_is_refused_with_those_that_are(tmp_path: Path) -> None:
    weights = make_weights(OLDER)
    del weights["blocks.3.body.7.beta"]
    torch.save(publish(OLDER, weights), tmp_path / "flownet.pkl")

    with pytest.raises(ValueError, match=r"flownet\.pkl holds none of the versions .*: 4\.25, 4\.26, 4\.6, 4\.0"):
        read_weights(tmp_path / "flownet.pkl")


@pytest.mark.parametrize("held", [["a", "list"], {"epoch": 3}, {"state_dict": {}}])
def test_a_pickle_of_something_else_is_refused(held: Any, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "flownet.pkl")

    with pytest.raises(ValueError, match=r"flownet\.pkl holds"):
        read_weights(tmp_path / "flownet.pkl")


class Trap:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path("sprung").touch, ())


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flownet.pkl").write_bytes(pickle.dumps({"block0": Trap()}, protocol=2))

    with pytest.raises(FramedaemonError, match=r"rife-mine: .*flownet\.pkl cannot be read: .* may run anything"):
        read("rife-mine", read_weights, tmp_path / "flownet.pkl")

    assert not (tmp_path / "sprung").exists()


def test_a_file_that_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flownet.pkl").write_bytes(b"<html>not found</html>")

    with pytest.raises(FramedaemonError, match=r"rife-mine: .*flownet\.pkl cannot be read: .* may run anything"):
        read("rife-mine", read_weights, tmp_path / "flownet.pkl")
