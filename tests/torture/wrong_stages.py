"""camera, flow and ffmpeg, which do their work to the end, and wrong, when a recipe says so: for `torture.quality`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import imageio_ffmpeg  # type: ignore[import-untyped]  # ships no types
import numpy as np

from framedaemon import Clip, Cut, Delivery, Filled, Frame, Gap, Placement, Scratch, Source, hookimpl
from framedaemon_camera import Camera, CameraOptions
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.stage import Ffmpeg
from framedaemon_flow.stage import Flow, FlowOptions

Frames = Iterator[Frame]


class WrongCameraOptions(CameraOptions):
    """What is wrong."""

    wrong: str = "nothing"


class WrongFlowOptions(FlowOptions):
    """What is wrong."""

    wrong: str = "nothing"


class WrongFfmpegOptions(FfmpegOptions):
    """What is wrong."""

    wrong: str = "nothing"


class WrongCamera(Camera):
    """A camera whose frames are wrong."""

    name = "wrong"
    options = WrongCameraOptions
    preference = -1

    @contextmanager
    def load(self, placement: Placement, options: Any) -> Iterator[Any]:
        with super().load(placement, options) as work:

            def generate(source: Source, scratch: Scratch) -> Frames:
                return CHANGES[options.wrong](work(source, scratch))

            yield generate


class WrongFlow(Flow):
    """A flow that fills wrongly in one gap of three."""

    name = "wrongflow"
    options = WrongFlowOptions
    preference = -1

    @contextmanager
    def load(self, placement: Placement, options: Any) -> Iterator[Any]:
        with super().load(placement, options) as work:

            def fill(gaps: Iterable[Gap]) -> Iterator[Filled]:
                for number, filled in enumerate(work(gaps)):
                    wrong = number % 3 == 1 and not isinstance(filled, Cut)
                    yield list(CHANGES[options.wrong](iter(filled))) if wrong else filled  # type: ignore[arg-type]

            yield fill


class WrongFfmpeg(Ffmpeg):
    """An ffmpeg whose file is wrong."""

    name = "wrongffmpeg"
    options = WrongFfmpegOptions
    preference = -1

    @contextmanager
    def load(self, placement: Placement, options: Any) -> Iterator[Any]:
        with super().load(placement, options) as work:

            def encode(clip: Clip, delivery: Delivery) -> None:
                spec = clip.spec
                if options.wrong == "sound":
                    delivery = replace(delivery, sound=None)
                elif options.wrong == "rate":
                    spec = replace(spec, fps=spec.fps * 2)
                elif options.wrong == "size":
                    spec = replace(spec, width=spec.width - 8)
                elif options.wrong in COUNTS:
                    spec = replace(spec, frames=spec.frames + COUNTS[options.wrong])
                frames = CHANGES.get(options.wrong, nothing)(iter(clip))
                work(Clip(spec, cropped(frames, spec.width)), delivery)
                if options.wrong in SPOILS:
                    SPOILS[options.wrong](delivery)

            yield encode


def nothing(frames: Frames) -> Frames:
    return frames


def nan(frames: Frames) -> Frames:
    """What is left when NaN is made a pixel."""
    for index, frame in enumerate(frames):
        with np.errstate(invalid="ignore"):
            yield (frame * np.float32("nan")).astype(np.uint8) if index % 9 in (0, 5) else frame


def grey(frames: Frames) -> Frames:
    """What a decoder leaves that was fed NaN: the middle of its range."""
    for index, frame in enumerate(frames):
        yield np.full_like(frame, 128) if index % 9 in (0, 5) else frame


def black(frames: Frames) -> Frames:
    for index, frame in enumerate(frames):
        yield np.zeros_like(frame) if index % 9 in (0, 5) else frame


def frozen(frames: Frames) -> Frames:
    first = next(frames)
    yield first
    for _ in frames:
        yield first


def missing(frames: Frames) -> Frames:
    for index, frame in enumerate(frames):
        if index % 8 != 0 or index == 8:
            yield frame


def extra(frames: Frames) -> Frames:
    for index, frame in enumerate(frames):
        yield frame
        if index == 0:
            yield frame


def skipped(frames: Frames) -> Frames:
    """One is missing, and another is there twice: the count is right."""
    last = None
    for index, frame in enumerate(frames):
        if index != 4:
            yield frame
        last = frame
    assert last is not None
    yield last


def swapped(frames: Frames) -> Frames:
    held: list[Frame] = []
    for index, frame in enumerate(frames):
        if index in (4, 5):
            held.insert(0, frame)
            if len(held) == 2:
                yield from held
        else:
            yield frame


def blue(frames: Frames) -> Frames:
    for frame in frames:
        yield np.ascontiguousarray(frame[..., ::-1])


def cropped(frames: Frames, width: int) -> Frames:
    for frame in frames:
        yield np.ascontiguousarray(frame[:, :width])


def tags(delivery: Delivery) -> None:
    """The file says BT.601, and holds BT.709."""
    whole = delivery.output.with_name(f"whole{delivery.output.suffix}")
    delivery.output.rename(whole)
    says = "h264_metadata=colour_primaries=6:transfer_characteristics=6:matrix_coefficients=6"
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-loglevel", "error", "-i", whole, "-c", "copy", "-bsf:v", says]
    command += ["-color_primaries", "6", "-color_trc", "6", "-colorspace", "6", delivery.output]
    subprocess.run(command, check=True)
    whole.unlink()


def truncated(delivery: Delivery) -> None:
    data = delivery.output.read_bytes()
    delivery.output.write_bytes(data[: len(data) * 2 // 3])


def empty(delivery: Delivery) -> None:
    delivery.output.write_bytes(b"")


CHANGES: dict[str, Callable[[Frames], Frames]] = {
    change.__name__: change
    for change in (nothing, nan, grey, black, frozen, missing, extra, skipped, swapped, blue)
}  # fmt: skip
COUNTS = {"missing": -1, "extra": 1}
SPOILS: dict[str, Callable[[Delivery], None]] = {spoil.__name__: spoil for spoil in (tags, truncated, empty)}


@hookimpl
def generators() -> list[WrongCamera]:
    return [WrongCamera()]


@hookimpl
def interpolators() -> list[WrongFlow]:
    return [WrongFlow()]


@hookimpl
def encoders() -> list[WrongFfmpeg]:
    return [WrongFfmpeg()]
