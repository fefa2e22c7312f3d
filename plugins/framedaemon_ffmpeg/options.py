"""What ``[encode]`` may say to the ``ffmpeg`` encoder."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from framedaemon import EncoderOptions

Chroma: TypeAlias = Literal["4:2:0", "4:2:2", "4:4:4", "rgb"]
HardwareKind: TypeAlias = Literal["nvenc", "qsv", "vaapi", "amf", "videotoolbox"]
Preset: TypeAlias = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]


class FfmpegOptions(EncoderOptions):
    """Codec, container, quality; every one has a default that suits the container."""

    codec: str = "auto"
    """auto (h264 in mp4, mkv and mov, vp9 in webm), h264, hevc, av1, vp9, prores, ffv1 (lossless), gif, webp, png."""
    preset: Preset | None = None
    """How much time to spend for a smaller file: ultrafast to veryslow; medium when left out."""
    chroma: Literal["auto", "4:2:0", "4:2:2", "4:4:4"] = "auto"
    """How finely colour is stored. auto: 4:2:0, which plays everywhere; 4:2:2 for prores."""
    hardware: Literal["off", "auto", "nvenc", "qsv", "vaapi", "amf", "videotoolbox"] = "off"
    """Encode on the graphics chip where that really works. off: software makes smaller files of the same quality."""
    threads: int | None = Field(None, ge=1, le=64)
    """CPU threads of the codec; 1 gives the same bytes on every run. Left out: what the daemon assigns."""
    faststart: bool = True
    """mp4 and mov: put the index first, so that playback starts while the file still loads."""
