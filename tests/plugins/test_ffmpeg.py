"""The ffmpeg encoder as a stage: contract for each codec in each container, promises and refusals."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from framedaemon import ClipSpec, JobRejected, Machine, Placement, StageFailed, VideoSpec
from framedaemon.testing.encoder import EncoderContract
from framedaemon_ffmpeg import encoders
from framedaemon_ffmpeg.binary import ffmpeg_binary
from framedaemon_ffmpeg.codecs import CODECS, CONTAINERS
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.stage import Ffmpeg
from framedaemon_ffmpeg.trying import try_encoders

SPEC = ClipSpec(832, 1216, 161, Fraction(32))

PAIRS = [
    (container.name, codec, depth)
    for container in CONTAINERS.values()
    for codec in container.codecs
    for depth in CODECS[codec].depths
]


def promise(spec: ClipSpec = SPEC, sound: bool = False, **options: Any) -> VideoSpec:
    return Ffmpeg().promise(spec, sound, FfmpegOptions.model_validate(options))


def problems(spec: ClipSpec = SPEC, **options: Any) -> tuple[str, ...]:
    with pytest.raises(JobRejected) as refused:
        promise(spec, **options)
    return refused.value.problems


class TestContract(EncoderContract):
    @pytest.fixture(params=["mp4", "webm", "gif", "webp", "png"])
    def options(self, request: pytest.FixtureRequest) -> FfmpegOptions:
        return FfmpegOptions(container=request.param)

    @pytest.fixture
    def stage(self) -> Ffmpeg:
        return Ffmpeg()


@pytest.mark.parametrize(("container", "codec", "depth"), PAIRS)
def test_every_codec_in_every_container_gives_what_was_promised(
    container: str, codec: str, depth: int, tmp_path: Path
) -> None:
    options = FfmpegOptions(container=container, codec=codec, bit_depth=depth)
    spec = ClipSpec(97, 75, 6, Fraction(24000, 1001), 16 if depth == 10 else 8)

    EncoderContract().test_the_file_is_what_was_promised(Ffmpeg(), options, spec, Placement(), tmp_path)


def test_it_is_registered_through_the_hook() -> None:
    assert [stage.name for stage in encoders()] == ["ffmpeg"]


@pytest.mark.parametrize(("container", "codec"), [("mp4", "h264"), ("webm", "vp9"), ("gif", "gif"), ("png", "png")])
def test_a_container_brings_its_own_codec(container: str, codec: str) -> None:
    assert promise(container=container).codec == codec


def test_every_problem_is_reported_at_once() -> None:
    found = problems(container="webm", codec="h264", crf=99, chroma="4:4:4")

    assert found == (
        "[encode] container: webm takes vp9, av1, not h264; h264 goes into mp4, mkv, mov",
        "[encode] crf: 99 is not in 0..51 (h264)",
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"container": "avi"}, "[encode] container: 'avi' is not one of mp4, mkv, webm, mov, gif, webp, png"),
        ({"codec": "h265"}, "[encode] codec: 'h265' is not one of auto, h264, hevc, av1"),
        ({"container": "gif", "bit_depth": 10}, "[encode] bit_depth: 10 is not in [8] (gif)"),
        ({"container": "mov", "codec": "prores", "crf": 18}, "[encode] crf: 18 means nothing to prores, leave it out"),
        ({"container": "gif", "preset": "slow"}, "[encode] preset: 'slow' means nothing to gif, leave it out"),
        ({"codec": "av1", "chroma": "4:4:4"}, "[encode] chroma: '4:4:4' is not one of 4:2:0 (av1)"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], problem: str) -> None:
    assert problems(**options)[0].startswith(problem)


def test_an_encoder_that_this_ffmpeg_lacks_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """imageio-ffmpeg 0.6 brings an ffmpeg without libsvtav1."""
    poor = tmp_path / "ffmpeg"
    poor.write_text("#!/bin/sh\ntrue\n")
    poor.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(poor))

    found = problems(codec="av1")

    assert found == (
        f"[encode] codec: av1 needs libsvtav1, which {poor} does not have; pip install -U imageio-ffmpeg brings it",
    )


def test_an_ffmpeg_without_exact_colours_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poor = tmp_path / "ffmpeg"
    poor.write_text("#!/bin/sh\ntrue\n")
    poor.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(poor))

    missing = Ffmpeg().unready(Machine("cpu", 0, 8 << 30, 2))

    assert missing is not None
    assert "without zscale" in missing


def test_an_ffmpeg_that_is_killed_when_asked_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One kill must not refuse every job for as long as the worker lives."""
    healthy, killed = ffmpeg_binary(), tmp_path / "ffmpeg"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(killed))

    with pytest.raises(StageFailed, match="ended by signal 9"):
        Ffmpeg().unready(Machine("cpu", 0, 8 << 30, 2))
    killed.write_text(f'#!/bin/sh\nexec "{healthy}" "$@"\n')

    assert Ffmpeg().unready(Machine("cpu", 0, 8 << 30, 2)) is None


