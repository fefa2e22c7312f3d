from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from framedaemon import Footage, JobRejected
from framedaemon.footage import shown_size
from framedaemon.opening import Limits, open_source
from made_clips import make_sound, make_video


def read(path: Path, limits: Limits | None = None) -> Footage:
    source = open_source(path, path.name, limits or Limits())
    assert isinstance(source, Footage)
    return source


def decoded(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {}),
        ("h264.mov", {}),
        ("h264.mkv", {}),
        ("h264.ts", {}),
        ("reordered.avi", {}),
        ("mpeg4.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("vp8.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "8"}}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
        ("deep.mp4", {"pixels": "yuv420p10le"}),
        ("444.mp4", {"pixels": "yuv444p"}),
        ("interlaced.mp4", {"options": {"flags": "+ildct+ilme", "x264-params": "interlaced=1"}}),
    ],
)
def test_the_number_of_frames_is_what_decoding_yields(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    path = make_video(tmp_path / name, **options)  # type: ignore[arg-type]

    footage = read(path)

    assert footage.frames == decoded(path) == 12
    assert (footage.width, footage.height, footage.fps) == (64, 48, 25)


def test_the_rate_is_exact(tmp_path: Path) -> None:
    ntsc = Fraction(30000, 1001)

    mp4 = read(make_video(tmp_path / "x.mp4", rate=ntsc))
    mkv = read(make_video(tmp_path / "x.mkv", rate=ntsc))  # whose times are whole milliseconds

    assert mp4.fps == mkv.fps == ntsc


def test_more_than_eight_bits_are_kept_in_sixteen(tmp_path: Path) -> None:
    assert read(make_video(tmp_path / "x.mp4", pixels="yuv420p10le")).depth == 16
    assert read(make_video(tmp_path / "y.mp4")).depth == 8


def test_sound_is_seen(tmp_path: Path) -> None:
    assert read(make_video(tmp_path / "x.mp4", sound=True)).sound
    assert not read(make_video(tmp_path / "y.mp4")).sound


def test_held_gaps_count_as_frames_and_it_is_said(tmp_path: Path) -> None:
    times = [0, 40, 80, 200, 240, 280, 320, 360, 400, 440, 480, 520]

    footage = read(make_video(tmp_path / "x.mp4", times=times))

    assert (footage.fps, footage.frames) == (25, 14)
    assert "2 gaps held" in footage.notes[0]


def test_frames_that_an_edit_list_hides_do_not_count(tmp_path: Path) -> None:
    """A cut without re-encoding: the file holds frames before the cut that are decoded and never shown."""
    whole = make_video(tmp_path / "whole.mp4", options={"g": "12", "bf": "0"})
    path = tmp_path / "x.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream, packet.pts, packet.dts = stream, packet.pts - 2560, packet.dts - 2560
                target.mux(packet)

    footage = read(path)

    assert footage.frames == decoded(path)
    assert footage.frames < 12


def test_oblong_pixels_are_made_square(tmp_path: Path) -> None:
    footage = read(make_video(tmp_path / "x.mp4", aspect=Fraction(128, 117)))

    assert (footage.width, footage.height) == (70, 48)
    assert "128:117" in footage.notes[0]


@pytest.mark.parametrize(
    ("aspect", "turned", "shown"),
    [
        (Fraction(1), False, (175, 144)),
        (Fraction(1), True, (144, 175)),
        (Fraction(128, 117), False, (192, 144)),
        (Fraction(1, 2), False, (175, 288)),
        (Fraction(2), True, (144, 350)),
        (Fraction(1, 100), False, (175, 144)),
    ],
)
def test_the_side_that_is_sampled_less_grows(aspect: Fraction, turned: bool, shown: tuple[int, int]) -> None:
    assert shown_size(175, 144, aspect, turned) == shown


def test_a_rotation_flag_turns_the_size(tmp_path: Path) -> None:
    footage = read(turned(make_video(tmp_path / "x.mp4"), tmp_path / "turned.mp4"))

    assert (footage.width, footage.height) == (48, 64)
    assert "turned upright as its rotation flag says" in footage.notes


def turned(video: Path, path: Path) -> Path:
    """``video`` with a flag that turns it by 90 degrees, written into its track header."""
    body = bytearray(video.read_bytes())
    one, matrix = (1 << 16).to_bytes(4, "big"), body.index(b"tkhd") + 44
    body[matrix : matrix + 16] = b"\0\0\0\0" + one + b"\0\0\0\0" + (-1 << 16).to_bytes(4, "big", signed=True)
    body[matrix + 16 : matrix + 20] = b"\0\0\0\0"
    path.write_bytes(body)
    return path


def test_a_file_with_sound_only_is_refused(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "x.mp4")

    with pytest.raises(JobRejected, match="sound only"):
        read(path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_video_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    whole = make_video(tmp_path / f"whole.{suffix}", 30, rate=5, container_options={"movflags": "faststart"})
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 8 // 10])

    with pytest.raises(JobRejected, match="cut short"):
        read(path)


def test_a_video_whose_index_is_missing_is_refused(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4")
    path = tmp_path / "x.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    with pytest.raises(JobRejected, match="broken or cut short"):
        read(path)


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:1,\n{}\n", "ffconcat version 1.0\nfile {}\n", "{{}}concat:{}"],
    ids=["hls", "concat", "url"],
)
def test_a_playlist_named_like_a_video_opens_nothing(tmp_path: Path, text: str) -> None:
    secret = make_video(tmp_path / "secret.mp4")
    path = tmp_path / "x.mp4"
    path.write_text(text.format(secret))

    with pytest.raises(JobRejected, match=r"playlist|text file"):
        read(path)


def test_a_playlist_behind_a_videos_first_bytes_opens_nothing(tmp_path: Path) -> None:
    secret = make_video(tmp_path / "secret.mp4")
    path = tmp_path / "x.mp4"
    path.write_bytes(b"\0\0\0\x08ftyp" + f"\n#EXTM3U\n#EXTINF:1,\n{secret}\n".encode())

    with pytest.raises(JobRejected, match="broken"):
        read(path)


def test_too_many_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JobRejected, match=r"64x48 pixels.*the limit is"):
        read(make_video(tmp_path / "x.mp4"), Limits(max_pixels=3000))


def test_too_long_a_video_is_refused(tmp_path: Path) -> None:
    """Two frames a month apart: nobody means that."""
    path = make_video(tmp_path / "x.mkv", 4, times=[0, 40, 80, 2_000_000_000])

    with pytest.raises(JobRejected, match="is the limit"):
        read(path)


def test_a_video_that_grows_beyond_all_memory_in_the_middle_is_not_decoded_from_there(tmp_path: Path) -> None:
    """Its header tells of small frames; a decoder would take some twenty times the large one."""
    small = make_video(tmp_path / "small.ts").read_bytes()
    large = make_video(tmp_path / "large.ts", 1, size=(7200, 5600), options={"preset": "ultrafast"}).read_bytes()
    (tmp_path / "x.ts").write_bytes(small + large)

    with pytest.raises(JobRejected, match="broken or cut short"):
        read(tmp_path / "x.ts")


def test_a_video_of_more_pixels_than_a_decoder_may_hold_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "x.mp4", 1, size=(7200, 5600), options={"preset": "ultrafast"})

    with pytest.raises(JobRejected, match="the limit is 40"):
        read(path)
