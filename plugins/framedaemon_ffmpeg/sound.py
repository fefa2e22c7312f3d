"""The sound that goes along: which tracks a file has, and which of them a container takes as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from framedaemon import StageFailed
from framedaemon_ffmpeg.codecs import Container

if TYPE_CHECKING:
    import av

DEMUXERS = "mov,matroska,avi,mpegts,mpeg,ogg,flv,asf,wav,w64,aiff,mp3,aac,flac,mxf,caf,nut"
"""ffmpeg's readers of files that stand alone. Playlists are not among them: they name other files."""

# ISO 639-2 has two codes for some languages. mov knows only the older ones; mkv and mp4 know both.
_OLDER_CODES = {
    "bod": "tib", "ces": "cze", "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "fas": "per", "fra": "fre",
    "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac", "mri": "mao", "msa": "may", "mya": "bur", "nld": "dut",
    "ron": "rum", "slk": "slo", "sqi": "alb", "zho": "chi",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """One track and what becomes of it."""

    codec: str
    """``copy``, or ffmpeg's encoder."""
    bitrate: str
    """``192k``; empty for a copy."""
    language: str
    """ISO 639: ``eng``; empty where the file does not say."""

    def arguments(self, number: int) -> list[str]:
        """What ffmpeg's encoder is told for track ``number``."""
        return [f"-b:a:{number}", self.bitrate] if self.bitrate else []


@dataclass(frozen=True, slots=True)
class SoundTracks:
    """Every sound track of a file."""

    path: Path
    tracks: tuple[SoundTrack, ...]
    starts_at: Fraction
    """Seconds from the file's start to its first picture: sound before that has no frame."""


def read_tracks(path: Path, container: Container) -> SoundTracks:
    """The sound tracks of ``path``, ready for ``container``. Raises StageFailed when it cannot be read."""
    import av

    try:
        with av.open(
            f"file:{path.absolute()}", options={"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
        ) as file:
            tracks = tuple(
                _track(stream.codec_context.name, stream.metadata.get("language", ""), container)
                for stream in file.streams.audio
            )
            return SoundTracks(path, tracks, _first_picture(file))
    except (av.FFmpegError, OSError) as error:
        raise StageFailed(f"the sound of {path.name!r} cannot be read: {error}") from error


def _track(codec: str, language: str, container: Container) -> SoundTrack:
    known = language if re.fullmatch("[a-z]{2,3}", language) and language != "und" else ""
    known = _OLDER_CODES.get(known, known)
    if codec in container.sound_copied:
        return SoundTrack("copy", "", known)
    encoder, bitrate = container.sound_made
    return SoundTrack(encoder, bitrate, known)


def _first_picture(file: av.container.InputContainer) -> Fraction:
    if not file.streams.video or file.start_time is None:
        return Fraction(0)
    video = file.streams.video[0]
    if video.start_time is None or video.time_base is None:
        return Fraction(0)
    return max(Fraction(0), video.start_time * video.time_base - Fraction(file.start_time, 1_000_000))
