"""A finished video, read back: what the file says of itself, and its frames as fingerprints, one after the other.

Everything is decoded, and no more than a few frames are held. Folders of pictures are read like a video; animated
WebP by Pillow, because ffmpeg's libraries cannot (as of 8.0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from PIL import Image, ImageSequence

from framedaemon.fingerprint import Fingerprint, fingerprint_planes, fingerprint_rgb

PICTURES = "frame_%06d.png"
"""How the pictures of a folder are named; the first is number 0."""

# ITU-T H.273, MatrixCoefficients. Unspecified (2) is taken for BT.709: whether it may be is another question.
_MATRICES = {
    0: "gbr",
    1: "bt709",
    2: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
_UNSPECIFIED = 2
_FULL_RANGE = 2  # ffmpeg's AVCOL_RANGE_JPEG


class Unreadable(Exception):
    """The file, or a frame of it, does not decode."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says of itself before any frame is decoded."""

    width: int
    height: int
    codec: str
    """ffmpeg's name of the codec, whichever decoder reads it."""
    pixel_format: str | None
    """None where decoding does not tell it."""
    rate: Fraction | None
    """Frames per second, where the container keeps it exactly or nearly so."""
    tags: tuple[int, int, int, int]
    """Matrix, primaries and transfer by their numbers in H.273, and ffmpeg's number of the range."""
    tick: Fraction
    """Seconds to which the container rounds times."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One decoded frame."""

    time: Fraction
    """Seconds."""
    length: Fraction
    """Seconds that it stays; 0 where the container does not say."""
    width: int
    height: int
    fingerprint: Fingerprint


@dataclass(slots=True)
class Readback:
    """An open video. ``frames`` can be read once; ``sound`` is known when they are through."""

    said: Said
    frames: Iterator[Shown]
    sound: dict[int, Fraction] = field(default_factory=dict)
    """For each sound track, by its index in the file: the seconds of sound that its packets carry."""


@contextmanager
def read_back(path: Path, fps: Fraction, threads: int = 0) -> Iterator[Readback]:
    """Open a video, an animation, or a folder of pictures that are to be shown at ``fps``.

    Raises Unreadable, as do the frames.
    """
    with _decoding():
        if path.suffix == ".webp":
            with Image.open(path, formats=["WEBP"]) as image:
                yield _read_webp(image)
        else:
            with _open(path, fps) as container:
                yield _read(container, threads)


def pixels_of(path: Path, fps: Fraction) -> Iterator[Callable[[], npt.NDArray[np.uint8]]]:
    """For each frame of what `read_back` reads a call that gives its pixels: (H, W, 3) uint8, RGB over the whole range.

    To be called before the next frame is asked for. Raises Unreadable.
    """
    with _decoding():
        if path.suffix == ".webp":
            with Image.open(path, formats=["WEBP"]) as image:
                for shown in ImageSequence.Iterator(image):
                    yield partial(_pixels_of_webp, shown)
        else:
            with _open(path, fps) as container:
                for frame in container.decode(video=0):
                    yield partial(_pixels, frame)


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError, ValueError, EOFError, SyntaxError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _open(path: Path, fps: Fraction) -> av.container.InputContainer:
    # "file:", or a colon in a name would be taken for a protocol.
    name = f"file:{path.absolute()}"
    if not path.is_dir():
        return av.open(name, metadata_errors="replace")
    options = {"framerate": f"{fps.numerator}/{fps.denominator}", "start_number": "0", "pattern_type": "sequence"}
    return av.open(f"{name.replace('%', '%%')}/{PICTURES}", format="image2", options=options)


def _read(container: av.container.InputContainer, threads: int) -> Readback:
    if not container.streams.video:
        raise Unreadable("there is no video in it")
    stream = container.streams.video[0]
    context = stream.codec_context
    # A frame that does not decode cleanly is an error here, not something to paint over.
    context.options = {"err_detect": "explode"}
    stream.thread_type = "AUTO"
    context.thread_count = threads
    assert stream.time_base is not None
    said = Said(
        width=context.width,
        height=context.height,
        codec=context.codec.canonical_name,
        pixel_format=context.pix_fmt,
        rate=None if container.format.name == "gif" else stream.average_rate,
        tags=(context.colorspace, context.color_primaries, context.color_trc, context.color_range),
        tick=stream.time_base,
    )
    readback = Readback(said, iter(()))
    readback.frames = _decode(container, stream, readback.sound)
    return readback


def _decode(container: av.container.InputContainer, stream: VideoStream, sound: dict[int, Fraction]) -> Iterator[Shown]:
    tick = stream.time_base
    assert tick is not None
    tracks = {track.index: track.time_base for track in container.streams.audio}
    sound.update(dict.fromkeys(tracks, Fraction(0)))
    for packet in container.demux(stream, *container.streams.audio):
        if packet.stream_index in tracks:
            sound[packet.stream_index] += (packet.duration or 0) * (tracks[packet.stream_index] or 0)
            continue
        for frame in packet.decode():
            assert isinstance(frame, av.VideoFrame)
            if frame.is_corrupt:
                raise Unreadable(f"the frame at {frame.time} s is damaged")
            if frame.pts is None:
                raise Unreadable("a frame has no time")
            yield Shown(
                time=frame.pts * tick,
                length=(frame.duration or 0) * tick,
                width=frame.width,
                height=frame.height,
                fingerprint=_fingerprint(frame),
            )


def _fingerprint(frame: av.VideoFrame) -> Fingerprint:
    layout = frame.format
    bits = layout.components[0].bits
    if len(frame.planes) == 3 and layout.name.startswith(("yuv", "gbrp")):
        matrix = "gbr" if layout.is_rgb else _MATRICES.get(int(frame.colorspace), "bt709")
        full = int(frame.color_range) == _FULL_RANGE or layout.name.startswith("yuvj")
        return fingerprint_planes([_plane(plane, bits) for plane in frame.planes], bits, matrix, full)
    pixels: npt.NDArray[Any] = frame.to_ndarray(format="rgb24" if bits == 8 else "rgb48le")
    return fingerprint_rgb(pixels)


def _pixels(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    # A matrix that is not said is taken for BT.709, as above; swscale would take BT.601.
    matrix = Colorspace.ITU709 if int(frame.colorspace) == _UNSPECIFIED else None
    return frame.to_ndarray(format="rgb24", src_colorspace=matrix).astype(np.uint8, copy=False)


def _plane(plane: Any, bits: int) -> npt.NDArray[Any]:
    """(H, W) uint8 or uint16, a view of the decoder's own memory."""
    octets = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return octets[:, : plane.width] if bits == 8 else octets[:, : 2 * plane.width].view("<u2")


def _read_webp(image: Image.Image) -> Readback:
    width, height = image.size
    said = Said(
        width=width,
        height=height,
        codec="webp",
        pixel_format=None,
        rate=None,
        tags=(2, 2, 2, 0),
        tick=Fraction(1, 1000),
    )
    return Readback(said, _decode_webp(image))


def _decode_webp(image: Image.Image) -> Iterator[Shown]:
    time = Fraction(0)
    for frame in ImageSequence.Iterator(image):
        pixels = _pixels_of_webp(frame)  # before its length, which is known from then on
        length = Fraction(int(frame.info.get("duration", 0)), 1000)
        yield Shown(time, length, frame.width, frame.height, fingerprint_rgb(pixels))
        time += length


def _pixels_of_webp(frame: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(frame.convert("RGB"), dtype=np.uint8)
