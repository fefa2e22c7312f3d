"""What filling costs: memory and time, from pixels and from the times that are asked for. Needs no torch."""

from __future__ import annotations

from framedaemon import ClipSpec, Estimate
from framedaemon_film.halving import Times, Work, find_way, gaps_in_turn, kept, work_of
from framedaemon_film.shapes import FUSED, LEVELS, MULTIPLE, PREDICTORS, features_of

_FLOAT = 4  # bytes; on a GPU weights and maps are of two, and half of what is asked for here stays free

# Bytes. torch, once imported, with what it allocates at its first convolution.
_LIBRARIES = 450 << 20
# The 34.4 million numbers, twice: as they are opened and as they are laid out.
_WEIGHTS = 2 * 34_436_667 * _FLOAT
# A strip's widest maps, beside what is kept of the frames.
_STRIP = 300 << 20
_FRAMES = 8  # held at once, by the driver and those around it

# Multiplications and additions of the convolutions, for a pixel.
_FEATURES_FLOP, _FLOW_FLOP, _FRAME_FLOP = 0.79e6, 0.83e6, 1.6e6
# How many a second. CPU: two cores of a 2.5 GHz server, one of which was seen to do 95e9. GPU: a third of what a
# middling one (RTX 4070) promises for float16; none was at hand to measure.
_CPU_FLOPS, _GPU_FLOPS = 190e9, 20e12
_PASS_SECONDS = 0.25  # on a CPU, for a frame of any size: weights are laid out anew for each convolution


def level_bytes() -> float:
    """Bytes for each pixel of a frame that are kept of it: all its levels."""
    numbers = 0.0
    for level in range(LEVELS):
        half = 32 << min(level, PREDICTORS - 1)
        numbers += (3 + features_of(level) + half) / 4**level
    return numbers * _FLOAT


def fused_bytes() -> float:
    """Bytes for each pixel that stand whole while a frame is drawn: what is fused so far, and flow."""
    fused = sum((64 << level) / 4**level for level in (1, 2))
    return (fused + 8 * 4 / 3 + 3 * FUSED) * _FLOAT


def estimate(takes: ClipSpec, gives: ClipSpec, times: Times) -> Estimate:
    """What filling ``takes`` to ``gives`` needs."""
    pixels = _padded(takes.width) * _padded(takes.height)
    step = takes.fps / gives.fps
    ways = [find_way(asked, times) for asked in gaps_in_turn(step) if asked]
    work = [work_of(way) for way in ways]
    # The times repeat after as many gaps; a loop fills one more than there are between frames.
    turns = takes.frames / step.numerator
    frames = 2 + max(map(kept, ways), default=0)
    fixed = _WEIGHTS + _STRIP
    flop = pixels * sum(map(_flop, work))
    return Estimate(
        vram=fixed + int(pixels * (frames * level_bytes() + fused_bytes())),
        weights=fixed,
        ram=_LIBRARIES + _FRAMES * takes.frame_bytes,
        seconds=turns * (flop / _CPU_FLOPS + sum(one.flows for one in work) * _PASS_SECONDS),
        accelerated=turns * flop / _GPU_FLOPS,
    )


def _flop(work: Work) -> float:
    return (1 + work.features) * _FEATURES_FLOP + work.flows * _FLOW_FLOP + work.frames * _FRAME_FLOP


def _padded(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE
