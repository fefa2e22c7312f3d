"""Small videos made for tests, of pictures that tell their number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt


def numbered(number: int, width: int = 64, height: int = 48) -> npt.NDArray[np.uint8]:
    """Grey that says ``number`` (counted round at 30), 8 levels a step; its top left is white, so that turns show."""
    picture = np.full((height, width, 3), 8 * (number % 30), np.uint8)
    picture[: height // 2, : width // 2] = 255
    return picture


def number_of(frame: npt.NDArray[np.generic]) -> int:
    """The number that the middle of the lower right quarter of ``frame`` tells; for upright frames."""
    height, width, _ = frame.shape
    levels = float(frame[3 * height // 4, 3 * width // 4].mean()) / (1 if frame.dtype == np.uint8 else 257)
    return round(levels / 8)


def make_video(
    path: Path,
    count: int = 12,
    *,
    rate: Fraction | int = 25,
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 1000),
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    sound: bool = False,
    matrix: int = 1,
    form: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """A video of numbered pictures; ``times`` (in ``time_base``) where it is to be uneven."""
    with av.open(str(path), "w", format=form, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"qp": "1", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 1
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if times is not None:
            stream.codec_context.time_base = time_base
        tone = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(number, *size), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = 1 / Fraction(rate) if times is None else time_base
            painted = frame.reformat(format=pixels, dst_colorspace=matrix)
            painted.pts, painted.time_base = frame.pts, frame.time_base
            container.mux(stream.encode(painted))
        container.mux(stream.encode(None))
        if tone is not None:
            hum = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
            hum.sample_rate = 8000
            container.mux(tone.encode(hum))
            container.mux(tone.encode(None))
    return path


def make_sound(path: Path) -> Path:
    """A file with sound only."""
    with av.open(str(path), "w") as container:
        tone = container.add_stream("aac", rate=8000, layout="mono")
        hum = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        hum.sample_rate = 8000
        container.mux(tone.encode(hum))
        container.mux(tone.encode(None))
    return path
