"""Parts of a clip, joined: every codec in every container that has any, with sound, and with what goes along."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest

from framedaemon import Clip, ClipSpec, Delivery, Placement, Scratch
from framedaemon.testing.encoder import EncoderContract, draw
from framedaemon_ffmpeg.binary import ffmpeg_binary
from framedaemon_ffmpeg.codecs import CONTAINERS
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.stage import Ffmpeg

NTSC = Fraction(24000, 1001)
# Each codec in each container that holds it, and in 8 and in 10 bits where it has both.
PAIRS = [
    *(("mp4", "h264", 8), ("mp4", "hevc", 8), ("mp4", "av1", 8), ("mp4", "vp9", 8)),
    *(("mkv", "h264", 8), ("mkv", "hevc", 10), ("mkv", "av1", 10), ("mkv", "vp9", 10), ("mkv", "prores", 10)),
    *(("mkv", "ffv1", 8), ("mkv", "ffv1", 10), ("webm", "vp9", 8), ("webm", "av1", 8)),
    *(("mov", "h264", 10), ("mov", "hevc", 8), ("mov", "prores", 10)),
]


def encode(folder: Path, options: FfmpegOptions, spec: ClipSpec, cuts: tuple[int, ...]) -> list[Path]:
    """The clip in as many files as ``cuts`` make of it."""
    frames, parts = draw(spec), list[Path]()
    for start, stop in pairwise(cuts):
        parts.append(folder / f"part{start}-{stop}.{options.container}")
        part = ClipSpec(spec.width, spec.height, stop - start, spec.fps, spec.depth)
        with Ffmpeg().load(Placement(threads=2), options) as work:
            work(Clip(part, islice(frames, stop - start)), Delivery(parts[-1], "", None, Scratch(folder)))
    return parts


def join(
    folder: Path, options: FfmpegOptions, spec: ClipSpec, cuts: tuple[int, ...], sound: Path | None = None
) -> Path:
    output = folder / f"joined.{options.container}"
    delivery = Delivery(output, '{"seed": 7}', sound, Scratch(folder))
    Ffmpeg().join(encode(folder, options, spec, cuts), spec, delivery, options)
    return output


def times(path: Path) -> tuple[list[Fraction], list[Fraction]]:
    """When pictures are shown, and when they are decoded, each ascending; where the container says so."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        tick = stream.time_base or Fraction(0)
        packets = [packet for packet in file.demux(stream) if packet.size]
    shown = sorted(packet.pts * tick for packet in packets if packet.pts is not None)
    return shown, [packet.dts * tick for packet in packets if packet.dts is not None]


def said(path: Path) -> list[str]:
    """What ffmpeg says of the streams in a file, bit rates apart."""
    done = subprocess.run([ffmpeg_binary(), "-hide_banner", "-i", str(path)], capture_output=True, text=True)
    lines = [line.strip() for line in done.stderr.splitlines() if "Stream #" in line or "Duration" in line]
    return [",".join(part for part in line.split(",") if "kb/s" not in part) for line in lines]


def test_no_pair_was_forgotten() -> None:
    pairs = {(container.name, codec) for container in CONTAINERS.values() for codec in container.codecs}

    assert {(container, codec) for container, codec, _ in PAIRS} == {
        pair for pair in pairs if pair[0] not in ("gif", "webp", "png")
    }


@pytest.mark.parametrize(("container", "codec", "depth"), PAIRS)
def test_every_codec_in_every_container_is_joined_without_a_change(
    container: str, codec: str, depth: int, tmp_path: Path
) -> None:
    options = FfmpegOptions(container=container, codec=codec, bit_depth=depth, preset=_fast(codec))
    spec = ClipSpec(97, 75, 6, NTSC, 16 if depth == 10 else 8)

    EncoderContract().test_joined_parts_are_the_clip_and_nothing_is_encoded_again(
        Ffmpeg(), options, spec, Placement(threads=2), tmp_path
    )


@pytest.mark.parametrize(
    ("container", "codec", "fps"),
    [
        ("mp4", "h264", NTSC),
        ("mp4", "h264", Fraction(1000, 7)),
        ("mov", "hevc", Fraction(25, 2)),
        ("mkv", "h264", NTSC),
        ("mkv", "hevc", Fraction(32)),
        ("webm", "vp9", NTSC),
    ],
)
def test_times_are_those_of_a_file_that_was_never_cut(
    tmp_path: Path, container: str, codec: str, fps: Fraction
) -> None:
    """Of packets too, whose order is not that in which B-frames are shown."""
    options = FfmpegOptions(container=container, codec=codec, preset="fast")
    spec = ClipSpec(64, 48, 60, fps)
    (whole,) = encode(tmp_path, options, spec, (0, 60))

    joined = join(tmp_path, options, spec, (0, 20, 41, 60))

    assert times(joined) == times(whole)
    assert said(joined) == said(whole)


