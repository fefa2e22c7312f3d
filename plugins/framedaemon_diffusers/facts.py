"""What a folder of diffusers says of its pipeline, and what the pipeline's call adds to that: all a promise needs.

    model_index.json ─▶ which class ─▶ its call (`signature`) ─▶ names, sizes, frames, steps as its authors have them
    vae, transformer, unet config.json ─▶ multiples of sizes and frames

Small files only, and the headers of large ones: no torch, no diffusers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

from framedaemon_diffusers.parts import Part, read_parts, variant_of
from framedaemon_diffusers.signature import Signature, read_signature
from framedaemon_diffusers.table import WITH_PICTURE, row_of

Config = Mapping[str, Any]

FRAMES = ("num_frames", "frames", "video_length")
RATES = ("frame_rate", "fps", "target_fps")

_STILL = ("AutoencoderKL", "AutoencoderKLTemporalDecoder")  # VAEs with one latent frame for each frame


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one folder."""

    pipeline: str
    """The class of diffusers that draws with it."""
    signature: Signature
    """Of its call."""
    multiple: int
    """Sides of a frame are multiples of this."""
    stride: int
    """Frames for each latent frame after the first."""
    frames: int
    """How many it draws unasked."""
    dropped: int
    """Frames that it draws before the first that it gives."""
    area: int | None
    """Pixels of a frame that it draws unasked; None: it does not say."""
    fps: Fraction | None
    guidance: str | None
    """What its call calls the strength of guidance; None: it takes none."""
    cell: int
    """Pixels along a side for one token of the denoising network, or one pixel of a U-Net's widest level."""
    span: int
    """Latent frames of a token."""
    width: int
    """Numbers in a token, as the denoising network works on it."""
    layers: int
    scale: int
    """Pixels along a side for one number of the latents."""
    channels: int
    """Of the latents."""
    finest: float
    """Numbers for a pixel of a frame where the VAE works on most of them."""
    variant: str | None
    """``fp16`` where its files are there in that form only."""
    parts: tuple[Part, ...] = ()
    """None for a folder that holds no weights yet."""
    digest: str = ""
    """Another one for other weights: of the names, sizes and times of all files."""


def read_facts(folder: Path) -> Facts:
    """The facts of the pipeline in ``folder``. Raises ValueError, in a sentence, where it makes no clip of a picture.

    There need not be weights yet.
    """
    index = _read(folder / "model_index.json")
    name, signature = _pipeline(index)
    row = row_of(name)
    vae, network = _config(folder, "vae"), _config(folder, "transformer") or _config(folder, "unet")
    if not vae or not network:
        raise ValueError(f"{name} has no vae, or neither transformer nor unet: what it draws cannot be told beforehand")
    is_unet = not _config(folder, "transformer")
    scale, patch, span = _scale(vae), *_patches(network)
    halvings = len(network.get("block_out_channels", ())) - 1 if is_unet else 0
    dropped = 4 if network.get("image_condition_type") == "latent_concat" else 0
    frames = row.frames or signature.number(*FRAMES) or network.get("num_frames")
    if not frames:
        raise ValueError(f"{name} does not say how many frames it draws")
    variant = variant_of(folder)
    return Facts(
        pipeline=name,
        signature=signature,
        multiple=scale * patch * 2**halvings * (8 if network.get("attention_type") == "nabla" else 1),
        stride=_stride(vae),
        frames=int(frames) - dropped,
        dropped=dropped,
        area=_area(signature, network, scale),
        fps=_fps(name, signature, index, network),
        guidance=_guidance(signature, network),
        cell=scale * patch,
        span=span,
        width=_width(network),
        layers=sum(int(network.get(key) or 0) for key in ("num_layers", "num_single_layers", "num_visual_blocks"))
        or 30,
        scale=scale,
        channels=int(vae.get("latent_channels") or vae.get("z_dim") or 16),
        finest=_finest(vae),
        variant=variant,
        parts=read_parts(folder, variant),
        digest=_digest(folder),
    )


def _pipeline(index: Config) -> tuple[str, Signature]:
    """The class and its call. Raises ValueError where that takes no picture, or what no recipe can give."""
    named = index.get("_class_name")
    if not isinstance(named, str):
        raise ValueError("its model_index.json names code of its own, which is not run")
    name = WITH_PICTURE.get(named, named)
    signature = read_signature(name)
    if signature is None:
        raise ValueError(f"the installed diffusers has no {name}")
    if "image" not in signature or signature.first(*FRAMES) is None:
        raise ValueError(f"{name} makes no clip of a picture")
    if "width" not in signature or "height" not in signature:
        raise ValueError(f"{name} takes no width and height: the size of its clip cannot be promised")
    foreign = [one for one in signature.needed if one not in ("image", "prompt", "width", "height", *FRAMES)]
    if foreign:
        raise ValueError(f"{name} needs {', '.join(foreign)} as well, which no recipe can say")
    return name, signature


