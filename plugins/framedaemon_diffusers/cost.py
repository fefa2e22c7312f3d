"""What a pipeline takes: bytes for each of its networks in turn, and roughly how long.

read the words and the picture ─▶ denoise ─▶ decode       each network comes to the device when it is its turn
"""

from __future__ import annotations

from framedaemon import ClipSpec, Estimate, Phase
from framedaemon_diffusers.facts import Facts
from framedaemon_diffusers.options import DiffusersOptions
from framedaemon_diffusers.parts import Part
from framedaemon_diffusers.table import row_of

_LIBRARIES = 1100 << 20  # bytes: torch, diffusers and transformers, once imported and used
_WORDS = 256 << 20  # bytes: what an encoder of words or pictures works with
_ROOM = 512 << 20  # bytes: what an allocator holds and nobody uses

# For each number of a token: Wan's A14B takes 113 kB for a token of 5120 numbers, counted with real shapes.
_TOKEN_BYTES = 24
_UNET_BYTES = 48  # for each number of its widest level, which is kept for its way up
_DECODE_BYTES = 24  # for each number of a decoder's widest maps: HunyuanVideo's took as much, LTX's half of it

_CPU_FLOPS, _DEVICE_FLOPS = 1e11, 1e14  # a server's few cores; an accelerator at a good half of what it says
_CPU_LIMIT = 600  # seconds


def estimate(gives: ClipSpec, options: DiffusersOptions) -> Estimate:
    """For the clip ``gives``."""
    facts = options.facts
    guided = options.guidance is not None and options.guidance > 1
    pixels = gives.frames * gives.width * gives.height
    latents = _latent_frames(facts, gives.frames)
    tokens = latents // facts.span * (gives.width // facts.cell) * (gives.height // facts.cell)
    passes = 2 if guided else 1
    each = _UNET_BYTES if _is_unet(facts) else _TOKEN_BYTES
    wide = 2 if row_of(facts.pipeline).wide_vae else 1
    vae = [part for part in facts.parts if part.role == "decodes"]
    beside = 2 * wide * sum(part.numbers for part in vae)
    decoded = min(gives.frames, 8) if _is_unet(facts) else gives.frames
    maps = int(decoded * gives.width * gives.height * facts.finest * _DECODE_BYTES)
    phases = (
        *(_phase(part, _WORDS) for part in facts.parts if part.role == "reads"),
        *(
            _phase(part, _ROOM + tokens * passes * facts.width * each, beside=beside)
            for part in facts.parts
            if part.role == "denoises"
        ),
        *(_decode(part, _ROOM + wide * maps + 4 * 3 * pixels, facts, wide) for part in vae),
    )
    latent_bytes = 4 * facts.channels * latents * (gives.width // facts.scale) * (gives.height // facts.scale)
    flops = _flops(facts, tokens) * passes * (options.steps or 1)
    seconds = 10 + (flops + pixels * facts.finest * 2e4) / _CPU_FLOPS
    return Estimate(
        ram=_LIBRARIES + _waiting(facts.parts) + gives.frames * gives.frame_bytes,
        disk=2 * 6 * latent_bytes,  # the checkpoint before stays until the next is whole; each with a scheduler's state
        seconds=seconds,
        accelerated=30 + (flops + pixels * facts.finest * 2e4) / _DEVICE_FLOPS,
        not_on_cpu="" if options.force or seconds <= _CPU_LIMIT else _refusal(facts, seconds),
        phases=phases,
    )


def _phase(part: Part, work: int, beside: int = 0) -> Phase:
    """``beside``: bytes on the device of what came before and stays: the VAE, which has read the picture."""
    return Phase(
        part.name.replace("_", " "),
        weights=2 * part.numbers + beside,
        streams=2 * part.numbers,
        narrows=part.role == "denoises",
        layer=2 * part.layer,
        work=work,
    )


def _decode(part: Part, work: int, facts: Facts, wide: int) -> Phase:
    """``wide``: 2 where the VAE works in float32 everywhere."""
    weights = 2 * wide * part.numbers
    streams, layer = (weights, 2 * part.layer) if wide == 1 else (0, 0)
    tiled = not _is_unet(facts)
    return Phase("decode", weights, streams=streams, narrows=False, layer=layer, work=work, tiled=tiled)


def _waiting(parts: tuple[Part, ...]) -> int:
    """Bytes of main memory for all networks, as they are read; more, where they then work there in float32.

    The largest is counted where it works. Of the others the second largest may be as large, and wider than in its file;
    what is still smaller is counted twice for that.
    """
    sizes = sorted((2 * part.numbers for part in parts), reverse=True)
    return sum(sizes) + sum(sizes[2:])


def _latent_frames(facts: Facts, frames: int) -> int:
    return (frames + facts.dropped - 1) // facts.stride + 1


def _flops(facts: Facts, tokens: int) -> float:
    """Of one pass through the denoising network: twice its numbers for each token, and attention among all tokens."""
    numbers = max((part.numbers for part in facts.parts if part.role == "denoises"), default=0)
    if _is_unet(facts):  # most of its numbers work on maps an eighth as wide and high, some on all of it
        return 2.0 * numbers * tokens / 16
    return 2.0 * numbers * tokens + 4.0 * facts.layers * facts.width * tokens**2


def _is_unet(facts: Facts) -> bool:
    return any(part.name == "unet" for part in facts.parts)


def _refusal(facts: Facts, seconds: float) -> str:
    return (
        f"{facts.pipeline} would take about {_long(seconds)} on this CPU: ask for fewer frames, steps or pixels, "
        "or say force = true"
    )


def _long(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
