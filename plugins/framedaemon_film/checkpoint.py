"""The published files of weights, and what is read from them: numbers only, by our own names.

The network was published as TorchScript archives, which `torch.load(weights_only=True)` refuses; `torch.jit.load` gives
their tensors without running them. Others keep the same tensors as safetensors, some with ``conv`` for the ``0`` that
the archives call each convolution.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framedaemon import Download, Weights
from framedaemon_film.shapes import PUBLISHED, SHAPES

if TYPE_CHECKING:
    from torch import Tensor

_RELEASE = "https://github.com/dajes/frame-interpolation-pytorch/releases/download/v1.0.0"
_CREDIT = (
    "FILM (Reda, Kontkanen, Tabellion, Sun, Pantofaru, Curless; Google Research), "
    "as ported at github.com/dajes/frame-interpolation-pytorch"
)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The 82 tensors in the file at ``path``, by the names in `shapes.SHAPES`, of the file's own dtype.

    Raises ValueError where it is another file, or another network's.
    """
    found = _archived(path) if zipfile.is_zipfile(path) else _safe(path)
    found = {name.replace(".conv.", ".0."): tensor for name, tensor in found.items()}
    missing = [name for name in PUBLISHED.values() if name not in found]
    if missing:
        raise ValueError(
            f"{path.name} holds no weights of FILM: {len(missing)} of its {len(PUBLISHED)} tensors are missing, "
            f"{missing[0]} first"
        )
    tensors = {name: found[published] for name, published in PUBLISHED.items()}
    wrong = [name for name, tensor in tensors.items() if tuple(tensor.shape) != SHAPES[name]]
    if wrong:
        shape, wanted = tuple(tensors[wrong[0]].shape), SHAPES[wrong[0]]
        raise ValueError(
            f"{path.name} holds a FILM of another size: {PUBLISHED[wrong[0]]} is {shape} and should be {wanted}"
        )
    spoilt = [name for name, tensor in tensors.items() if not tensor.is_floating_point() or not tensor.isfinite().all()]
    if spoilt:
        raise ValueError(f"{path.name} is spoilt: {PUBLISHED[spoilt[0]]} holds what is no number")
    return tensors


def _archived(path: Path) -> Mapping[str, Tensor]:
    import torch

    load: Any = torch.jit.load  # has no types of its own
    try:
        with warnings.catch_warnings():
            # torch 2.13 calls TorchScript outdated; until it offers to read its archives otherwise, this is the way.
            warnings.simplefilter("ignore", DeprecationWarning)
            archive = load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path.name} is no TorchScript archive, as film_net_fp32.pt is: {str(error).splitlines()[0]}"
        ) from error
    return {name: tensor.detach() for name, tensor in archive.state_dict().items()}


def _safe(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path.name} is neither a TorchScript archive nor a safetensors file: {error}") from error


def _row(precision: str, size: int, sha256: str) -> Weights:
    return Weights(
        name=f"film-{precision}",
        summary=f"FILM, large motion, {precision}",
        licence="Apache-2.0",
        credit=_CREDIT,
        bytes=size,
        sha256=sha256,
        sources=(Download(f"{_RELEASE}/film_net_{precision}.pt"),),
        read=read_weights,
    )


ROWS = (
    _row("fp32", 137_905_674, "10aadc0d25ad586e3af7dd7703f75ec1186fbfe2e11c0d219d30ecfe2db10aa3"),
    _row("fp16", 69_032_330, "f0c8314674a6ba97787584fb04d59df9c6051ad5b735c89704f60801eece34d1"),
)
"""The same numbers, whole and rounded to half the bytes."""
