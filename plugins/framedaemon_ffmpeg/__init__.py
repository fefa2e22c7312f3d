"""The ``ffmpeg`` encoder: frames by pipe into an ffmpeg child, or into numbered PNGs.

    Clip ─▶ stdin (rgb24 or rgb48le) ─▶ ffmpeg: zscale to BT.709 ─▶ codec ─▶ container ─▶ one file
                                          sound tracks of the footage ─┘  └─ comment

ffmpeg comes with imageio-ffmpeg; ``IMAGEIO_FFMPEG_EXE`` names another one. Registered like anybody's plugin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framedaemon import Encoder, hookimpl


@hookimpl
def encoders() -> Sequence[Encoder[Any]]:
    """The encoder called ``ffmpeg``."""
    from framedaemon_ffmpeg.stage import Ffmpeg

    return [Ffmpeg()]