def test_a_clip_too_small_for_the_codec_is_refused() -> None:
    assert "is smaller than 16x16 (h264)" in problems(ClipSpec(12, 90, 5, Fraction(24)))[0]


def test_a_gif_faster_than_players_show_is_refused() -> None:
    assert problems(ClipSpec(64, 64, 5, Fraction(60)), container="gif") == (
        "[interpolate] fps: 60 is more than 50, which players of gif show at most",
    )


def test_a_gif_whose_rate_is_rounded_says_so() -> None:
    notes = promise(ClipSpec(64, 64, 5, Fraction(32)), container="gif").notes

    assert notes == ("gif counts time in 1/100 s: frames stand up to half of that off",)


def test_an_odd_size_is_cropped_only_where_colour_is_shared() -> None:
    odd = ClipSpec(97, 75, 5, Fraction(24))

    sizes = {
        chroma: (promise(odd, chroma=chroma).width, promise(odd, chroma=chroma).height)
        for chroma in ("4:2:0", "4:2:2", "4:4:4")
    }

    assert sizes == {"4:2:0": (96, 74), "4:2:2": (96, 75), "4:4:4": (97, 75)}


def test_prores_has_ten_bits_and_says_so() -> None:
    video = promise(container="mov", codec="prores")

    assert video.pixel_format == "yuv422p10le"
    assert video.notes == ("prores always has 10 bits",)


def test_sound_is_promised_only_where_the_container_has_it() -> None:
    silent = promise(sound=True, container="gif", spec=ClipSpec(64, 64, 5, Fraction(25)))

    assert promise(sound=True).sound
    assert not silent.sound
    assert silent.notes == ("gif has no sound: the footage's is left out",)


def test_every_encoder_is_really_tried() -> None:
    tried = try_encoders()

    assert next(iter(tried)).startswith("ffmpeg ")
    assert {name: fault for name, fault in tried.items() if fault is not None} == {}
    assert {"h264 (libx264)", "hevc (libx265)", "vp9 (libvpx-vp9)", "gif (gif)"} <= set(tried)


def test_an_ffmpeg_that_is_not_there_or_may_not_be_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shut = tmp_path / "ffmpeg"
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(shut))
    missing = try_encoders()
    shut.write_text("#!/bin/sh\n")
    not_run = try_encoders()

    assert missing == {"ffmpeg": f"{shut} is not there: unset IMAGEIO_FFMPEG_EXE, or name an ffmpeg with it"}
    assert not_run == {"ffmpeg": f"{shut} may not be run: unset IMAGEIO_FFMPEG_EXE, or name an ffmpeg with it"}


def test_an_ffmpeg_that_is_too_old_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text('#!/bin/sh\n[ "$1" = -version ] && echo "ffmpeg version 2.1 Copyright"\nexit 0\n')
    old.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(old))

    ((name, fault),) = try_encoders().items()

    assert name == "ffmpeg 2.1"
    assert "was built without zscale" in str(fault)
