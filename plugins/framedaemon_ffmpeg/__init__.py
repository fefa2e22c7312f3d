"""The ``ffmpeg`` encoder: frames by pipe into an ffmpeg child, or into numbered PNGs.

    Clip ─▶ stdin (rgb24 or rgb48le) ─▶ ffmpeg: zscale to BT.709 ─▶ codec ─▶ container ─▶ one file
                                          sound tracks of the footage ─┘  └─ comment

ffmpeg comes with imageio-ffmpeg; ``IMAGEIO_FFMPEG_EXE`` names another one. Registered like anybody's plugin.
"""

from __future__ import annotations

from collections.abc import Sequence

from framedaemon import hookimpl
from framedaemon.stages import AnyEncoder


@hookimpl
def encoders() -> Sequence[AnyEncoder]:
    """The encoder called ``ffmpeg``."""
    from framedaemon_ffmpeg.stage import Ffmpeg

    return [Ffmpeg()]
