"""How large the networks of a pipeline are, read from the headers of their safetensors files: no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from framedaemon import tensor_sizes

Role = Literal["reads", "denoises", "decodes"]

_ROLES: dict[str, Role] = {"transformer": "denoises", "transformer_2": "denoises", "unet": "denoises", "vae": "decodes"}
_VARIANTS = ("fp16", "bf16")


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a pipeline."""

    name: str
    """Of its folder: ``text_encoder``."""
    role: Role
    numbers: int
    """Parameters."""
    layer: int
    """Those of its largest repeated layer."""


def variant_of(folder: Path) -> str | None:
    """``fp16`` where the denoising network's files are there in that form only, as a hub's repositories call it."""
    files = [path.name for name in _ROLES for path in (folder / name).glob("*.safetensors")]
    if any(_plain(name) for name in files):
        return None
    return next((variant for variant in _VARIANTS if any(f".{variant}" in name for name in files)), None)


def read_parts(folder: Path, variant: str | None) -> tuple[Part, ...]:
    """The networks below ``folder``. Raises ValueError, in a sentence, for a damaged file."""
    found = []
    for own in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(own.glob("*.safetensors"))
        wanted = [path for path in files if variant is not None and f".{variant}" in path.name]
        layers: dict[str, int] = {}
        for path in wanted or [path for path in files if _plain(path.name)]:
            for name, (numbers, _) in tensor_sizes(path).items():
                layer = _layer(name)
                layers[layer] = layers.get(layer, 0) + numbers
        if layers:
            role = _ROLES.get(own.name, "reads")
            found.append(Part(own.name, role, sum(layers.values()), max(layers.values())))
    return tuple(found)


def _plain(name: str) -> bool:
    return not any(f".{variant}" in name for variant in _VARIANTS)


def _layer(name: str) -> str:
    """``blocks.7`` of ``blocks.7.ffn.weight``: up to the number; all of a name without one."""
    words = name.split(".")
    depth = next((place + 1 for place, word in enumerate(words) if word.isdecimal()), len(words))
    return ".".join(words[:depth])
