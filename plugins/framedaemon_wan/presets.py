"""Wan 2.2's models as they were trained: one row each, and what a recipe leaves open is taken from there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from framedaemon import Repository
from framedaemon_wan.facts import Facts, Part

Kind = Literal["i2v-a14b", "ti2v-5b"]
Size = Literal["240p", "480p", "720p"]

_FILES = (
    "model_index.json",
    "scheduler/*",
    "text_encoder/*",
    "tokenizer/*",
    "transformer/*",
    "transformer_2/*",
    "vae/*",
)

# What Wan's own configuration gives as negative prompt, in the language that the model was trained on: garish, over-
# exposed, static, blurred details, subtitles, style, work, painting, still, greyish, worst quality, low quality, JPEG
# artefacts, ugly, mutilated, extra fingers, badly drawn hands and faces, deformed, disfigured, malformed limbs, fused
# fingers, motionless picture, cluttered background, three legs, crowded background, walking backwards.
NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走"
)


@dataclass(frozen=True, slots=True)
class Preset:
    """One model."""

    kind: Kind
    frames: int
    """The most it was trained to draw at once: 4k + 1."""
    fps: Fraction
    steps: int
    guidance: float
    """Of the high-noise expert, or the only one."""
    guidance_low: float
    """Of the low-noise expert."""
    shift: float
    """Of the noise schedule, towards more noise."""
    multiple: int
    """Sides of a frame are multiples of this."""
    areas: dict[Size, int]
    """Pixels of a frame by the names of sizes, the one to take unasked first."""
    last_picture: bool
    """Whether a picture can be given that the clip ends with."""
    published: Facts
    """Of the published weights, where nothing is there to look at."""
    rows: tuple[Repository, ...]
    """Where it can be had; the one to take by default first."""


_ENCODER = Part(5_680_910_336, 256_384 * 4096, 2 * 5_680_910_336)  # UMT5-XXL; its embedding of words is the largest
_EXPERT = Part(14_288_901_184, 5120 * 13_824, 4 * 14_288_901_184)

PRESETS: tuple[Preset, ...] = (
    Preset(
        kind="i2v-a14b",
        frames=81,
        fps=Fraction(16),
        steps=40,
        guidance=3.5,
        guidance_low=3.5,
        shift=5.0,
        multiple=16,
        areas={"480p": 480 * 832, "720p": 720 * 1280, "240p": 240 * 416},
        last_picture=True,
        published=Facts(
            kind="i2v-a14b",
            text=_ENCODER,
            high=_EXPERT,
            low=_EXPERT,
            vae=Part(126_892_531, 384 * 384 * 27, 4 * 126_892_531),
            boundary=0.9,
            scale=8,
        ),
        rows=(
            Repository(
                name="wan-i2v-a14b-bf16",
                summary="wan-i2v-a14b in the 16 bits that it is drawn with: half the bytes, read in half the time",
                licence="Apache-2.0",
                credit="Wan-AI, Wan2.2-I2V-A14B; repacked by ai-toolkit",
                repo="ai-toolkit/Wan2.2-I2V-A14B-Diffusers-bf16",
                revision="main",
                bytes=69_000_000_000,
                files=_FILES,
            ),
            Repository(
                name="wan-i2v-a14b",
                summary="Wan 2.2 image-to-video, two experts of 14 billion each: the best, for GPUs of 24 GB",
                licence="Apache-2.0",
                credit="Wan-AI, Wan2.2-I2V-A14B",
                repo="Wan-AI/Wan2.2-I2V-A14B-Diffusers",
                revision="main",
                bytes=126_000_000_000,
                files=_FILES,
            ),
        ),
    ),
    Preset(
        kind="ti2v-5b",
        frames=121,
        fps=Fraction(24),
        steps=50,
        guidance=5.0,
        guidance_low=5.0,
        shift=5.0,
        multiple=32,
        areas={"720p": 704 * 1280, "240p": 256 * 448},
        last_picture=False,
        published=Facts(
            kind="ti2v-5b",
            text=_ENCODER,
            high=Part(4_999_787_712, 3072 * 14_336, 4 * 4_999_787_712),
            low=None,
            vae=Part(704_688_668, 1024 * 1024 * 27, 4 * 704_688_668),
            boundary=None,
            scale=16,
        ),
        rows=(
            Repository(
                name="wan-ti2v-5b",
                summary="Wan 2.2 image-to-video, 5 billion, 24 frames a second: for GPUs from 12 GB",
                licence="Apache-2.0",
                credit="Wan-AI, Wan2.2-TI2V-5B",
                repo="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
                revision="main",
                bytes=34_200_000_000,
                files=_FILES,
            ),
        ),
    ),
)

LIGHTNING = Repository(
    name="wan-lightning",
    summary='LoRA pair for wan-i2v-a14b: 4 steps in place of 40 (speed = "lightning")',
    licence="Apache-2.0",
    credit="lightx2v, Wan2.2-Lightning",
    repo="lightx2v/Wan2.2-Lightning",
    revision="main",
    bytes=1_230_000_000,
    files=("Wan2.2-I2V-A14B-4steps-lora-rank64-Seko-V1/*.safetensors",),
)

MODELS = tuple(row for preset in PRESETS for row in preset.rows)
"""The best first: what is drawn with where several are there."""

ROWS = (*sorted(MODELS, key=lambda row: row.bytes), LIGHTNING)
"""The smallest first: what a person gets who names none."""


def preset_of(kind: Kind) -> Preset:
    """The row of a kind."""
    return next(preset for preset in PRESETS if preset.kind == kind)
