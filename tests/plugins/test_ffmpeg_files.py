"""What stands in the ffmpeg encoder's files: exact colours, times, the comment, the sound, and nothing else."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg  # type: ignore[import-untyped]  # ships no types
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from framedaemon import Clip, ClipSpec, Delivery, Frame, Placement, Scratch
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.stage import Ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
PATCH = 16
# One in each corner of the cube, greys, skin, and colours that BT.601 and BT.709 treat most differently.
CHART = np.array(
    [
        [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0)],
        [(0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)],
        [(128, 128, 128), (16, 16, 16), (235, 235, 235), (64, 64, 64)],
        [(224, 172, 140), (40, 90, 40), (30, 60, 120), (200, 40, 60)],
    ],
    np.uint8,
)
SECRETS = (b"at home", b"\x00\x30\xdb\x92")
"""The title, and the latitude as mp4 stores it (48.8577 in 1/65536)."""
AWKWARD = json.dumps(
    {"prompt": "a=b; c#d \\ 'quoted' \"twice\"\nsecond line", "who": "ünï 写真 🐈"}, ensure_ascii=False
)


def chart(spec: ClipSpec) -> Iterator[Frame]:
    pixels = CHART.repeat(PATCH, 0).repeat(PATCH, 1)
    for _ in range(spec.frames):
        yield pixels if spec.depth == 8 else pixels.astype(np.uint16) * np.uint16(257)


def encode(
    folder: Path,
    fps: Fraction = Fraction(25),
    frames: int = 5,
    depth: int = 8,
    comment: str = "{}",
    sound: Path | None = None,
    name: str = "out",
    **options: object,
) -> Path:
    """A chart, encoded; where the file is."""
    chosen = FfmpegOptions.model_validate(options)
    spec = ClipSpec(4 * PATCH, 4 * PATCH, frames, fps, 16 if depth == 16 else 8)
    output = folder / f"{name}{Ffmpeg().promise(spec, False, chosen).suffix}"
    with Ffmpeg().load(Placement(threads=1), chosen) as work:
        work(Clip(spec, chart(spec)), Delivery(output, comment, sound, Scratch(folder)))
    return output


def decoded_patches(path: Path, matrix: tuple[float, float] = (0.2126, 0.0722)) -> npt.NDArray[np.float64]:
    """(4, 4, 3) RGB, 0..255, at the patches' centres; from the planes by the standard's own formula.

    matrix: Kr and Kb of ITU-T H.273; the default is BT.709.
    """
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
    scale = 2 ** (frame.format.components[0].bits - 8)
    y, cb, cr = (_centres(plane, scale) for plane in frame.planes)
    kr, kb = matrix
    light, blue, red = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b = light + 2 * (1 - kr) * red, light + 2 * (1 - kb) * blue
    return 255 * np.stack([r, (light - kr * r - kb * b) / (1 - kr - kb), b], axis=-1)


def _centres(plane: Any, scale: int) -> npt.NDArray[np.float64]:
    samples = np.frombuffer(plane, np.uint8 if scale == 1 else "<u2").reshape(plane.height, -1)[:, : plane.width]
    down, across = plane.height // 4, plane.width // 4
    return samples[down // 2 :: down, across // 2 :: across] / scale


def _tags(path: Path) -> tuple[int, int, int, int]:
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        return context.colorspace, context.color_primaries, context.color_trc, context.color_range


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("container", "codec", "bits"),
    [
        ("mp4", "h264", 8),
        ("mp4", "h264", 10),
        ("mkv", "hevc", 10),
        ("mkv", "av1", 8),
        ("webm", "vp9", 8),
        ("mov", "prores", 10),
    ],
)
def test_colours_come_back_by_the_matrix_that_the_tags_name(
    tmp_path: Path, container: str, codec: str, bits: int, depth: int
) -> None:
    path = encode(tmp_path, container=container, codec=codec, bit_depth=bits, depth=depth)

    errors = np.abs(decoded_patches(path) - CHART)

    assert errors.max() < 6.0
    assert errors.mean() < 1.5
    assert _tags(path) == (1, 1, 1, 1)


def test_the_wrong_matrix_would_have_been_seen(tmp_path: Path) -> None:
    """The test above can fail: read as BT.601, the same file is far off."""
    path = encode(tmp_path)

    errors = np.abs(decoded_patches(path, matrix=(0.299, 0.114)) - CHART)

    assert errors.max() > 20


@pytest.mark.parametrize("depth", [8, 16])
def test_white_is_white_and_black_is_black_to_the_last_code(tmp_path: Path, depth: int) -> None:
    """swscale makes 943 of 16-bit white; 940 is right."""
    path = encode(tmp_path, crf=1, bit_depth=10, depth=depth)

    with av.open(str(path)) as file:
        luma = _centres(next(file.decode(video=0)).planes[0], scale=4) * 4

    assert (luma[0, 0], luma[0, 1]) == pytest.approx((64, 940), abs=1)


def test_lossless_is_lossless(tmp_path: Path) -> None:
    path = encode(tmp_path, container="mkv", codec="ffv1")

    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]

    assert all(np.array_equal(frame, drawn) for frame, drawn in zip(frames, _charts(), strict=True))


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(32), Fraction(60), Fraction(21, 2), Fraction(1, 3)])
@pytest.mark.parametrize("container", ["mp4", "mkv", "webm", "mov"])
def test_rates_are_exact_and_no_frame_is_dropped_or_doubled(tmp_path: Path, container: str, fps: Fraction) -> None:
    path = encode(tmp_path, fps, frames=7, container=container)

    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        tick = stream.time_base or Fraction(1)
        times = [(frame.pts or 0) * tick for frame in file.decode(video=0)]

    assert stream.average_rate == fps
    assert len(times) == 7
    assert max(abs(time - number / fps) for number, time in enumerate(times)) < tick


@pytest.mark.parametrize("container", ["mp4", "mkv", "webm", "mov", "gif"])
def test_the_comment_survives_to_the_letter(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path, container=container, comment=AWKWARD)

    with av.open(str(path)) as file:
        found = {name.lower(): text for name, text in file.metadata.items()}

    assert found["comment"] == AWKWARD


def test_the_comment_survives_a_remux(tmp_path: Path) -> None:
    path, remuxed = encode(tmp_path, comment=AWKWARD), tmp_path / "remuxed.mkv"

    subprocess.run([FFMPEG, "-loglevel", "error", "-i", str(path), "-c", "copy", str(remuxed)], check=True)

    with av.open(str(remuxed)) as file:
        assert file.metadata["COMMENT"] == AWKWARD


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "gif"])
def test_a_comment_longer_than_an_argument_can_be_survives(tmp_path: Path, container: str) -> None:
    """Linux takes 128 KiB an argument; a prompt with its escapes can be longer."""
    long = json.dumps({"prompt": "写" * 40_000})

    path = encode(tmp_path, container=container, comment=long)

    with av.open(str(path)) as file:
        assert {name.lower(): text for name, text in file.metadata.items()}["comment"] == long


def test_pictures_carry_the_comment_in_the_first(tmp_path: Path) -> None:
    folder = encode(tmp_path, container="png", comment=AWKWARD)

    with Image.open(folder / "frame_000000.png") as first:
        found = first.info["Comment"]

    assert found == AWKWARD
    assert [path.name for path in sorted(folder.iterdir())] == [f"frame_{n:06d}.png" for n in range(5)]


def test_a_webp_carries_the_comment_as_xmp(tmp_path: Path) -> None:
    path = encode(tmp_path, container="webp", comment="<a & b>")

    with Image.open(path) as image:
        assert b"&lt;a &amp; b&gt;" in image.info["xmp"]
        assert getattr(image, "n_frames", 1) == 5


@pytest.mark.parametrize("container", ["mp4", "mkv", "webm", "mov", "gif", "webp"])
def test_one_thread_gives_the_same_bytes_each_time(tmp_path: Path, container: str) -> None:
    one, two = (encode(tmp_path, container=container, name=name) for name in ("one", "two"))

    assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(two.read_bytes()).digest()


@pytest.mark.parametrize("name", ["-y", "100%d", "http:nothing", "a:b", "写真 🐈", "two\nlines", "'$(id)'"])
def test_names_are_only_names(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path, name=name)

    assert path.stat().st_size > 0
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("faststart", "first"), [(True, b"moov"), (False, b"mdat")])
def test_faststart_puts_the_index_first(tmp_path: Path, faststart: bool, first: bytes) -> None:
    data = encode(tmp_path, faststart=faststart).read_bytes()

    assert min((b"moov", b"mdat"), key=data.index) == first


def test_hevc_in_mp4_carries_the_tag_that_apple_opens(tmp_path: Path) -> None:
    assert b"hvc1" in encode(tmp_path, codec="hevc").read_bytes()


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds with two sound tracks, a title, and the place where it was filmed."""
    path = tmp_path_factory.mktemp("footage") / "filmed.mp4"
    tones = ("-f", "lavfi", "-i", "sine=440:duration=3", "-f", "lavfi", "-i", "sine=880:duration=3")
    secrets = ("-metadata", "location=+48.8577+002.295/", "-metadata", "title=at home", "-metadata:s:a:0", "title=me")
    languages = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu")
    video = ("-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=3", "-map", "0", "-map", "1", "-map", "2")
    argv = [FFMPEG, "-loglevel", "error", *tones, *video, "-c:a", "aac", *secrets, *languages, str(path)]
    subprocess.run(argv, check=True)
    return path


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("mkv", "aac"), ("mov", "aac"), ("webm", "opus")])
def test_every_sound_track_goes_along_cut_to_the_video(
    tmp_path: Path, footage: Path, container: str, codec: str
) -> None:
    path = encode(tmp_path, frames=25, container=container, sound=footage)

    with av.open(str(path)) as file:
        tracks = [
            (track.codec_context.codec.canonical_name, track.metadata["language"]) for track in file.streams.audio
        ]
        ends = [max(float((p.pts + p.duration) * p.time_base) for p in _packets(file, track)) for track in (0, 1)]

    assert tracks == [(codec, "eng"), (codec, "ger")]
    assert ends == pytest.approx([1.0, 1.0], abs=0.05)


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "webm"])
def test_nothing_else_of_the_footage_goes_along(tmp_path: Path, footage: Path, container: str) -> None:
    known = footage.read_bytes()

    data = encode(tmp_path, frames=25, container=container, sound=footage, comment="mine").read_bytes()

    assert [secret in known for secret in SECRETS] == [True, True]
    assert [secret in data for secret in SECRETS] == [False, False]
    assert b"48.85" not in data
    assert b"mine" in data


