"""A video file, understood: size as shown, exact number of frames, rate, sound.

    file ─▶ demuxer named by its first bytes ─▶ header (size checked) ─▶ times of all frames ─▶ cadence ─▶ Footage

Times come from the packets, which costs reading the file but not decoding it, where one packet is one frame and
the first frames, decoded, agree; else everything is decoded once. Only the file itself is ever read: playlists are
no format here, and a demuxer that asks for another file is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NoReturn

import av
import av.container
import av.stream
import av.video.frame
import av.video.stream

from framedaemon.cadence import find_cadence
from framedaemon.errors import JobRejected
from framedaemon.formats import Format
from framedaemon.sources import Footage

if TYPE_CHECKING:
    from framedaemon.opening import Limits

_MAX_FRAMES = 1_000_000
_MAX_PIXELS = 40_000_000
"""Of a frame: 8192x4320 and a little. A decoder holds some twenty frames, so a picture's limit would be 4 GB here."""
_LOOK_AT = 24
"""Frames decoded to see whether packets tell the truth; more than any codec holds back to reorder."""

_ONE_PACKET_ONE_FRAME = frozenset(
    {"h264", "hevc", "libdav1d", "av1", "libaom-av1", "vp9", "libvpx-vp9", "mpeg4", "mjpeg", "prores", "ffv1", "dnxhd"}
)
_SHORT_SECONDS, _SHORT_SHARE, _SHORT_GRACE = Fraction(1), Fraction(1, 20), Fraction(1, 10)
"""A file that ends a second, or a twentieth of itself, before its header says (a tenth of a second aside: headers
round) is cut short."""

_HDR = {16: "PQ", 18: "HLG"}  # ITU-T H.273 transfer characteristics
_BT2020 = 9
_AGAIN = "Copy it again from where it came, or convert it to MP4 and drop that."


@dataclass(frozen=True, slots=True)
class _Look:
    """What decoding the first frames shows."""

    times: list[int | None]
    size: tuple[int, int]
    rotation: int
    """Degrees, -180..180."""
    bits: int
    transfer: int
    primaries: int
    interlaced: bool
    alpha: bool


def read_footage(file: BinaryIO, found: Format, path: Path, name: str, limits: Limits) -> Footage:
    """What the video in ``file`` shows.

    Raises JobRejected for one that is broken, cut short, has no pictures, or is too small, large or long.
    """
    limits = replace(limits, max_pixels=min(limits.max_pixels, _MAX_PIXELS))
    try:
        with _open(file, found) as container:
            stream = _video_stream(container, found, name)
            limits.check(stream.codec_context.width, stream.codec_context.height, name)
            look = _look(container, stream, name)
            limits.check(*look.size, name)
            sound = bool(container.streams.audio)
            declared = (stream.average_rate, stream.guessed_rate)
            by_index = counts_by_index(container, stream)
            time_base = stream.time_base or Fraction(1, 1000)
            aspect = stream.sample_aspect_ratio or Fraction(1)
        times = None if by_index else _times_of_packets(file, found, look, name)
        if times is None:
            times = _times_of_frames(file, found, by_index, name)
    except av.FFmpegError as error:
        raise JobRejected(
            f"{name} is {found.label} that is broken or cut short ({error.strerror}). {_AGAIN}"
        ) from error
    if by_index:
        time_base = 1 / (declared[0] or Fraction(25))
    if not times:
        raise JobRejected(f"{name} holds no picture that can be decoded. {_AGAIN}")
    cadence = find_cadence(times, time_base, declared)
    if cadence.frames > _MAX_FRAMES:
        raise JobRejected(f"{name} would be {cadence.frames:,} frames long; {_MAX_FRAMES:,} is the limit. Cut it.")
    width, height = shown_size(*look.size, aspect, 45 < abs(look.rotation) % 180 < 135)
    limits.check(width, height, name)
    depth: Literal[8, 16] = 16 if look.bits > 8 else 8
    notes = [cadence.note, *_notes(look, aspect)]
    return Footage(path, width, height, cadence.frames, cadence.fps, depth, sound, tuple(filter(None, notes)))


def shown_size(width: int, height: int, aspect: Fraction, quarter_turned: bool) -> tuple[int, int]:
    """The size on screen: the shorter-sampled side stretched to square pixels (to an even number), then turned."""
    if not Fraction(1, 8) <= aspect <= 8:
        aspect = Fraction(1)
    if aspect > 1:
        width = 2 * round(width * aspect / 2)
    elif aspect < 1:
        height = 2 * round(height / aspect / 2)
    return (height, width) if quarter_turned else (width, height)


