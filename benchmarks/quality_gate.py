"""How many honest videos the quality gate refuses: 50 of different kinds, and it should be none.

    python benchmarks/quality_gate.py [--size 320x192] [--seconds 2] [FILE …]

Camera moves over pictures of every kind, footage with fades, cuts, grain, stills, slow motion and sound, through every
codec and container, each by the whole pipeline. With FILEs, pictures or videos of your own: those instead, each
delivered in four kinds. Exits with 1 where one was refused.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt

from framedaemon import pipeline
from framedaemon.errors import JobRejected, StageFailed
from framedaemon.layers import Layer, read_request
from framedaemon.memory import this_machine
from framedaemon.opening import Limits, open_source
from framedaemon.plan import make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.toml import Table

Pixels = npt.NDArray[np.uint8]

_FPS = 24


class Honest(NamedTuple):
    """A video to be made in which nothing is wrong."""

    path: Path
    recipe: Table

    def describe(self) -> str:
        said = (f"{key} {value}" for table in self.recipe.values() for key, value in dict(table).items())  # type: ignore[call-overload]
        return f"{self.path.stem}: {', '.join(said)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--size", default="320x192")
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    registry = load_plugins(None)
    made, refused = 0, []
    with tempfile.TemporaryDirectory(prefix="quality-gate-") as name:
        folder = Path(name)
        honest = own(arguments.files) if arguments.files else videos(folder, width, height, arguments.seconds)
        for number, video in enumerate(honest):
            try:
                worst = make(video, folder / str(number), registry)
            except JobRejected as error:
                print(f"not made: {video.describe()}: {error}", flush=True)
                continue
            except StageFailed as error:
                refused.append(f"{video.describe()}: {error}")
                worst = str(error)
            made += 1
            print(f"{made:3} {video.describe()}: {worst}", flush=True)
    print(f"{made} honest videos, {len(refused)} refused")
    print("\n".join(refused))
    return 1 if refused else 0


def make(video: Honest, folder: Path, registry: Registry) -> str:
    """Make it; returns how far its frames were off. Raises StageFailed where it was refused."""
    folder.mkdir()
    recipe = read_request([Layer("benchmark", video.recipe)]).recipes[0]
    source = open_source(video.path, video.path.name, Limits())
    plan = make_plan(source, recipe, registry, this_machine("cpu", 0), seed=1)
    gate = pipeline.run(plan, folder, registry, "{}", lambda *told: None).gate
    return ", ".join(f"{key} {value}" for key, value in gate.errors.items())


def own(files: Sequence[Path]) -> Iterator[Honest]:
    """Each of ``files`` in four kinds."""
    kinds: list[Table] = [
        {"interpolate": {"fps": 30}},
        {"interpolate": {"factor": 2}, "encode": {"codec": "hevc", "bit_depth": 10}},
        {"encode": {"container": "webm", "crf": 40}},
        {"encode": {"crf": 35}},
    ]
    return (Honest(path, kind) for path in files for kind in kinds)


def videos(folder: Path, width: int, height: int, seconds: float) -> Iterator[Honest]:
    """All 50."""
    frames = round(seconds * _FPS)
    stills = {name: _save(folder / f"{name}.png", still) for name, still in pictures(width, height).items()}
    moves = itertools.cycle(["push_in", "pan_right", "tilt_up", "orbit", "drift", "pull_out", "pan_left"])
    for path, amount in itertools.product(stills.values(), (0.1, 0.6)):
        camera: Table = {"frames": frames, "fps": _FPS, "move": next(moves), "amount": amount}
        yield Honest(path, {"generate": camera, "interpolate": {"fps": 30}})
    short: Table = {"frames": frames // 2, "fps": _FPS, "move": "pan_right"}
    for kind in _KINDS:
        yield Honest(stills["texture"], {"generate": short, "encode": kind})
    for shape in _SHAPES:
        yield Honest(stills["texture"], {"generate": {"move": "pan_right", **shape}, "interpolate": {"factor": 2}})
    for name, clip in footage(width, height, frames).items():
        path = _film(folder / f"{name}.mp4", clip, sound=name in ("pan", "slow"))
        yield Honest(path, {"interpolate": {"fps": 60}})
        yield Honest(path, {"encode": {"crf": 38}})


_KINDS: tuple[Table, ...] = (
    {"container": "mp4", "crf": 40},
    {"container": "mkv", "bit_depth": 10},
    {"container": "mp4", "chroma": "4:4:4"},
    {"container": "mp4", "codec": "hevc"},
    {"container": "mkv", "codec": "hevc", "bit_depth": 10},
    {"container": "mkv", "codec": "av1"},
    {"container": "webm"},
    {"container": "webm", "bit_depth": 10},
    {"container": "mov", "codec": "prores", "bit_depth": 10},
    {"container": "mkv", "codec": "ffv1"},
    {"container": "gif"},
    {"container": "webp"},
    {"container": "png"},
)
_SHAPES: tuple[Table, ...] = (
    {"frames": 1},
    {"frames": 2, "fps": 2},
    {"frames": 24, "fps": 24, "loop": True, "move": "orbit"},
    {"frames": 12, "fps": 12, "width": 32, "height": 16},
    {"frames": 9, "fps": "24000/1001", "width": 131, "height": 77},
)


def pictures(width: int, height: int) -> dict[str, Pixels]:
    """(height, width, 3) uint8, by what they show."""
    random = np.random.default_rng(1)
    texture = _smooth(random, width, height, 24)
    night = np.zeros((height, width, 3), np.uint8)
    for x, y in random.integers(8, (width - 8, height - 8), (12, 2)):
        cv2.circle(night, (int(x), int(y)), 3, (255, 240, 180), -1)
    page = np.full((height, width, 3), 255, np.uint8)
    cv2.putText(page, "honest", (width // 8, height // 2), cv2.FONT_HERSHEY_SIMPLEX, height / 120, (0, 0, 0), 2)
    ramp = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None]
    bars = (np.arange(width) // 4 % 2 * 255).astype(np.uint8)[None, :, None]
    grain = np.clip(texture + random.normal(0, 12, texture.shape), 0, 255)
    return {
        "texture": texture,
        "flat": np.full((height, width, 3), (90, 120, 200), np.uint8),
        "dark": (texture // 16).astype(np.uint8),
        "night": night,
        "page": page,
        "ramp": np.ascontiguousarray(np.broadcast_to(ramp, (height, width, 3))),
        "grain": grain.astype(np.uint8),
        "stripes": np.ascontiguousarray(np.broadcast_to(bars, (height, width, 3))),
    }


def footage(width: int, height: int, frames: int) -> dict[str, list[Pixels]]:
    """Clips as people film and edit them, by what happens in them."""
    random = np.random.default_rng(2)
    wide, other = _smooth(random, 2 * width, height, 24), _smooth(random, width, height, 12)
    pan = [np.ascontiguousarray(wide[:, j * width // frames :][:, :width]) for j in range(frames)]
    fade = [(frame * abs(1 - 2 * j / (frames - 1))).astype(np.uint8) for j, frame in enumerate(pan)]
    grain = [np.clip(other + random.normal(0, 10, other.shape), 0, 255).astype(np.uint8) for _ in range(frames)]
    flash = [np.full_like(frame, 255) if j == frames // 2 else frame for j, frame in enumerate(pan)]
    return {
        "pan": pan,
        "fade": fade,
        "grain": grain,
        "still": [other] * frames,
        "cuts": [(pan if j // 9 % 2 else fade)[j] for j in range(frames)],
        "flash": flash,
        "slow": [pan[j // 6] for j in range(frames)],
        "black": [np.zeros_like(other)] * (frames // 2) + pan[frames // 2 :],
    }


def _smooth(random: np.random.Generator, width: int, height: int, cell: int) -> Pixels:
    coarse = random.integers(0, 256, (height // cell + 2, width // cell + 2, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def _save(path: Path, pixels: Pixels) -> Path:
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path


def _film(path: Path, frames: Sequence[Pixels], sound: bool) -> Path:
    height, width, _ = frames[0].shape
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=Fraction(_FPS), options={"crf": "12", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        tone = file.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _FPS)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if tone is not None:
            wave = np.sin(np.arange(len(frames) * 48_000 // _FPS, dtype=np.float32) * 0.05)[None]
            hum = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            hum.sample_rate, hum.pts = 48_000, 0
            file.mux(tone.encode(hum))
            file.mux(tone.encode(None))
    return path


if __name__ == "__main__":
    sys.exit(main())
