"""What Wan takes: bytes of each phase and seconds of the denoise, from shapes alone.

    tokens = (1 + (frames - 1) / 4) · (height / scale / 2) · (width / scale / 2)       scale: the VAE's, 8 or 16
    bytes  = weights + tokens · bytes of a token + 2 GiB
    FLOP   = passes · (2 · parameters · tokens + 4 · layers · tokens² · width)

Bytes of a token and of a pixel were counted: the real networks on torch's meta device, at real shapes, every storage
that lives at once, attention without its matrix (as kernels for GPUs have it). Between 11,440 and 82,992 tokens, and
between 256x256 and 832x1216 pixels, they grow as straight lines.
"""

from __future__ import annotations

from dataclasses import dataclass

from framedaemon import Phase
from framedaemon_wan.facts import Facts, Part
from framedaemon_wan.presets import Kind
from framedaemon_wan.vae.grid import grid_for
from framedaemon_wan.vae.spill import spill_bytes

_TEXT = 2 * 512 * 4096 * 4  # bytes: of two embedded prompts

_SPARE = 2 << 30  # the device's context, kernels' scratch, and holes between tensors

# Multiplications and additions a second. CPU: two cores of a 2.5 GHz server, 80e9 measured for products of 2048x5120
# and 5120x5120 in float32. GPU: six tenths of what a card of 24 GB promises for bfloat16 (RTX 4090: 165e12); none was
# at hand to measure.
_CPU_FLOPS, _GPU_FLOPS = 80e9, 100e12


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the two kinds of transformer and VAE differ in."""

    layers: int
    width: int
    """Numbers of a token between layers."""
    token: int
    """Bytes of a token at the transformer's peak, in 16 bits. 5B modulates each token for itself, hence more."""
    narrows: float
    """Share of the parameters in linear layers of the blocks: what float8 may have and group offload passes on."""
    encoding: int
    """Bytes of a pixel at the encoder's peak, chunk by chunk, in float32. 5B is given one frame, and keeps nothing."""
    decoding: int
    """The same at the decoder's."""
    patch: int
    """Side of the patches that the VAE draws."""


_SHAPES: dict[Kind, _Shape] = {
    "i2v-a14b": _Shape(40, 5120, 113_152, 14_053_642_304 / 14_288_901_184, 14_160, 19_530, 1),
    "ti2v-5b": _Shape(30, 3072, 199_172, 4_909_185_216 / 4_999_787_712, 2_000, 21_630, 2),
}


def tokens(facts: Facts, width: int, height: int, frames: int) -> int:
    """How many tokens the transformer sees at once. ``frames``: of one segment, 4k + 1."""
    return (1 + (frames - 1) // 4) * (height // facts.scale // 2) * (width // facts.scale // 2)


def phases(facts: Facts, width: int, height: int, segment: int, frames: int, fused: bool = False) -> tuple[Phase, ...]:
    """What Wan does one after the other, each giving its memory back, for frames of ``width`` x ``height``.

    segment: frames that are drawn at once, 4k + 1.  frames: of the whole clip.  fused: LoRA is added to the experts,
    whose files are then copied where they would have been mapped.
    """
    shape, pixels = _SHAPES[facts.kind], width * height
    work = tokens(facts, width, height, segment) * shape.token
    vae = _SPARE + 4 * facts.vae.numbers
    spill = max(_spill(facts, width, height, frames, side) for side in (256, 512))
    experts = [("denoise", facts.high)]
    if facts.low is not None:
        experts = [("high noise", facts.high), ("low noise", facts.low)]
    return (
        _of_16_bits("text", facts.text, 1.0, 0, narrows=False),
        Phase("condition", vae, work=pixels * shape.encoding, tiled=True),
        *(_of_16_bits(name, part, shape.narrows, work, fused=fused) for name, part in experts),
        Phase("decode", vae, work=pixels * shape.decoding, tiled=True, spill=spill),
    )


def seconds(facts: Facts, width: int, height: int, segment: int, passes: int) -> tuple[float, float]:
    """Seconds of the denoise of one segment: on a CPU, on a GPU.

    passes: through a transformer, one for each step, with guidance two.
    """
    shape, count = _SHAPES[facts.kind], tokens(facts, width, height, segment)
    flop = passes * (2 * facts.high.numbers * count + 4 * shape.layers * count**2 * shape.width)
    return flop / _CPU_FLOPS, flop / _GPU_FLOPS


def kept_bytes(facts: Facts, width: int, height: int, segment: int, segments: int) -> int:
    """Bytes of the checkpoints of a clip of so many ``segments``, of ``segment`` frames each: float32 on disk.

    While a segment is denoised: latents, three more of their size that the scheduler looks back at, one being written
    in place of the last, and the condition. Of those before it: latents and the last frame.
    """
    channels = 16 if facts.scale == 8 else 48
    latents = 4 * channels * (1 + (segment - 1) // 4) * (width // facts.scale) * (height // facts.scale)
    condition = latents * 5 // 4 if facts.low is not None else latents
    return 2 * 4 * latents + condition + segments * (latents + 3 * width * height) + _TEXT


def _of_16_bits(name: str, part: Part, streams: float, work: int, narrows: bool = True, fused: bool = False) -> Phase:
    """A transformer: what does not stream, biases and norms and what embeds, is counted in float32."""
    streaming = int(part.numbers * streams)
    return Phase(
        name,
        weights=_SPARE + 2 * streaming + 4 * (part.numbers - streaming),
        streams=2 * streaming,
        narrows=narrows,
        layer=2 * min(part.layer, streaming),
        read=2 * part.numbers if fused or part.bytes != 2 * part.numbers else 0,
        work=work,
    )


def _spill(facts: Facts, width: int, height: int, frames: int, side: int) -> int:
    """Bytes that tiles of ``side`` pixels take on disk."""
    grid = grid_for(
        height // facts.scale,
        width // facts.scale,
        facts.scale,
        _SHAPES[facts.kind].patch,
        (side, side),
        (side * 3 // 4, side * 3 // 4),
    )
    return spill_bytes(grid, frames, _SHAPES[facts.kind].patch, 4)
