"""Weights as they are published, by our names.

    flownet.pkl ─▶ tensors ─▶ without what only training needs ─▶ our names ─▶ recognised by their shapes

A pickle can run code: it is read with ``weights_only``, which builds tensors and nothing else. What
torch raises for a file of something else is put into words by whoever asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from framedaemon_rife.network.versions import VERSIONS, recognise

if TYPE_CHECKING:
    from torch import Tensor

# What a person's own training run puts before each name.
_WRAPPED = "module."

# Published name, ours. What is in none of these lines is for training only: teacher, caltime, contextnet, unet.
_NAMES = tuple(
    (re.compile(published), ours)
    for published, ours in (
        (r"encode\.cnn(\d)\.(weight|bias)", r"head.\1.\2"),
        (r"block(\d)\.conv0\.(\d)\.0\.(weight|bias)", r"blocks.\1.down.\2.\3"),
        (r"block(\d)\.conv0\.(\d)\.1\.weight", r"blocks.\1.down.\2.slope"),
        (r"block(\d)\.convblock\.(\d)\.(?:conv|0)\.(weight|bias)", r"blocks.\1.body.\2.\3"),
        (r"block(\d)\.convblock\.(\d)\.beta", r"blocks.\1.body.\2.beta"),
        (r"block(\d)\.convblock\.(\d)\.1\.weight", r"blocks.\1.body.\2.slope"),
        (r"block(\d)\.lastconv\.(?:0\.)?(weight|bias)", r"blocks.\1.up.\2"),
    )
)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a published file, ``.pkl``, ``.pth`` or ``.safetensors``, by our names, float32.

    Raises ValueError where it holds no weights of RIFE's, or of a version that is not in the table.
    """
    import torch

    tensors = _tensors(path)
    named = {ours: tensor for name, tensor in tensors.items() if (ours := _our_name(name)) is not None}
    version = recognise({name: tuple(tensor.shape) for name, tensor in named.items()})
    if version is None:
        known = ", ".join(version.published_as for version in VERSIONS)
        raise ValueError(f"{path.name} holds none of the versions of RIFE that framedaemon knows: {known}")
    return {name: tensor.to(torch.float32).contiguous() for name, tensor in named.items()}


def _tensors(path: Path) -> Mapping[str, Tensor]:
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise ValueError(f"{path.name} holds something else than tensors by name")
    return found


def _our_name(published: str) -> str | None:
    """None for what only training needs."""
    name = published.removeprefix(_WRAPPED)
    for pattern, ours in _NAMES:
        if pattern.fullmatch(name):
            return pattern.sub(ours, name)
    return name if name.startswith(("head.", "blocks.")) else None
