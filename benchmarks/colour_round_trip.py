"""A chart through every codec, beside what plain ``ffmpeg -pix_fmt yuv420p`` makes of it.

    python benchmarks/colour_round_trip.py

Errors are in levels of 0..255, at the middle of each patch, over red, green and blue. What a player shows is worked
out from the file's planes by the formula of ITU-T H.273 for the matrix that the file's own tags name; a file
without tags is taken for BT.709, as players do for video of this size.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg  # type: ignore[import-untyped]  # ships no types
import numpy as np
import numpy.typing as npt

from framedaemon import Clip, ClipSpec, Delivery, Frame, Placement, Scratch
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.stage import Ffmpeg

PATCH = 80
FRAMES = 5
NAMES = (
    *("black", "white", "red", "green", "blue", "yellow", "cyan", "magenta"),
    *("grey", "dark grey", "light grey", "skin", "leaf", "sky", "brick", "orange"),
)
COLOURS = np.array(
    [
        *[(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)],
        *[(255, 0, 255), (128, 128, 128), (48, 48, 48), (208, 208, 208), (224, 172, 140), (60, 120, 50)],
        *[(110, 160, 220), (150, 60, 40), (250, 140, 20)],
    ],
    np.uint8,
).reshape(4, 4, 3)
WAYS: tuple[dict[str, Any], ...] = (
    *[{"codec": codec} for codec in ("h264", "hevc", "av1", "vp9")],
    {"codec": "h264", "chroma": "4:4:4"},
    *[{"codec": codec, "bit_depth": 10} for codec in ("h264", "hevc", "av1", "vp9")],
    {"codec": "prores"},
)
# Kr and Kb by the number of the matrix in H.273; 2 is "not said".
MATRICES = {1: (0.2126, 0.0722), 2: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        naive = _naive(Path(folder) / "naive.mp4")
        rows = {"ffmpeg -pix_fmt yuv420p": naive}
        for depth in (8, 16):
            for number, way in enumerate(WAYS):
                name = f"{' '.join(str(value) for value in way.values())} from {depth} bit"
                rows[name] = _ours(Path(folder) / f"{depth}{number}.mkv", depth, way)
    print(f"{'':32}  mean   max   worst patch")
    for name, errors in rows.items():
        worst = NAMES[int(errors.max(axis=-1).argmax())]
        print(f"{name:32} {errors.mean():5.2f} {errors.max():6.2f}  {worst}")
    print(f"\n{'patch':12} {'plain ffmpeg':>14} {'h264':>8}   (largest error of R, G, B)")
    ours = rows["h264 from 8 bit"]
    for index, name in enumerate(NAMES):
        print(f"{name:12} {naive.reshape(16, 3)[index].max():14.2f} {ours.reshape(16, 3)[index].max():8.2f}")


def _ours(path: Path, depth: int, way: dict[str, Any]) -> npt.NDArray[np.float64]:
    spec = ClipSpec(4 * PATCH, 4 * PATCH, FRAMES, Fraction(25), 16 if depth == 16 else 8)
    options = FfmpegOptions.model_validate({"container": "mkv", **way})
    with Ffmpeg().load(Placement(threads=1), options) as encode:
        encode(Clip(spec, _chart(spec)), Delivery(path, "{}", None, Scratch(path.parent)))
    return _errors(path)


def _naive(path: Path) -> npt.NDArray[np.float64]:
    size = f"{4 * PATCH}x{4 * PATCH}"
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", size, "-framerate", "25", "-i", "pipe:0"]
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *source, "-crf", "18", "-pix_fmt", "yuv420p"]
    frames = b"".join(frame.tobytes() for frame in _chart(ClipSpec(4 * PATCH, 4 * PATCH, FRAMES, Fraction(25))))
    subprocess.run([*argv, str(path)], input=frames, check=True)
    return _errors(path)


def _chart(spec: ClipSpec) -> Iterator[Frame]:
    pixels = COLOURS.repeat(PATCH, 0).repeat(PATCH, 1)
    for _ in range(spec.frames):
        yield pixels if spec.depth == 8 else pixels.astype(np.uint16) * np.uint16(257)


def _errors(path: Path) -> npt.NDArray[np.float64]:
    """(4, 4, 3) levels between what was put in and what a player shows, over all frames at their worst."""
    with av.open(str(path)) as file:
        errors = np.stack([np.abs(_shown(frame) - COLOURS) for frame in file.decode(video=0)])
    worst: npt.NDArray[np.float64] = errors.max(axis=0)
    return worst


def _shown(frame: av.VideoFrame) -> npt.NDArray[np.float64]:
    scale = 2 ** (frame.format.components[0].bits - 8)
    y, cb, cr = (_middles(plane, scale) for plane in frame.planes)
    kr, kb = MATRICES[int(frame.colorspace)]
    light, blue, red = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b = light + 2 * (1 - kr) * red, light + 2 * (1 - kb) * blue
    rgb = np.stack([r, (light - kr * r - kb * b) / (1 - kr - kb), b], axis=-1)
    return np.clip(255 * rgb, 0, 255)


def _middles(plane: Any, scale: int) -> npt.NDArray[np.float64]:
    samples = np.frombuffer(plane, np.uint8 if scale == 1 else "<u2").reshape(plane.height, -1)[:, : plane.width]
    down, across = plane.height // 4, plane.width // 4
    return samples[down // 2 :: down, across // 2 :: across] / scale


if __name__ == "__main__":
    main()
