"""What neither a pipeline's configuration nor its call says: one row for each that we know.

A pipeline without a row works too, as far as its call tells how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One pipeline class of diffusers."""

    fps: int | None = None
    """Frames per second that the model was trained on; None: its call says so."""
    frames: int | None = None
    """How many to draw unasked; None: its call or its network says so."""
    fewest: int = 1
    """Frames; with fewer its pipeline fails."""
    together: int = 1
    """Latent frames after the first come in so many at once."""
    whole: str = ""
    """Why a denoise cannot go on in its middle; empty where it can, as far as its call and its scheduler tell."""
    wide_vae: bool = False
    """Whether its VAE works in float32 whatever the rest works in: the pipeline sees to it, and narrower shows."""
    always: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What its call is given besides."""


_OWN_SCHEDULERS = "it goes through the timesteps with copies of its scheduler"

ROWS: Mapping[str, Row] = MappingProxyType(
    {
        # Its VAE decodes latent frames by twos, and gives three frames too many where their number is even.
        "CogVideoXImageToVideoPipeline": Row(fps=8, together=2),
        "HunyuanSkyreelsImageToVideoPipeline": Row(fps=24),
        "HunyuanVideoImageToVideoPipeline": Row(fps=24),
        "HunyuanVideoFramepackPipeline": Row(fps=30, whole="it denoises one section of the clip after the other"),
        "Kandinsky5I2VPipeline": Row(fps=24, fewest=17),  # it holds its first 4 latent frames against those after them
        "LTXConditionPipeline": Row(),
        "LTXImageToVideoPipeline": Row(),
        "LTX2ImageToVideoPipeline": Row(frames=121, whole=_OWN_SCHEDULERS),
        "MotifVideoImage2VideoPipeline": Row(fps=24),
        # It snaps sizes to a table of its own unless it is told not to.
        "SanaImageToVideoPipeline": Row(fps=16, wide_vae=True, always={"use_resolution_binning": False}),
        "SkyReelsV2DiffusionForcingImageToVideoPipeline": Row(wide_vae=True, whole=_OWN_SCHEDULERS),
        "SkyReelsV2ImageToVideoPipeline": Row(fps=24, wide_vae=True),
        # Unasked it decodes all frames at once, which takes more memory than all else.
        "StableVideoDiffusionPipeline": Row(always={"decode_chunk_size": 8}),
        "WanImageToVideoPipeline": Row(fps=16, wide_vae=True),
    }
)

# Repositories whose index names a text-to-video pipeline, though the same networks take a picture as well.
WITH_PICTURE: Mapping[str, str] = MappingProxyType(
    {
        "LTXPipeline": "LTXImageToVideoPipeline",
        "LTX2Pipeline": "LTX2ImageToVideoPipeline",
        "SanaVideoPipeline": "SanaImageToVideoPipeline",
        "WanPipeline": "WanImageToVideoPipeline",
    }
)


def row_of(pipeline: str) -> Row:
    """The row of a pipeline class, an empty one where there is none."""
    return ROWS.get(pipeline, Row())
