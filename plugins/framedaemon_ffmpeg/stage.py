"""The stage itself: what it promises, what it costs, and the encoding."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from framedaemon import (
    Clip,
    ClipSpec,
    Delivery,
    Encode,
    EncoderOptions,
    Estimate,
    FramedaemonError,
    Machine,
    Placement,
    StageFailed,
    VideoSpec,
)
from framedaemon_ffmpeg.binary import missing_part
from framedaemon_ffmpeg.choice import Choice, choose
from framedaemon_ffmpeg.command import build_command
from framedaemon_ffmpeg.comments import comment_gif, comment_webp, ffmetadata
from framedaemon_ffmpeg.cost import estimate_cost
from framedaemon_ffmpeg.joining import join_parts
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.pictures import write_pictures
from framedaemon_ffmpeg.process import as_failure, feed, flush
from framedaemon_ffmpeg.sound import SoundTracks, read_tracks
from framedaemon_ffmpeg.trying import try_encoders


class Ffmpeg:
    """Encodes with ffmpeg: mp4, mkv, webm, mov, gif, webp, or a folder of PNGs."""

    name: ClassVar[str] = "ffmpeg"
    summary: ClassVar[str] = "mp4, mkv, webm, mov, gif, webp or PNGs; H.264, HEVC, AV1, VP9, ProRes, FFV1"
    options: ClassVar[type[EncoderOptions]] = FfmpegOptions
    preference: ClassVar[int] = 10

    def unready(self, machine: Machine) -> str | None:
        return missing_part()

    def tried(self, machine: Machine) -> Mapping[str, str | None]:
        return try_encoders()

    def promise(self, takes: ClipSpec, sound: bool, options: FfmpegOptions) -> VideoSpec:
        choice = choose(takes, options, sound)
        return VideoSpec(
            width=choice.width,
            height=choice.height,
            frames=takes.frames,
            fps=takes.fps,
            suffix=choice.container.suffix,
            codec=choice.codec.name,
            encoder=choice.encoder,
            pixel_format=choice.pixel_format,
            tagged=choice.tagged,
            sound=sound and bool(choice.container.sound_copied),
            joins=choice.joins,
            notes=choice.notes,
        )

    def estimate(self, takes: ClipSpec, options: FfmpegOptions) -> Estimate:
        return estimate_cost(choose(takes, options), takes, options.threads)

    @contextmanager
    def load(self, placement: Placement, options: FfmpegOptions) -> Iterator[Encode]:
        threads = options.threads or placement.threads

        def encode(clip: Clip, delivery: Delivery) -> None:
            _encode(clip, delivery, options, threads)

        yield encode

    def join(self, parts: Sequence[Path], takes: ClipSpec, delivery: Delivery, options: FfmpegOptions) -> None:
        choice = choose(takes, options)
        with _delivered(delivery.output), _accompanied(delivery, choice) as (comment, sound):
            join_parts(parts, choice, takes, delivery, comment, sound, options.faststart)


def _encode(clip: Clip, delivery: Delivery, options: FfmpegOptions, threads: int) -> None:
    """Write the clip to ``delivery.output``, whole and on the disk, or leave nothing there."""
    output, choice = delivery.output, choose(clip.spec, options)
    try:
        with _delivered(output):
            if choice.codec.name == "png":
                write_pictures(clip, output, delivery.comment, choice.depth, threads)
            else:
                _encode_file(clip, delivery, choice, options, threads)
    finally:
        clip.close()


def _encode_file(clip: Clip, delivery: Delivery, choice: Choice, options: FfmpegOptions, threads: int) -> None:
    output = delivery.output
    with _accompanied(delivery, choice) as (comment, sound):
        feed(build_command(choice, clip.spec, output, comment, sound, threads, options.faststart), clip, output.parent)
    if choice.container.name == "gif":
        comment_gif(output, delivery.comment)
    elif choice.container.name == "webp":
        comment_webp(output, delivery.comment)


@contextmanager
def _accompanied(delivery: Delivery, choice: Choice) -> Iterator[tuple[Path, SoundTracks | None]]:
    """What goes along with the pictures: the comment in a file, which does not outlive this, and the sound."""
    comment = delivery.scratch.folder / "comment.ffmetadata"
    has_sound = delivery.sound is not None and bool(choice.container.sound_copied)
    sound = read_tracks(delivery.sound, choice.container) if delivery.sound and has_sound else None
    try:
        comment.write_text(ffmetadata(delivery.comment), "utf-8", "replace", newline="")
        yield comment, sound
    finally:
        comment.unlink(missing_ok=True)


@contextmanager
def _delivered(output: Path) -> Iterator[None]:
    """``output``, whole and on the disk; whatever goes wrong, no part of it stays.

    Errors of the file system become the daemon's.
    """
    if output.exists():
        raise StageFailed(f"{output} is there already")
    try:
        yield
        flush(output)
        flush(output.parent)
    except BaseException as error:
        failure = as_failure(error, output.parent) if isinstance(error, OSError) else None
        if output.is_dir():
            shutil.rmtree(output, ignore_errors=True)
        else:
            output.unlink(missing_ok=True)
        if failure is not None and not isinstance(error, FramedaemonError):
            raise failure from error
        raise
