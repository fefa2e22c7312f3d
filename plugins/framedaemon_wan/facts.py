"""What a folder of weights says of itself, read from its small files and the headers of its large ones: no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from framedaemon import JobRejected, tensor_sizes


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a pipeline."""

    numbers: int
    """Parameters."""
    layer: int
    """Those of its largest tensor, which comes to a device by itself."""
    bytes: int
    """Of its files: twice ``numbers`` where they have them as a device takes them."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Which of Wan's models it is, and how large its parts are."""

    kind: Literal["i2v-a14b", "ti2v-5b"]
    text: Part
    high: Part
    """The high-noise expert, or the only one."""
    low: Part | None
    vae: Part
    boundary: float | None
    """Share of the noise above which the high-noise expert works; None: there is one for all."""
    scale: int
    """Pixels of a picture, along a side, for one of the latents'."""


def read_facts(folder: Path) -> Facts:
    """The facts of a diffusers pipeline in ``folder``.

    Raises JobRejected, in a sentence, where it is no image-to-video pipeline of Wan 2.2.
    """
    kind, boundary, scale = read_kind(folder)
    return Facts(
        kind=kind,
        text=_part(folder / "text_encoder"),
        high=_part(folder / "transformer"),
        low=_part(folder / "transformer_2") if boundary is not None else None,
        vae=_part(folder / "vae"),
        boundary=boundary,
        scale=scale,
    )


def read_kind(folder: Path) -> tuple[Literal["i2v-a14b", "ti2v-5b"], float | None, int]:
    """Which model it is, its boundary and its scale, by the small files alone: of a repository they come first.

    Raises JobRejected as `read_facts` does.
    """
    index = _read(folder / "model_index.json")
    config = _read(folder / "transformer" / "config.json")
    vae = _read(folder / "vae" / "config.json")
    expand = bool(index.get("expand_timesteps"))
    boundary = index.get("boundary_ratio")
    latents = vae.get("z_dim", 16)
    # Noise, the mask of given frames and the picture's latents go in side by side; 5B has the picture as its frame 0.
    given = config.get("in_channels")
    if config.get("_class_name") != "WanTransformer3DModel" or given != (latents if expand else 2 * latents + 4):
        raise JobRejected(f"[generate] weights: {folder.name} holds no image-to-video model of Wan 2.2")
    if not expand and boundary is None:
        raise JobRejected(
            f"[generate] weights: {folder.name} has one expert for all noise, as Wan 2.1 has; this needs Wan 2.2, or "
            'use = "diffusers"'
        )
    scale = int(vae.get("scale_factor_spatial", 8))
    return ("ti2v-5b", None, scale) if expand else ("i2v-a14b", float(boundary or 0), scale)


def _read(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobRejected(
            f"[generate] weights: {path.parent.name}/{path.name} cannot be read: framedaemon models verify"
        ) from error
    if not isinstance(table, dict):
        raise JobRejected(f"[generate] weights: {path.name} is no table: framedaemon models verify")
    return table


def _part(folder: Path) -> Part:
    files = [path for path in sorted(folder.glob("*.safetensors")) if "." not in path.stem]  # others are variants
    tensors = [tensor for path in files for tensor in _tensors(path)]
    if not tensors:
        raise JobRejected(
            f"[generate] weights: {folder.parent.name}/{folder.name} holds no safetensors; files of a variant "
            "(model.fp16.safetensors) are not read"
        )
    numbers, lengths = zip(*tensors, strict=True)
    return Part(sum(numbers), max(numbers), sum(lengths))


def _tensors(path: Path) -> list[tuple[int, int]]:
    """How many numbers and bytes each tensor of a safetensors file has."""
    try:
        return list(tensor_sizes(path).values())
    except ValueError as error:
        raise JobRejected(f"[generate] weights: {path.name} is damaged: framedaemon models verify") from error