def _scale(vae: Config) -> int:
    """Pixels along a side for one number of the latents."""
    for key in ("spatial_compression_ratio", "scale_factor_spatial"):
        if vae.get(key):
            return int(vae[key])
    if "spatio_temporal_scaling" in vae:  # LTX, in its older form
        return int(vae.get("patch_size", 1)) << sum(map(bool, vae["spatio_temporal_scaling"]))
    if "temperal_downsample" in vae:  # Wan 2.1, in its older form
        return 1 << len(vae["temperal_downsample"])
    if "block_out_channels" in vae:
        return 1 << len(vae["block_out_channels"]) - 1
    raise ValueError(f"its VAE, {vae.get('_class_name')}, does not say how much smaller its latents are")


def _stride(vae: Config) -> int:
    """Frames for one frame of the latents."""
    for key in ("temporal_compression_ratio", "scale_factor_temporal"):
        if vae.get(key):
            return int(vae[key])
    if "spatio_temporal_scaling" in vae:
        return int(vae.get("patch_size_t", 1)) << sum(map(bool, vae["spatio_temporal_scaling"]))
    if "temperal_downsample" in vae:
        return 1 << sum(map(bool, vae["temperal_downsample"]))
    if vae.get("_class_name") in _STILL:
        return 1
    raise ValueError(f"its VAE, {vae.get('_class_name')}, does not say how many frames go into one of its latents")


def _patches(network: Config) -> tuple[int, int]:
    """Numbers of the latents along a side, and in time, that make one token."""
    patch = network.get("patch_size") or 1
    if isinstance(patch, list):
        return int(patch[-1]), int(patch[0]) if len(patch) == 3 else 1
    return int(patch), int(network.get("patch_size_t") or 1)


def _width(network: Config) -> int:
    if "block_out_channels" in network:
        return int(network["block_out_channels"][0])
    heads, each = network.get("num_attention_heads"), network.get("attention_head_dim")
    if isinstance(heads, int) and isinstance(each, int):
        return heads * each
    return int(network.get("model_dim") or network.get("hidden_size") or 2048)


def _finest(vae: Config) -> float:
    """Numbers for a pixel where the decoder's maps are largest: its narrowest level, at the pixels' own size."""
    widths = vae.get("decoder_block_out_channels") or vae.get("block_out_channels") or [vae.get("base_dim", 128)]
    patch = vae.get("patch_size") or 1
    return float(min(widths)) / int(patch) ** 2


def _area(signature: Signature, network: Config, scale: int) -> int | None:
    sides = [signature.number("width"), signature.number("height")]
    if None in sides:  # CogVideoX: its network says it, in latents
        sides = [network.get("sample_width"), network.get("sample_height")]
        return None if None in sides else int(prod(float(side or 0) for side in sides) * scale**2)
    return int(prod(side or 0 for side in sides))


def _fps(name: str, signature: Signature, index: Config, network: Config) -> Fraction | None:
    if name == "CogVideoXImageToVideoPipeline" and network.get("patch_size_t"):  # CogVideoX 1.5
        return Fraction(16)
    if name == "WanImageToVideoPipeline" and index.get("expand_timesteps"):  # the 5B of Wan 2.2
        return Fraction(24)
    rate = row_of(name).fps or signature.number(*RATES)
    return None if rate is None else Fraction(rate).limit_denominator(1001)


def _guidance(signature: Signature, network: Config) -> str | None:
    """Where there are two, guidance_scale goes into the network by itself, if that was trained to take it."""
    if "true_cfg_scale" in signature and not network.get("guidance_embeds"):
        return "true_cfg_scale"
    return signature.first("guidance_scale", "max_guidance_scale", "true_cfg_scale")


def _config(folder: Path, part: str) -> Config:
    path = folder / part / "config.json"
    return _read(path) if path.is_file() else {}


def _read(path: Path) -> Config:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} of {path.parent.name} cannot be read") from error
    if not isinstance(table, dict):
        raise ValueError(f"{path.name} of {path.parent.name} is no table")
    return table


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    told = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
