"""Frames of a video file at a constant rate, one at a time.

    packets ─▶ decoder ─▶ slots (times made constant) ─▶ every frame that is shown: RGB, square pixels, upright

Nothing is kept but the decoder's own frames and the one on screen. The file was understood before (`Footage`):
here it is only read again, by the demuxer that its first bytes name, and may name no other file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import NoReturn, TypeAlias

import av
import av.container
import av.filter
import av.stream
import av.video.frame
import av.video.stream

from framedaemon import ClipSpec, Footage, Frame, JobRejected, StageFailed
from framedaemon_video.painting import Painter

_Seen: TypeAlias = tuple[Fraction, av.video.frame.VideoFrame]
"""Seconds after the first frame, and the frame."""

_MAX_PIXELS = 40_000_000
"""Of a frame, as when the file was opened; a stream may try to grow in the middle, and a decoder holds many frames."""
_LATITUDE = Fraction(3, 4)
"""A frame takes the next slot where it stands at most this share of a slot off it (the core counts likewise)."""


def stream_frames(
    footage: Footage,
    gives: ClipSpec,
    threads: int,
    start: int = 0,
    passed: Callable[[float], None] = lambda share: None,
) -> Iterator[Frame]:
    """The clip ``gives`` of ``footage``: (H, W, 3) RGB, read-only; one object where a frame is shown again.

    What comes before frame ``start`` is decoded, as later frames lean on it, but not converted; ``passed`` is told how
    much of the footage that is so far, 0..1.
    Raises JobRejected where more than a few of the frames cannot be decoded.
    """
    painter = Painter(gives)
    step = footage.fps / gives.fps
    shown = ((int(number * step + Fraction(1, 2))) for number in range(start, gives.frames))
    wanted, painted, painted_slot = next(shown), None, -1
    with _open(footage.path) as container:
        stream = _video_stream(container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = max(1, threads)
        stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
        for first, beyond, frame in _on_screen(_whole(_decoded(container, stream)), footage):
            painter.look(frame)
            if beyond <= wanted:
                passed(beyond / footage.frames)
            while first <= wanted < beyond:
                if painted is None or painted_slot != first:
                    painted, painted_slot = painter.paint(frame), first
                yield painted
                following = next(shown, None)
                if following is None:
                    return
                wanted = following


def _on_screen(seen: Iterable[_Seen], footage: Footage) -> Iterator[tuple[int, int, av.video.frame.VideoFrame]]:
    """Each frame that is shown, with its first slot and the first slot after it; the last one fills the clip."""
    last, held = -1, None
    for seconds, frame in seen:
        slot = _next_slot(seconds * footage.fps, last)
        if held is not None and slot > last:
            yield last, slot, held
        last, held = slot, frame
    if held is None:
        raise StageFailed(f"{footage.path.name}: nothing could be decoded")
    missing = footage.frames - 1 - last
    if missing > max(2, footage.frames // 100):
        raise JobRejected(f"{footage.path.name}: its last {missing} frames cannot be decoded; the file is broken")
    yield last, footage.frames, held


def _next_slot(place: Fraction, last: int) -> int:
    """The slot of a frame that stands at ``place``, in slots after the first frame, when ``last`` is taken."""
    if abs(place - (last + 1)) <= _LATITUDE:
        return last + 1
    return max(last, int((2 * place + 1) // 2))


def _decoded(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Iterator[_Seen]:
    """Frames in the order they are shown; packets that cannot be decoded are passed over."""
    by_index = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
    gap = 1 / Fraction(stream.average_rate or 25)
    start, index = None, 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in frames:
            time = index * gap
            if not by_index and frame.pts is not None and frame.time_base is not None:
                time = frame.pts * frame.time_base
            start = time if start is None else start
            index += 1
            yield time - start, frame


def _whole(seen: Iterator[_Seen]) -> Iterator[_Seen]:
    """Interlaced frames made whole by ffmpeg's bwdif, others as they are."""
    first = next(seen, None)
    if first is None:
        return
    if not first[1].interlaced_frame:
        yield first
        yield from seen
        return
    graph, times = _deinterlacer(first[1]), []
    for seconds, frame in chain([first], seen):
        times.append(seconds)
        graph.vpush(frame)
        yield from _pulled(graph, times)
    graph.vpush(None)
    yield from _pulled(graph, times)


def _deinterlacer(like: av.video.frame.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=like.time_base)
    bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph


def _pulled(graph: av.filter.Graph, times: list[Fraction]) -> Iterator[_Seen]:
    """What is ready, each with the time of the frame it was made of: one comes out for one that went in."""
    while True:
        try:
            frame = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        yield times.pop(0), frame


@contextmanager
def _open(path: Path) -> Iterator[av.container.InputContainer]:
    """The container in the file, by the demuxer that its first bytes name."""
    with path.open("rb") as file:
        demuxer = _demuxer(file.read(12))
        file.seek(0)
        with av.open(file, mode="r", format=demuxer, io_open=_refuse_to_open, metadata_errors="replace") as container:
            yield container


def _demuxer(head: bytes) -> str:
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF"):
        return "avi"
    return "mov" if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot") else "mpegts"


def _refuse_to_open(url: str, flags: int, options: object) -> NoReturn:
    raise PermissionError(f"a video may not name other files: {url}")


def _video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    covers = av.stream.Disposition.attached_pic
    return next(stream for stream in container.streams.video if not stream.disposition & covers)
