"""What a denoise leaves on disk: whole, of this very job, or not taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from framedaemon import DiskFull  # noqa: E402
from framedaemon.diffusion import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "denoise.safetensors"


def test_a_checkpoint_comes_back_with_its_tensors_numbers_and_gaps(path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    state = {
        "outputs": [None, shared, shared],
        "order": 2,
        "sample": shared.to(torch.bfloat16),
        "index": torch.tensor(4),
    }

    write_checkpoint(path, "k", Checkpoint({"latents": shared}, {"step": 3, "state": state}))
    again = read_checkpoint(path, "k")

    assert again is not None
    assert torch.equal(again.tensors["latents"], shared)
    assert list(again.tensors) == ["latents"]
    assert again.facts["step"] == 3
    assert again.facts["state"]["outputs"][0] is None
    assert torch.equal(again.facts["state"]["outputs"][2], shared)
    assert again.facts["state"]["sample"].dtype == torch.bfloat16
    assert again.facts["state"]["index"].ndim == 0


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_what_is_not_there_or_not_whole_is_none(path: Path, spoil: Callable[[Path], Any]) -> None:
    write_checkpoint(path, "k", Checkpoint({"latents": torch.ones(5)}))

    spoil(path)

    assert read_checkpoint(path, "k") is None


def test_a_checkpoint_of_something_else_is_none(path: Path) -> None:
    write_checkpoint(path, "k", Checkpoint({"latents": torch.ones(5)}))

    assert read_checkpoint(path, "another") is None


def test_a_newer_one_stands_in_place_of_the_older_and_leaves_nothing_beside(path: Path) -> None:
    write_checkpoint(path, "k", Checkpoint({"latents": torch.ones(5)}, {"step": 1}))
    write_checkpoint(path, "k", Checkpoint({"latents": torch.ones(5)}, {"step": 2}))

    again = read_checkpoint(path, "k")

    assert again is not None
    assert again.facts == {"step": 2}
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_said_and_the_older_checkpoint_stays(mount: Callable[..., None], tmp_path: Path) -> None:
    mount(tmp_path, "-t", "tmpfs", "-o", "size=300k", "framedaemon-test")
    path = tmp_path / "denoise.safetensors"
    write_checkpoint(path, "k", Checkpoint({"latents": torch.ones(5)}, {"step": 1}))

    with pytest.raises(DiskFull, match="ran full"):
        write_checkpoint(path, "k", Checkpoint({"latents": torch.ones(1 << 20)}, {"step": 2}))

    kept = read_checkpoint(path, "k")
    assert kept is not None
    assert kept.facts == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_takes_no_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_checkpoint(tmp_path / "gone" / "denoise.safetensors", "k", Checkpoint({"latents": torch.ones(5)}))
