"""The codecs and containers there are, as tables: what goes into what, and how it is said to ffmpeg."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from framedaemon_ffmpeg.options import Chroma

Formats = Mapping[tuple[Chroma, int], str]
"""(chroma, bits) to ffmpeg's pixel format."""

X264_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")

_YUV: Formats = {
    ("4:2:0", 8): "yuv420p",
    ("4:2:2", 8): "yuv422p",
    ("4:4:4", 8): "yuv444p",
    ("4:2:0", 10): "yuv420p10le",
    ("4:2:2", 10): "yuv422p10le",
    ("4:4:4", 10): "yuv444p10le",
}


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a codec is told: its crf, its own word for the speed, the threads it may use."""

    crf: int
    speed: str
    threads: int


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as ``[encode] codec`` names it."""

    name: str
    encoder: str
    """ffmpeg's software encoder; Pillow for png."""
    formats: Formats
    arguments: Callable[[Tuning], list[str]]
    crf: tuple[int, int, int] | None = None
    """Lowest, default, highest; None: the codec has no such dial."""
    speeds: tuple[str, ...] = ()
    """The codec's own words for the nine presets, ultrafast first; empty: it has no such dial."""
    chroma: Chroma = "4:2:0"
    """What ``chroma = "auto"`` means."""
    smallest: int = 16
    """Pixels on a side at least."""
    limit: int = 16384
    """Pixels on a side at most."""

    @property
    def depths(self) -> list[int]:
        """Bits per sample that it stores, ascending."""
        return sorted({depth for _, depth in self.formats})

    @property
    def chromas(self) -> list[Chroma]:
        """The chroma resolutions that it stores."""
        return list(dict.fromkeys(chroma for chroma, _ in self.formats))


def _x264(tuning: Tuning) -> list[str]:
    return ["-crf", str(tuning.crf), "-preset", tuning.speed, "-threads", str(tuning.threads), *_x264_instructions()]


@cache
def _x264_instructions() -> list[str]:
    """AVX2 at most: on a busy virtual machine with AVX-512, 7 of 1,000 files of the same frames were others.

    By AVX2 none of 500 were, and the bytes are those of the rest: what a job makes must not depend on its neighbours.
    """
    try:
        features = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    return ["-x264-params", "asm=avx2"] if " avx512" in features else []


def _x265(tuning: Tuning) -> list[str]:
    pools = "pools=none:frame-threads=1" if tuning.threads == 1 else f"pools={tuning.threads}"
    return ["-crf", str(tuning.crf), "-preset", tuning.speed, "-x265-params", f"log-level=error:{pools}"]


def _svt(tuning: Tuning) -> list[str]:
    # lp: SVT's level of parallelism, 1..6, one core at 1
    return ["-crf", str(tuning.crf), "-preset", tuning.speed, "-svtav1-params", f"lp={min(tuning.threads, 6)}"]


def _vpx(tuning: Tuning) -> list[str]:
    speed = ["-deadline", "good", "-cpu-used", tuning.speed, "-row-mt", "1" if tuning.threads > 1 else "0"]
    return ["-crf", str(tuning.crf), "-b:v", "0", *speed, "-threads", str(tuning.threads)]


def _prores(tuning: Tuning) -> list[str]:
    return ["-profile:v", "hq", "-vendor", "apl0", "-threads", str(tuning.threads)]


def _ffv1(tuning: Tuning) -> list[str]:
    # level 3 with checksums and whole pictures only: the form archives ask for
    return ["-level", "3", "-g", "1", "-slicecrc", "1", "-threads", str(tuning.threads)]


def _webp(tuning: Tuning) -> list[str]:
    return ["-quality", str(100 - tuning.crf), "-loop", "0", "-threads", str(tuning.threads)]


CODECS: Mapping[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec("h264", "libx264", _YUV, _x264, crf=(0, 18, 51), speeds=X264_PRESETS),
        Codec("hevc", "libx265", _YUV, _x265, crf=(0, 20, 51), speeds=X264_PRESETS),
        Codec(
            "av1",
            "libsvtav1",
            {("4:2:0", 8): "yuv420p", ("4:2:0", 10): "yuv420p10le"},
            _svt,
            crf=(1, 24, 63),
            speeds=("12", "11", "10", "10", "9", "8", "6", "5", "4"),
        ),
        Codec(
            "vp9",
            "libvpx-vp9",
            _YUV,
            _vpx,
            crf=(0, 24, 63),
            speeds=("5", "5", "5", "4", "4", "3", "2", "1", "0"),
            limit=65535,
        ),
        Codec(
            "prores",
            "prores_ks",
            {("4:2:2", 10): "yuv422p10le"},
            _prores,
            chroma="4:2:2",
        ),
        Codec("ffv1", "ffv1", {("rgb", 8): "bgr0", ("rgb", 10): "gbrp10le"}, _ffv1, chroma="rgb", limit=32767),
        Codec("gif", "gif", {("rgb", 8): "bgra"}, lambda tuning: ["-loop", "0"], chroma="rgb", limit=65535),
        Codec("webp", "libwebp", {("4:2:0", 8): "yuv420p"}, _webp, crf=(0, 15, 100), limit=16383),
        Codec("png", "pillow", {("rgb", 8): "rgb24", ("rgb", 10): "rgb48be"}, lambda tuning: [], chroma="rgb"),
    )
}


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file as ``[encode] container`` names it."""

    name: str
    muxer: str
    suffix: str
    codecs: tuple[str, ...]
    """The first is what ``codec = "auto"`` means."""
    tagged: bool = True
    """Whether it carries colour tags."""
    sound_copied: frozenset[str] = frozenset()
    """Codecs of sound that go in as they are; empty: the container has no sound."""
    sound_made: tuple[str, str] = ("", "")
    """ffmpeg's encoder and bit rate for sound that has to be encoded anew."""
    fps_limit: int | None = None
    """Frames per second that its clock can tell apart and players honour."""
    clock: int | None = None
    """Ticks a second, where frame times are rounded to them."""


_AAC = ("aac", "192k")
_OPUS = ("libopus", "160k")
_MP4_SOUND = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_PCM = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be", "pcm_f32le"})

CONTAINERS: Mapping[str, Container] = {
    container.name: container
    for container in (
        Container("mp4", "mp4", ".mp4", ("h264", "hevc", "av1", "vp9"), True, _MP4_SOUND | {"opus"}, _AAC),
        Container(
            "mkv",
            "matroska",
            ".mkv",
            ("h264", "hevc", "av1", "vp9", "prores", "ffv1"),
            True,
            _MP4_SOUND | _PCM | {"opus", "vorbis", "flac", "dts", "truehd", "mp2"},
            _AAC,
        ),
        Container("webm", "webm", ".webm", ("vp9", "av1"), True, frozenset({"opus", "vorbis"}), _OPUS),
        Container("mov", "mov", ".mov", ("h264", "hevc", "prores"), True, _MP4_SOUND | _PCM, _AAC),
        # 50: players show a gif frame of 1/100 s for 1/10 s
        Container("gif", "gif", ".gif", ("gif",), False, fps_limit=50, clock=100),
        # 90: the same for a webp frame of 10/1000 s
        Container("webp", "webp", ".webp", ("webp",), False, fps_limit=90, clock=1000),
        Container("png", "", "", ("png",), False),
    )
}