def counts_by_index(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> bool:
    """Whether frames carry no usable times: AVI has none, and what reordered frames get is made up."""
    return container.format.name == "avi" and bool(stream.codec_context.has_b_frames)


def _open(file: BinaryIO, found: Format) -> av.container.InputContainer:
    """The container in ``file``, by the demuxer that its first bytes name, which gets to open nothing else."""
    file.seek(0)
    return av.open(file, mode="r", format=found.reader, io_open=_refuse_to_open, metadata_errors="replace")


def _refuse_to_open(url: str, flags: int, options: object) -> NoReturn:
    raise PermissionError(f"a video may not name other files: {url}")


def _video_stream(container: av.container.InputContainer, found: Format, name: str) -> av.video.stream.VideoStream:
    """The stream of moving pictures; a cover picture is none."""
    covers = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams and container.streams.audio:
        raise JobRejected(f"{name} is {found.label} with sound only. Drop one that has pictures.")
    if not streams:
        raise JobRejected(f"{name} is {found.label} without any pictures in it. {_AGAIN}")
    if streams[0].codec_context is None:
        raise JobRejected(f"{name} has pictures in a coding that is not known here. Convert it to MP4 and drop that.")
    streams[0].codec_context.options = {"max_pixels": str(_MAX_PIXELS)}  # what the header says need not be the truth
    return streams[0]


def _look(container: av.container.InputContainer, stream: av.video.stream.VideoStream, name: str) -> _Look:
    """Decodes the first frames."""
    look = None
    times: list[int | None] = []
    for frame in islice(container.decode(stream), _LOOK_AT):
        look = look or _facts(frame, times, name)
        times.append(frame.pts)
    if look is None:
        raise JobRejected(f"{name} holds no picture that can be decoded. {_AGAIN}")
    return look


def _facts(first: av.video.frame.VideoFrame, times: list[int | None], name: str) -> _Look:
    """Raises JobRejected for colours that nothing here can convert."""
    try:
        first.reformat(16, 16, "rgb24")
    except (av.FFmpegError, ValueError) as error:
        raise JobRejected(
            f"{name} has colours in a coding that is not known here. Convert it to MP4 and drop that."
        ) from error
    return _Look(
        times=times,
        size=(first.width, first.height),
        rotation=first.rotation,
        bits=max(component.bits for component in first.format.components),
        transfer=int(first.color_trc),
        primaries=int(first.color_primaries),
        interlaced=first.interlaced_frame,
        alpha=any(component.is_alpha for component in first.format.components),
    )


def _times_of_packets(file: BinaryIO, found: Format, look: _Look, name: str) -> list[int] | None:
    """When each frame appears, without decoding; None where packets cannot be trusted to tell."""
    with _open(file, found) as container:
        stream = _video_stream(container, found, name)
        if found.reader not in ("mov", "matroska") or stream.codec_context.name not in _ONE_PACKET_ONE_FRAME:
            return None
        times: list[int | None] = []
        end = Fraction(0)
        for packet in container.demux():
            if packet.is_corrupt:
                raise JobRejected(f"{name} is cut short or broken: its last pictures are incomplete. {_AGAIN}")
            if packet.size and packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.size and packet.stream is stream and not packet.is_discard:
                times.append(packet.pts)
        if found.reader == "matroska" and container.duration:
            _check_whole(end, Fraction(container.duration, av.time_base), name)
    known = sorted(time for time in times if time is not None)
    if len(known) != len(times) or len(set(known)) != len(known) or known[: len(look.times)] != look.times:
        return None
    return known


def _times_of_frames(file: BinaryIO, found: Format, by_index: bool, name: str) -> list[int]:
    """When each frame appears, by decoding everything."""
    times: list[int] = []
    broken = 0
    with _open(file, found) as container:
        stream = _video_stream(container, found, name)
        stream.thread_type = "AUTO"
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                broken += 1
                continue
            for frame in frames:
                time = len(times) if by_index else frame.pts
                if time is None or (times and time < times[-1]):
                    raise JobRejected(
                        f"{name}: the times of its pictures are missing or run backwards after picture {len(times)}. "
                        "Convert it to MP4 and drop that."
                    )
                times.append(time)
        if broken > max(2, len(times) // 100):
            raise JobRejected(f"{name} is broken: {broken} of its pictures cannot be decoded. {_AGAIN}")
        if found.reader == "avi" and stream.average_rate:
            _check_whole(len(times) / stream.average_rate, stream.frames / stream.average_rate, name)
    return times


def _check_whole(seconds: Fraction, declared: Fraction, name: str) -> None:
    """Raises JobRejected when a file ends well before its header says."""
    missing = declared - seconds
    if missing > min(_SHORT_SECONDS, declared * _SHORT_SHARE) + _SHORT_GRACE:
        raise JobRejected(
            f"{name} is cut short: it says {float(declared):.1f} s but ends after {float(seconds):.1f} s. {_AGAIN}"
        )


def _notes(look: _Look, aspect: Fraction) -> list[str]:
    notes = []
    if aspect != 1:
        notes.append(f"stretched to square pixels from {aspect.numerator}:{aspect.denominator}")
    if look.rotation:
        notes.append("turned upright as its rotation flag says")
    if look.transfer in _HDR:
        notes.append(
            f"HDR ({_HDR[look.transfer]}): its colours are taken as they are and look flat on ordinary screens"
        )
    elif look.primaries == _BT2020:
        notes.append("BT.2020 colours are taken as they are and look pale on ordinary screens")
    if look.interlaced:
        notes.append("deinterlaced")
    if look.alpha:
        notes.append("its transparency is ignored")
    return notes
