"""Finished parts of a clip made into one file: packets are copied, nothing is encoded again.

    parts ─▶ ffmpeg's concat reader ─▶ times put back on whole frames ─▶ container ─▶ one file
                                       sound tracks of the footage ──────┘  └─ comment

Each part is a file of its own and begins with a whole picture. Between them concat counts in microseconds; each packet
is put back on the time of its frame, so that the file has the times that it would have had without parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from framedaemon import ClipSpec, Delivery, StageFailed
from framedaemon_ffmpeg.binary import ffmpeg_binary
from framedaemon_ffmpeg.choice import Choice
from framedaemon_ffmpeg.command import codec_tag, finish_arguments, sound_input
from framedaemon_ffmpeg.process import feed
from framedaemon_ffmpeg.sound import SoundTracks


def join_parts(
    parts: Sequence[Path],
    choice: Choice,
    takes: ClipSpec,
    delivery: Delivery,
    comment: Path,
    sound: SoundTracks | None,
    faststart: bool,
) -> None:
    """Write ``delivery.output`` from ``parts``, which make up the clip ``takes``. comment: an ffmetadata file.

    Raises StageFailed where a part is not there, else as `feed`.
    """
    # ffmpeg passes over what it cannot open; told to stop at errors, it would stop at those in the sound as well.
    lost = [part.name for part in parts if not part.is_file()]
    if lost:
        raise StageFailed(f"parts of the video are gone: {', '.join(lost)}")
    listed = delivery.scratch.folder / "parts.ffconcat"
    try:
        listed.write_text("ffconcat version 1.0\n" + "".join(f"file {_quoted(part)}\n" for part in parts), "utf-8")
        feed(_command(choice, takes, delivery.output, listed, comment, sound, faststart), (), delivery.output.parent)
    finally:
        listed.unlink(missing_ok=True)


def _command(
    choice: Choice,
    takes: ClipSpec,
    output: Path,
    listed: Path,
    comment: Path,
    sound: SoundTracks | None,
    faststart: bool,
) -> list[str]:
    scale, unit = takes.fps.numerator, takes.fps.denominator
    # In ticks of the part's own clock, which is the container's, as round as they would have been: 1/TB is a whole
    # number, and so is all but the last quotient.
    whole = "round(round({0}*TB*{1}/{2})*{2}*round(1/TB)/{1})"
    return [
        ffmpeg_binary(),
        *("-hide_banner", "-loglevel", "warning", "-n"),
        *("-protocol_whitelist", "file", "-f", "concat", "-safe", "0", "-i", f"file:{listed.absolute()}"),
        *sound_input(sound, takes.duration),
        *("-protocol_whitelist", "file", "-f", "ffmetadata", "-i", f"file:{comment.absolute()}"),
        *("-map", "0:v", "-c:v", "copy", *codec_tag(choice)),
        *("-bsf:v", f"setts=pts={whole.format('PTS', scale, unit)}:dts={whole.format('DTS', scale, unit)}"),
        *finish_arguments(choice, output, sound, faststart),
    ]


def _quoted(path: Path) -> str:
    """A path as ffconcat has it: whatever stands between single quotes is meant literally."""
    return "'file:" + str(path.absolute()).replace("'", "'\\''") + "'"
