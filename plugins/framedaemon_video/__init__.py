"""video: footage that exists already, frame by frame, so that framedaemon converts frame rates too."""

from __future__ import annotations

from collections.abc import Sequence

from framedaemon import Generator, hookimpl
from framedaemon_video.stage import Video, VideoOptions

__all__ = ["Video", "VideoOptions", "generators"]


@hookimpl
def generators() -> Sequence[Generator[VideoOptions]]:
    """The video reader."""
    return [Video()]
