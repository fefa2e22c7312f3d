"""What an encoding will need, from measurements on photographs, generated clips and footage.

Bytes: a first picture, then changes, at each codec's default crf. The figures are those of a middling clip among seven
photographs under a moving camera and eleven clips, generated and filmed: in h264, half of these take 0.8 to 1.4 times
what is estimated, the busiest 3.3 times that, and a camera that stands still a quarter. Only the frames could tell
which; the disk guard leaves room for three times the estimate, and learns from what videos really took.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from framedaemon import ClipSpec, Estimate
from framedaemon_ffmpeg.choice import Choice

_MIB = 1 << 20
_OVERHEAD_BYTES = 6 << 10  # container, comment
_SOUND_BYTES_PER_SECOND = 24_000  # 192 kbit/s, what sound is encoded to
_INDEX_BYTES = 24  # of the container's index, per frame
_INDEX_RAM = 128  # the same, while it is written
_MEASURED_PIXELS = 512 * 384
_MOST_THREADS = 16  # more of them share the frames that are there
_HARDWARE_RAM = 400 * _MIB  # a driver's context
_HARDWARE_VRAM = 512 * _MIB


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one codec takes with its defaults."""

    first: float
    """Bits per pixel of the first picture, of some 512x384."""
    change: float
    """Bits per pixel of each further one, at 24 a second."""
    halves_per: float
    """This much more crf halves the bytes."""
    pixel_bytes: float
    """Bytes of memory per pixel of the frame, with one thread."""
    thread_bytes: float
    """Bytes of memory per pixel for each further thread."""
    seconds: float
    """Core seconds for a million pixels at medium."""


_COSTS: Mapping[str, _Cost] = {
    "h264": _Cost(1.1, 0.17, 6.0, 245, 14, 0.20),
    "hevc": _Cost(1.1, 0.14, 6.0, 240, 22, 0.50),
    "av1": _Cost(1.15, 0.13, 8.0, 140, 76, 0.45),
    "vp9": _Cost(2.1, 0.13, 8.0, 190, 10, 1.00),
    "prores": _Cost(6.0, 6.0, 1.0, 40, 12, 0.20),
    "ffv1": _Cost(10.5, 10.5, 1.0, 95, 4, 0.10),
    "webp": _Cost(1.0, 1.0, 20.0, 30, 4, 0.20),
    "gif": _Cost(6.0, 6.0, 1.0, 40, 0, 1.20),
    "png": _Cost(13.0, 13.0, 1.0, 0, 40, 0.15),
}
_WHOLE = frozenset({"prores", "ffv1", "gif", "webp", "png"})  # every frame is a whole picture
_SERIAL = frozenset({"gif", "webp"})  # their filter or encoder works on one core
_BASE_RAM = 60 * _MIB  # the program itself, loaded and idle

# ultrafast to veryslow, against medium: bytes (h264 ultrafast measured), and core seconds
_PRESET_BYTES = (2.2, 1.5, 1.2, 1.1, 1.05, 1.0, 1.0, 1.0, 1.0)
_PRESET_SECONDS = (0.2, 0.3, 0.5, 0.7, 0.8, 1.0, 2.0, 4.0, 8.0)
_PRESET_MEMORY = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.1, 1.6, 1.6)
_CHROMA_MEMORY = {"4:2:0": 1.0, "4:2:2": 1.3, "4:4:4": 1.6, "rgb": 1.0}
_CHROMA_BYTES = {"4:2:0": 1.0, "4:2:2": 1.15, "4:4:4": 1.4, "rgb": 1.0}


def estimate_cost(choice: Choice, takes: ClipSpec, threads: int | None) -> Estimate:
    """Bytes and seconds of encoding ``takes``. Without ``threads`` it counts on every core that there is."""
    cost, pixels = _COSTS[choice.codec.name], choice.width * choice.height
    change = cost.change * _quickness(choice, takes.fps)
    bits = pixels * (cost.first + change * (takes.frames - 1)) * _density(choice, takes)
    sound = int(takes.duration * _SOUND_BYTES_PER_SECOND) if choice.container.sound_copied else 0
    wide = 2 if choice.depth > 8 else 1
    workers = threads or os.cpu_count() or 1
    per_pixel = cost.pixel_bytes + cost.thread_bytes * min(workers, _MOST_THREADS)
    memory = pixels * per_pixel * wide * _PRESET_MEMORY[choice.preset] * _CHROMA_MEMORY[choice.chroma]
    million_pixels = pixels * takes.frames / 1e6
    cores = 1 if choice.codec.name in _SERIAL else workers
    return Estimate(
        vram=_HARDWARE_VRAM if choice.hardware else 0,
        ram=_HARDWARE_RAM if choice.hardware else _BASE_RAM + int(memory) + takes.frames * _INDEX_RAM,
        disk=_OVERHEAD_BYTES + int(bits / 8) + sound + takes.frames * _INDEX_BYTES,
        seconds=million_pixels * cost.seconds * _PRESET_SECONDS[choice.preset] * wide / cores,
    )


def _quickness(choice: Choice, fps: Fraction) -> float:
    """How much changes from a frame to the next, against 24 a second: what is seen more often moves less each time."""
    return 1.0 if choice.codec.name in _WHOLE else min(2.0, max(0.5, (24 / float(fps)) ** 0.5))


def _density(choice: Choice, takes: ClipSpec) -> float:
    """Bytes a pixel against those of the codec's defaults at 512x384."""
    factor = _CHROMA_BYTES[choice.chroma] / _CHROMA_BYTES[choice.codec.chroma]
    if choice.codec.crf:
        # Larger pictures are softer: three photographs took 0.84 to 0.9 of the bits a pixel for each doubling of the
        # pixels, from 128 to 1536 pixels of width.
        factor *= (choice.width * choice.height / _MEASURED_PIXELS) ** -0.2
    if choice.codec.speeds:
        factor *= _PRESET_BYTES[choice.preset]
    if choice.codec.crf:
        finer = choice.codec.crf[1] - choice.crf
        # Towards lossless the noise is kept too, and bytes grow faster.
        factor *= 2 ** (finer / (_COSTS[choice.codec.name].halves_per * (2 / 3 if finer > 0 else 1)))
    if choice.depth > choice.codec.depths[0]:
        # Lossless forms keep every bit that is added; noise, if the frames are that deep.
        factor *= 1.15 if choice.codec.crf else (2.2 if takes.depth == 16 else 1.5)
    return factor
