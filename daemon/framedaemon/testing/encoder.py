"""What every encoder must do, as tests to inherit.

Subclass `EncoderContract` in a test module and give it two fixtures: ``stage`` and ``options``. The clip is made here:
a few small frames of odd size, each unlike the others. Give a fixture ``clip_spec`` of your own for another one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import av
import numpy as np
import numpy.typing as npt
import pytest

from framedaemon import (
    Clip,
    ClipSpec,
    Delivery,
    Encoder,
    EncoderOptions,
    Frame,
    JobRejected,
    JoiningEncoder,
    Machine,
    Placement,
    Scratch,
    StageFailed,
    VideoSpec,
)
from framedaemon.fingerprint import distance, fingerprint_rgb
from framedaemon.readback import Shown, read_back
from framedaemon.testing.asking import check_answers
from framedaemon.testing.held import MOST_HELD, Alive, check_given_back, children, held
from framedaemon.testing.measuring import TOLERANCE, check_light, check_memory, measure_stage

COMMENT = '{"prompt": "a = b; c # \\\\ ünï 写真", "seed": 7}'


class EncoderContract:
    """Tests for an encoder; a subclass's name starts with ``Test``."""

    @pytest.fixture
    def stage(self) -> Encoder[Any]:
        """The encoder."""
        raise NotImplementedError("a fixture `stage` that returns your encoder")

    @pytest.fixture
    def options(self) -> EncoderOptions:
        """The stage's own options."""
        raise NotImplementedError("a fixture `options` that returns your stage's options")

    @pytest.fixture
    def clip_spec(self) -> ClipSpec:
        """The clip that it is given."""
        return ClipSpec(width=97, height=75, frames=6, fps=Fraction(24000, 1001))

    @pytest.fixture
    def placement(self) -> Placement:
        """Where it works; two threads, so that those it starts are seen to end."""
        return Placement(threads=2)

    def test_it_says_what_it_is(self, stage: Encoder[Any]) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", stage.name), "a recipe's `use` names it: lower case, one word"
        assert stage.summary
        assert "\n" not in stage.summary
        assert issubclass(stage.options, EncoderOptions)

    def test_it_is_ready_here(self, stage: Encoder[Any]) -> None:
        assert stage.unready(Machine("cpu", vram=0, ram=8 << 30, cores=2)) is None

    def test_promise_and_estimate_are_the_same_each_time(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec
    ) -> None:
        first = stage.promise(clip_spec, False, options), stage.estimate(clip_spec, options)

        second = stage.promise(clip_spec, False, options), stage.estimate(clip_spec, options)

        assert first == second
        assert first[1].seconds > 0, "zero seconds: nothing can be planned with that"

    def test_a_size_is_cropped_by_a_pixel_at_most_and_that_is_said(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec
    ) -> None:
        video = stage.promise(clip_spec, False, options)

        lost = clip_spec.width - video.width, clip_spec.height - video.height

        assert set(lost) <= {0, 1}
        assert any(lost) <= bool(video.notes), "a cropped size must be said in the notes"

    def test_every_option_is_answered_or_refused_at_its_limits(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec
    ) -> None:
        """Each option of its class at the ends of its range, and at what its type alone lets through."""

        def ask(asked: EncoderOptions) -> None:
            stage.promise(clip_spec, True, asked)
            stage.estimate(clip_spec, asked)

        check_answers(options, ask)

    @pytest.mark.parametrize("depth", [8, 16])
    @pytest.mark.parametrize("size", [(16, 16), (17, 4095), (8191, 8191)], ids=lambda size: "x".join(map(str, size)))
    def test_every_clip_is_promised_or_refused(
        self, stage: Encoder[Any], options: EncoderOptions, size: tuple[int, int], depth: Literal[8, 16]
    ) -> None:
        """Of one frame too, and of a million: JobRejected says what cannot be encoded, nothing else is raised."""
        for frames in (1, 1_000_000):
            spec = ClipSpec(*size, frames, Fraction(24000, 1001), depth)
            try:
                video = stage.promise(spec, True, options)
                estimate = stage.estimate(spec, options)
            except JobRejected:
                continue
            assert video.frames == frames, "one picture in the file for each frame of the clip"
            assert video.fps == spec.fps, "a clip is shown at its own rate"
            assert estimate.disk > 0, "no bytes at all: the guard of the disk goes by this"

    def test_it_takes_frames_as_it_goes(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec, placement: Placement, tmp_path: Path
    ) -> None:
        """Of a long clip it holds a few frames at any time."""
        spec, alive = replace(clip_spec, frames=40), Alive()
        output = tmp_path / f"out{stage.promise(spec, False, options).suffix}"

        _encode(stage, options, placement, Clip(spec, alive.watch(draw(spec))), output)

        assert alive.most <= MOST_HELD, f"it held {alive.most} of 40 frames at once: memory must not grow with the clip"

    def test_a_codec_that_nobody_knows_is_refused(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec
    ) -> None:
        with pytest.raises(JobRejected):
            stage.promise(clip_spec, False, options.model_copy(update={"codec": "no-such-codec"}))

    def test_the_file_is_what_was_promised(
        self,
        stage: Encoder[Any],
        options: EncoderOptions,
        clip_spec: ClipSpec,
        placement: Placement,
        tmp_path: Path,
    ) -> None:
        video = stage.promise(clip_spec, False, options)
        output = tmp_path / f"out{video.suffix}"

        _encode(stage, options, placement, Clip(clip_spec, draw(clip_spec)), output)

        _check_promised(output, video, clip_spec)

    def test_joined_parts_are_the_clip_and_nothing_is_encoded_again(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec, placement: Placement, tmp_path: Path
    ) -> None:
        """Skipped where `VideoSpec.joins` does not say that a long clip may come in parts."""
        spec = replace(clip_spec, frames=24)
        video = _promise_to_join(stage, spec, options)
        parts = _encode_parts(stage, options, placement, spec, tmp_path)
        output = tmp_path / f"joined{video.suffix}"

        cast("JoiningEncoder[Any]", stage).join(parts, spec, _delivery(output, COMMENT), options)

        _check_promised(output, video, spec)
        assert _pictures(output) == [picture for part in parts for picture in _pictures(part)]

    def test_a_part_that_is_lost_fails_the_joining_and_leaves_nothing_behind(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec, placement: Placement, tmp_path: Path
    ) -> None:
        spec = replace(clip_spec, frames=24)
        video = _promise_to_join(stage, spec, options)
        parts = _encode_parts(stage, options, placement, spec, tmp_path)
        parts[1].unlink()
        output = tmp_path / "broken" / f"joined{video.suffix}"
        before = held()

        with pytest.raises(StageFailed):
            cast("JoiningEncoder[Any]", stage).join(parts, spec, _delivery(output, COMMENT), options)

        assert not output.exists()
        check_given_back(before)

    def test_the_estimate_holds(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec, placement: Placement, tmp_path: Path
    ) -> None:
        """The file's bytes; and the memory of whatever child process encodes, where the system tells it."""
        video, estimate = stage.promise(clip_spec, False, options), stage.estimate(clip_spec, options)
        output, peaks = tmp_path / f"out{video.suffix}", [0]

        _encode(stage, options, placement, Clip(clip_spec, _watched(draw(clip_spec), peaks)), output)

        files = [output, *output.glob("*")]
        assert sum(file.stat().st_size for file in files if file.is_file()) <= estimate.disk
        assert max(peaks) <= estimate.ram + TOLERANCE

    def test_it_takes_no_more_memory_than_it_said(
        self, stage: Encoder[Any], options: EncoderOptions, placement: Placement, tmp_path: Path
    ) -> None:
        """Resident memory at its peak, in a process of its own; nothing heavy is imported there before `load`."""
        spec = ClipSpec(width=1281, height=721, frames=8, fps=Fraction(24))
        output = str(tmp_path / f"out{stage.promise(spec, False, options).suffix}")

        cost = measure_stage("encode", stage, placement, tmp_path, takes=spec, options=options, output=output)

        check_light(cost)
        check_memory(cost)

    def test_a_clip_that_breaks_leaves_nothing_behind(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec, placement: Placement, tmp_path: Path
    ) -> None:
        """The clip's own error comes through; no part of a file, no process, no open file stays."""
        video = stage.promise(clip_spec, False, options)
        output = tmp_path / "broken" / f"out{video.suffix}"
        _encode(stage, options, placement, Clip(clip_spec, draw(clip_spec)), tmp_path / f"first{video.suffix}")
        before = held()

        with pytest.raises(ZeroDivisionError):
            _encode(stage, options, placement, Clip(clip_spec, _breaking(draw(clip_spec))), output)

        assert not output.exists()
        check_given_back(before)

    def test_it_gives_back_what_it_took(
        self, stage: Encoder[Any], options: EncoderOptions, clip_spec: ClipSpec, placement: Placement, tmp_path: Path
    ) -> None:
        """Threads, processes and open files are as before. The first run may leave what stays for good."""
        suffix = stage.promise(clip_spec, False, options).suffix
        _encode(stage, options, placement, Clip(clip_spec, draw(clip_spec)), tmp_path / f"first{suffix}")
        before = held()

        _encode(stage, options, placement, Clip(clip_spec, draw(clip_spec)), tmp_path / f"second{suffix}")

        check_given_back(before)


