"""The generator that frames a still through a moving camera."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ClassVar

import numpy as np

from framedaemon import (
    ClipSpec,
    Estimate,
    Frame,
    Generate,
    GeneratorOptions,
    JobRejected,
    Machine,
    OutOfMemory,
    Picture,
    Placement,
    Scratch,
    Source,
    SourceKind,
)
from framedaemon_camera.levels import Level, plan_ladder
from framedaemon_camera.moves import Path
from framedaemon_camera.options import CameraOptions, clip_of

_LIBRARIES = 40 << 20  # bytes: OpenCV and Pillow, once imported
_SLACK = 1.1  # what the allocator does not give back at once
_READING = 16 << 20  # bytes: a few rows of a huge picture, as they are and as Pillow has them
_SECONDS_PER_PIXEL = 14e-9  # of a frame, on one core of a 2.5 GHz server
_SECONDS_PER_SAMPLE = 60e-9  # of a level, the same


class Camera:
    """A virtual camera over a still: it pushes, pans, tilts, circles or drifts."""

    name: ClassVar[str] = "camera"
    summary: ClassVar[str] = "a camera move over a still picture; needs no GPU and no weights"
    options: ClassVar[type[GeneratorOptions]] = CameraOptions
    accepts: ClassVar[frozenset[SourceKind]] = frozenset({"picture"})
    preference: ClassVar[int] = 10
    seeks: ClassVar[bool] = True

    def unready(self, machine: Machine) -> str | None:
        """Works everywhere."""
        return None

    def promise(self, takes: Source, options: CameraOptions) -> ClipSpec:
        """Five seconds in the picture's own aspect, unless ``options`` ask otherwise."""
        return clip_of(_picture(takes), options)

    def estimate(self, takes: Source, gives: ClipSpec, options: CameraOptions) -> Estimate:
        """The levels of the picture that the move needs, and what making the dearest of them takes."""
        picture = _picture(takes)
        levels = plan_ladder(_path(picture, gives, options)).levels
        pixels = sum(_kept(level) for level in levels) + max(_taken(level, picture) for level in levels)
        ram = _LIBRARIES + int(pixels * _SLACK) + 3 * gives.frame_bytes
        seconds = gives.frames * gives.width * gives.height * _SECONDS_PER_PIXEL
        seconds += sum(_kept(level) for level in levels) / 4 * _SECONDS_PER_SAMPLE
        return Estimate(ram=ram, seconds=seconds)

    @contextmanager
    def load(self, placement: Placement, options: CameraOptions) -> Iterator[Generate]:
        """Frames of a picture, drawn one by one by ``placement.threads`` threads; any number gives the same."""
        import cv2

        # OpenCV's own pool is the whole process's; ours is this stage's, and ends with it.
        cv2.setNumThreads(1)
        if placement.threads <= 1:
            yield lambda takes, scratch: _generate(_picture(takes), options, scratch, _run_here)
            return
        with ThreadPoolExecutor(placement.threads, thread_name_prefix="camera") as pool:

            def run(draw: Callable[[int], None], rows: Iterable[int]) -> None:
                list(pool.map(draw, rows))

            yield lambda takes, scratch: _generate(_picture(takes), options, scratch, run)


def _generate(
    picture: Picture,
    options: CameraOptions,
    scratch: Scratch,
    run: Callable[[Callable[[int], None], Iterable[int]], None],
) -> Iterator[Frame]:
    from framedaemon_camera.lens import Lens

    gives = clip_of(picture, options)
    path = _path(picture, gives, options)
    scratch.progress("look at the picture", 0.0)
    lens = Lens(picture.pixels, path, plan_ladder(path))
    for index in range(scratch.start, gives.frames):
        try:
            frame = lens.draw(index, run)
        except MemoryError as error:
            raise OutOfMemory(f"camera: no memory for frame {index} of {gives.describe()}") from error
        yield frame


def _run_here(draw: Callable[[int], None], rows: Iterable[int]) -> None:
    for top in rows:
        draw(top)


def _path(picture: Picture, gives: ClipSpec, options: CameraOptions) -> Path:
    return Path(
        picture=(picture.width, picture.height),
        clip=(gives.width, gives.height),
        frames=gives.frames,
        seconds=float(gives.duration),
        options=options,
        seed=_seed(picture, options) if options.move == "drift" else 0,
    )


def _seed(picture: Picture, options: CameraOptions) -> int:
    return options.seed if options.seed is not None else zlib.crc32(np.ascontiguousarray(picture.pixels).data)


def _kept(level: Level) -> int:
    """Bytes of the level while frames are drawn: four channels."""
    return 4 * level.size[0] * level.size[1]


def _taken(level: Level, picture: Picture) -> int:
    """Bytes that are held besides at worst: while pixels are resized, or the result is copied."""
    left, top, right, bottom = level.crop(picture.width, picture.height)
    width, height = (right - left) // level.factor + 1, (bottom - top) // level.factor + 1
    return _READING + 4 * width * height + max(4 * level.size[0] * height, _kept(level))


def _picture(takes: Source) -> Picture:
    if not isinstance(takes, Picture):
        raise JobRejected(f"[generate] use: camera moves over a picture, and this is {takes.kind}")
    return takes
