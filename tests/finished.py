"""Finished videos of every kind, made from frames: honest ones, and ones whose making went wrong somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from framedaemon import Frame, VideoSpec
from framedaemon.fingerprint import Fingerprints

FPS = Fraction(24)
BT709_LIMITED = (1, 1, 1, 1)
"""Matrix, primaries, transfer, range."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: what encodes it, and what a promise says of it."""

    suffix: str
    encoder: str
    codec: str
    pixel_format: str
    tagged: bool = True
    options: tuple[tuple[str, str], ...] = ()


def _x264(crf: int) -> tuple[tuple[str, str], ...]:
    return (("crf", str(crf)), ("preset", "veryfast"))


_QUIET_X265 = (("crf", "20"), ("preset", "ultrafast"), ("x265-params", "log-level=none"))

H264 = Kind(".mp4", "libx264", "h264", "yuv420p", options=_x264(18))
ROUGH = Kind(".mp4", "libx264", "h264", "yuv420p", options=_x264(35))
MKV = Kind(".mkv", "libx264", "h264", "yuv420p", options=_x264(18))
GIF = Kind(".gif", "gif", "gif", "bgra", tagged=False)
WEBP = Kind(".webp", "pillow", "webp", "yuv420p", tagged=False)
PNG = Kind("", "pillow", "png", "rgb24", tagged=False)
KINDS = (
    H264,
    ROUGH,
    MKV,
    GIF,
    WEBP,
    PNG,
    Kind(".mp4", "libx264", "h264", "yuv444p", options=_x264(18)),
    Kind(".mp4", "libx264", "h264", "yuv422p10le", options=_x264(18)),
    Kind(".mp4", "libx265", "hevc", "yuv420p", options=_QUIET_X265),
    Kind(".mkv", "libx265", "hevc", "yuv420p10le", options=_QUIET_X265),
    Kind(".webm", "libvpx-vp9", "vp9", "yuv420p", options=(("crf", "35"), ("b", "0"), ("cpu-used", "8"))),
    Kind(".mov", "prores_ks", "prores", "yuv422p10le", options=(("profile", "3"),)),
    Kind(".mkv", "ffv1", "ffv1", "bgr0", tagged=False),
    Kind(".mkv", "ffv1", "ffv1", "gbrp10le", tagged=False),
)


def stream(frames: Sequence[Frame]) -> Fingerprints:
    """The fingerprints of ``frames`` as they would stream into an encoder that crops to even sizes."""
    height, width, _ = frames[0].shape
    fingerprints = Fingerprints(width - width % 2, height - height % 2)
    for frame in frames:
        fingerprints.add(frame)
    return fingerprints


def promise(frames: Sequence[Frame], kind: Kind, fps: Fraction = FPS, sound: bool = False) -> VideoSpec:
    """What is promised of ``frames`` in a file of ``kind``."""
    height, width, _ = frames[0].shape
    return VideoSpec(
        width=width - width % 2,
        height=height - height % 2,
        frames=len(frames),
        fps=fps,
        suffix=kind.suffix,
        codec=kind.codec,
        encoder=kind.encoder,
        pixel_format=kind.pixel_format,
        tagged=kind.tagged,
        sound=sound,
    )


def write(
    path: Path,
    frames: Sequence[Frame],
    kind: Kind = H264,
    fps: Fraction = FPS,
    *,
    matrix: Colorspace = Colorspace.ITU709,
    tags: tuple[int, int, int, int] = BT709_LIMITED,
    ticks: Sequence[int] | None = None,
    sound_seconds: float = 0.0,
) -> Path:
    """Write ``frames`` to ``path``.

    matrix, tags: how colours are converted, and what the file says of it.  ticks: each frame's time in 1 / fps.
    sound_seconds: of a tone that goes along.
    """
    if kind.encoder == "pillow":
        return _write_pictures(path, frames, kind, fps)
    height, width, _ = frames[0].shape
    with av.open(str(path), "w") as file:
        video = file.add_stream(kind.encoder, rate=fps, options=dict(kind.options))
        assert isinstance(video, av.VideoStream)
        context: Any = video.codec_context
        video.width, video.height = width - width % 2, height - height % 2
        video.pix_fmt = "rgb8" if kind is GIF else kind.pixel_format
        if kind.tagged:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
        audio = file.add_stream("aac", rate=48000, layout="mono") if sound_seconds else None
        for number, frame in enumerate(frames):
            picture = _converted(frame[: video.height, : video.width], video.pix_fmt, kind, matrix)
            picture.pts = ticks[number] if ticks is not None else number
            picture.time_base = 1 / fps
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
        if audio is not None:
            assert isinstance(audio, av.AudioStream)
            _write_tone(file, audio, sound_seconds)
    return path


def pan(frames: int = 12, width: int = 128, height: int = 96, step: float = 2.0, seed: int = 7) -> list[Frame]:
    """A soft random picture that moves by ``step`` pixels a frame: (height, width, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    ground = cv2.resize(coarse, (width * 3, height * 2), interpolation=cv2.INTER_CUBIC)
    moves = (np.array([[1, 0, -step * j], [0, 1, -step * j / 2]], np.float32) for j in range(frames))
    return [cv2.warpAffine(ground, move, (width, height), borderMode=cv2.BORDER_REFLECT) for move in moves]


def fade(frames: Sequence[Frame], steps: int) -> list[Frame]:
    """``frames`` darkening to black within the first ``steps``."""
    return [(frame * max(0.0, 1 - j / steps)).astype(np.uint8) for j, frame in enumerate(frames)]


def _converted(frame: Frame, pixel_format: str, kind: Kind, matrix: Colorspace) -> av.VideoFrame:
    samples = np.ascontiguousarray(frame)
    picture = av.VideoFrame.from_ndarray(samples, format="rgb24" if samples.dtype == np.uint8 else "rgb48le")
    if not kind.tagged:
        return picture.reformat(format=pixel_format)
    return picture.reformat(
        format=pixel_format, dst_colorspace=matrix, dst_color_range=ColorRange.MPEG, src_color_range=ColorRange.JPEG
    )


def _write_tone(file: av.container.OutputContainer, audio: av.AudioStream, seconds: float) -> None:
    wave = np.sin(np.arange(int(seconds * 48000), dtype=np.float32) * 0.05)[None]
    tone = av.AudioFrame.from_ndarray(wave.astype(np.float32), format="fltp", layout="mono")
    tone.sample_rate, tone.pts = 48000, 0
    file.mux(audio.encode(tone))
    file.mux(audio.encode(None))


def _write_pictures(path: Path, frames: Sequence[npt.NDArray[Any]], kind: Kind, fps: Fraction) -> Path:
    height, width, _ = frames[0].shape
    images = [Image.fromarray(frame[: height - height % 2, : width - width % 2]) for frame in frames]
    if kind is WEBP:
        at = [round(1000 * number / fps) for number in range(len(frames) + 1)]
        lengths = [after - before for before, after in pairwise(at)]
        images[0].save(path, save_all=True, append_images=images[1:], duration=lengths, quality=85)
        return path
    path.mkdir()
    for number, image in enumerate(images):
        image.save(path / f"frame_{number:06d}.png")
    return path