def _packets(file: Any, track: int) -> list[Any]:
    file.seek(0)
    return [packet for packet in file.demux(file.streams.audio[track]) if packet.pts is not None]


def _charts() -> Iterator[Frame]:
    return chart(ClipSpec(4 * PATCH, 4 * PATCH, 5, Fraction(25)))


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "webm"])
def test_sound_stays_with_the_pictures_when_the_footage_begins_without_any(tmp_path: Path, container: str) -> None:
    """Sound runs from 0, a tone from 1 s, pictures from 0.5 s: half a second into the video the tone begins."""
    footage = tmp_path / "late.mkv"
    tone = ("-f", "lavfi", "-i", "aevalsrc='if(gte(t,1),sin(2000*t),0)':duration=3:sample_rate=48000")
    video = ("-itsoffset", "0.5", "-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=2")
    argv = [FFMPEG, "-loglevel", "error", *tone, *video, "-map", "0", "-map", "1", "-c:a", "aac", str(footage)]
    subprocess.run(argv, check=True)

    path = encode(tmp_path, frames=25, container=container, sound=footage)

    assert _loud_from(path) == pytest.approx(0.5, abs=0.03)


def _loud_from(path: Path) -> float:
    """Seconds at which the first sound track rises above silence."""
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.2)
            if loud.size:
                return float(frame.time or 0) + int(loud[0]) / frame.sample_rate
    return float("inf")