def draw(spec: ClipSpec) -> Iterator[Frame]:
    """Frames with soft shapes in strong colours, each with its own brightness."""
    rows, columns = np.mgrid[0 : spec.height, 0 : spec.width]
    for number in range(spec.frames):
        light = 0.35 + 0.6 * (number + 1) / spec.frames
        red = 0.5 + 0.5 * np.sin(columns / 9 + number)
        green = rows / spec.height
        blue = 0.5 + 0.5 * np.cos((rows + columns) / 14)
        samples = light * np.stack([red, green, blue], axis=-1)
        yield (samples * np.iinfo(spec.dtype).max).astype(spec.dtype)


def _encode(stage: Encoder[Any], options: EncoderOptions, placement: Placement, clip: Clip, output: Path) -> None:
    with stage.load(placement, options) as encode:
        encode(clip, _delivery(output, COMMENT))


def _delivery(output: Path, comment: str) -> Delivery:
    scratch = output.parent / f"{output.stem}.scratch"
    scratch.mkdir(parents=True)
    return Delivery(output, comment, None, Scratch(scratch))


def _promise_to_join(stage: Encoder[Any], spec: ClipSpec, options: EncoderOptions) -> VideoSpec:
    video = stage.promise(spec, False, options)
    if not video.joins:
        pytest.skip("it does not say that it joins parts")
    return video


