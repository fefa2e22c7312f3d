"""The published files are read as they are, others are refused in a sentence."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="film needs torch")

from safetensors.torch import save_file  # noqa: E402  (behind the question whether torch is there)
from torch import Tensor  # noqa: E402

from framedaemon_film import Film  # noqa: E402
from framedaemon_film.checkpoint import ROWS, read_weights  # noqa: E402
from framedaemon_film.shapes import PUBLISHED, SHAPES  # noqa: E402


def published() -> dict[str, Tensor]:
    """The 82 tensors by the files' names, each of numbers of its own; small in memory, whatever their shapes."""
    return {
        PUBLISHED[name]: torch.full((1,), number / 64, dtype=torch.float16).expand(shape)
        for number, (name, shape) in enumerate(SHAPES.items())
    }


def archive(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """A TorchScript archive whose modules are named as the published one's."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        *parts, last = name.split(".")
        module = root
        for part in parts:
            if part not in dict(module.named_children()):
                module.add_module(part, torch.nn.Module())
            module = module.get_submodule(part)
        module.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch calls TorchScript outdated; the files are there
        torch.jit.script(root).save(path)
    return path


def safe(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_weights(path)
    return str(caught.value)


def all_are_there(tensors: Mapping[str, Tensor]) -> bool:
    wanted = published()
    return set(tensors) == set(SHAPES) and all(
        torch.equal(tensor, wanted[PUBLISHED[name]]) for name, tensor in tensors.items()
    )


def test_a_torchscript_archive_gives_its_82_tensors(tmp_path: Path) -> None:
    tensors = read_weights(archive(tmp_path / "film_net_fp16.pt", published()))

    assert len(tensors) == 82
    assert all_are_there(tensors)


def test_torch_itself_refuses_such_an_archive_as_weights(tmp_path: Path) -> None:
    """Why it is read otherwise. When this fails, the plainer way is open."""
    path = archive(tmp_path / "small.pt", {"a.weight": torch.zeros(1)})

    with pytest.raises((RuntimeError, UserWarning)):
        torch.load(path, weights_only=True)


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    assert all_are_there(Film().read_weights(safe(tmp_path / "film.safetensors", published())))


def test_convolutions_may_be_called_conv(tmp_path: Path) -> None:
    renamed = {
        name.replace(".0.weight", ".conv.weight").replace(".0.bias", ".conv.bias"): tensor
        for name, tensor in published().items()
    }
    assert "fuse.convs.0.1.conv.weight" in renamed

    assert all_are_there(read_weights(safe(tmp_path / "film.safetensors", renamed)))


def test_a_file_that_is_neither_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.pt"
    path.write_bytes(b"<html>not found</html>")

    assert "film.pt is neither a TorchScript archive nor a safetensors file" in refusal(path)


def test_a_pickle_of_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flownet.pkl"
    torch.save({"w": torch.zeros(3)}, path)

    assert "flownet.pkl is no TorchScript archive, as film_net_fp32.pt is" in refusal(path)


def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "film.pt", {"a.weight": torch.zeros(9)})
    path.write_bytes(path.read_bytes()[:-200])

    assert refusal(path).startswith("film.pt is")


def test_another_networks_tensors_are_refused(tmp_path: Path) -> None:
    path = safe(tmp_path / "rife.safetensors", {"block0.conv0.0.weight": torch.zeros(3)})

    assert refusal(path) == (
        "rife.safetensors holds no weights of FILM: 82 of its 82 tensors are missing, "
        "extract.extract_sublevels.convs.0.0.0.weight first"
    )


def test_a_tensor_that_is_missing_is_named(tmp_path: Path) -> None:
    tensors = {name: torch.zeros(1) for name in PUBLISHED.values() if name != "fuse.output_conv.bias"}

    assert "1 of its 82 tensors are missing, fuse.output_conv.bias first" in refusal(safe(tmp_path / "f", tensors))


def test_a_film_of_another_size_is_refused(tmp_path: Path) -> None:
    tensors = {name: torch.zeros(4) for name in PUBLISHED.values()}

    assert refusal(safe(tmp_path / "small.safetensors", tensors)) == (
        "small.safetensors holds a FILM of another size: extract.extract_sublevels.convs.0.0.0.weight is (4,) "
        "and should be (64, 3, 3, 3)"
    )


@pytest.mark.parametrize("spoilt", [torch.full((3,), torch.nan), torch.zeros(3, dtype=torch.int32)])
def test_tensors_that_hold_no_numbers_are_refused(tmp_path: Path, spoilt: Tensor) -> None:
    path = safe(tmp_path / "f.safetensors", published() | {"fuse.output_conv.bias": spoilt})

    assert refusal(path) == "f.safetensors is spoilt: fuse.output_conv.bias holds what is no number"


def test_both_published_files_are_on_offer_the_whole_one_first() -> None:
    assert [row.name for row in ROWS] == ["film-fp32", "film-fp16"]
    assert {row.licence for row in ROWS} == {"Apache-2.0"}
    assert ROWS[0].bytes > 4 * 34_436_667 > 2 * 34_436_667 < ROWS[1].bytes