def make_tone(folder: Path, seconds: int) -> Path:
    """A film with a tone."""
    path = folder / "tone.mp4"
    sources = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25", "-f", "lavfi", "-i", "sine=440")
    done = subprocess.run(
        [ffmpeg_binary(), "-loglevel", "error", *sources, "-t", str(seconds), "-metadata", "title=at home",
         "-metadata:s:a", "language=deu", str(path)]
    )  # fmt: skip
    assert done.returncode == 0
    return path


@pytest.mark.parametrize("container", ["mp4", "mkv", "webm", "mov"])
def test_sound_language_and_comment_go_along_and_nothing_else(tmp_path: Path, container: str) -> None:
    spec = ClipSpec(64, 48, 50, Fraction(25))
    options = FfmpegOptions(container=container, preset="ultrafast")

    joined = join(tmp_path, options, spec, (0, 30, 50), make_tone(tmp_path, seconds=4))

    with av.open(str(joined)) as file:
        seconds = sum(float((p.duration or 0) * (p.time_base or 0)) for p in file.demux(file.streams.audio[0]))
        language = file.streams.audio[0].metadata["language"]
        told = {key.lower(): value for key, value in file.metadata.items()}
    assert seconds == pytest.approx(2, abs=0.06)
    assert language in ("deu", "ger")
    assert told["comment"] == '{"seed": 7}'
    assert "at home" not in str(told)


def test_the_index_stands_first_where_it_is_wanted(tmp_path: Path) -> None:
    spec = ClipSpec(64, 48, 20, Fraction(25))

    data = join(tmp_path, FfmpegOptions(), spec, (0, 10, 20)).read_bytes()

    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_awkward_names_are_names(tmp_path: Path) -> None:
    folder = tmp_path / "it's a %d 'folder' # with \\ in it; and = 写真"
    folder.mkdir()
    spec = ClipSpec(64, 48, 20, Fraction(25))

    assert len(times(join(folder, FfmpegOptions(), spec, (0, 10, 20)))[0]) == 20


def test_nothing_but_the_video_is_left(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    spec, options = ClipSpec(64, 48, 20, Fraction(25)), FfmpegOptions()
    parts = encode(tmp_path, options, spec, (0, 10, 20))

    Ffmpeg().join(parts, spec, Delivery(tmp_path / "out.mp4", "{}", None, Scratch(scratch)), options)

    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("container", ["gif", "webp", "png"])
def test_what_is_no_stream_of_packets_is_never_cut(container: str) -> None:
    assert not Ffmpeg().promise(ClipSpec(64, 48, 20, Fraction(25)), False, FfmpegOptions(container=container)).joins


def _fast(codec: str) -> str | None:
    return None if codec in ("prores", "ffv1") else "veryfast"


class Careless(Ffmpeg):
    """Joins, but ``arrange`` does something to the parts first."""

    def __init__(self, arrange: Callable[[list[Path]], list[Path]]) -> None:
        self.arrange = arrange

    def join(self, parts: Sequence[Path], takes: ClipSpec, delivery: Delivery, options: FfmpegOptions) -> None:
        super().join(self.arrange(list(parts)), takes, delivery, options)


def _swapped(parts: list[Path]) -> list[Path]:
    return parts[::-1]


def _without_the_last(parts: list[Path]) -> list[Path]:
    return parts[:-1]


def _encoded_again(parts: list[Path]) -> list[Path]:
    again = [part.with_name(f"again-{part.name}") for part in parts]
    for part, other in zip(parts, again, strict=True):
        subprocess.run([ffmpeg_binary(), "-loglevel", "error", "-i", str(part), str(other)], check=True)
    return again


@pytest.mark.parametrize("arrange", [_swapped, _without_the_last, _encoded_again])
def test_the_contract_sees_a_joining_that_is_none(tmp_path: Path, arrange: Callable[[list[Path]], list[Path]]) -> None:
    with pytest.raises(AssertionError):
        EncoderContract().test_joined_parts_are_the_clip_and_nothing_is_encoded_again(
            Careless(arrange), FfmpegOptions(), ClipSpec(97, 75, 6, NTSC), Placement(), tmp_path
        )