def _encode_parts(
    stage: Encoder[Any], options: EncoderOptions, placement: Placement, spec: ClipSpec, folder: Path
) -> list[Path]:
    """The clip in three files, as the daemon writes them."""
    suffix, frames, parts = stage.promise(spec, False, options).suffix, draw(spec), list[Path]()
    for number, count in enumerate((9, 7, spec.frames - 16)):
        parts.append(folder / f"{number:06d}{suffix}")
        with stage.load(placement, options) as encode:
            encode(Clip(replace(spec, frames=count), islice(frames, count)), _delivery(parts[-1], ""))
    return parts


def _check_promised(output: Path, video: VideoSpec, spec: ClipSpec) -> None:
    """The file is what ``video`` says, and shows `draw`'s frames."""
    with read_back(output, video.fps) as found:
        shown = list(found.frames)
    said = found.said
    assert len(shown) == video.frames
    assert {(frame.width, frame.height) for frame in shown} == {(video.width, video.height)}
    assert (said.codec, said.pixel_format or video.pixel_format) == (video.codec, video.pixel_format)
    assert not video.tagged or said.tags == (1, 1, 1, 1), "tagged means BT.709 in limited range"
    assert _worst_time(shown, video) <= said.tick, "frames stand at n / fps, the first at 0"
    assert _worst_likeness(shown, spec, video) < 6.0, "frames come back in order, in their own colours"


def _pictures(path: Path) -> list[bytes]:
    """Each decoded frame of a file, to the bit, short enough to be kept."""
    with av.open(str(path)) as file:
        return [hashlib.sha256(b"".join(map(_samples, frame.planes))).digest() for frame in file.decode(video=0)]


def _samples(plane: Any) -> bytes:
    """A plane without what pads its rows."""
    rows: npt.NDArray[np.uint8] = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width * (plane.line_size // plane.width)].tobytes()


def _worst_time(shown: list[Shown], video: VideoSpec) -> Fraction:
    return max(abs(frame.time - number / video.fps) for number, frame in enumerate(shown))


def _worst_likeness(shown: list[Shown], spec: ClipSpec, video: VideoSpec) -> float:
    """Levels between the fingerprints of what was put in and of what came out, at the worst frame."""
    cropped = (frame[: video.height, : video.width].copy() for frame in draw(spec))
    pairs = zip(shown, cropped, strict=True)
    return max(float(distance(frame.fingerprint, fingerprint_rgb(drawn))) for frame, drawn in pairs)


def _breaking(frames: Iterator[Frame]) -> Iterator[Frame]:
    yield next(frames)
    yield next(frames)
    raise ZeroDivisionError("this clip breaks after two frames")


def _watched(frames: Iterator[Frame], peaks: list[int]) -> Iterator[Frame]:
    """The frames; ``peaks`` gathers the bytes that our child processes hold at their peak."""
    for frame in frames:
        yield frame
        peaks.append(sum(map(_peak_bytes, children())))


def _peak_bytes(process: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
