"""Footage to twice its rate, clip by clip: are the counts exact, and do source frames stand at their times unharmed?

    python benchmarks/clips_2x.py FOLDER_OR_FILE... [--frames 120]

Each clip goes through video → flow 2x → ffmpeg; the decoded source frames are held against those that went in (PSNR
over RGB, "2x"). Beside it stands the codec's own loss: the same frames with nothing between them, by the same encoder,
shown as briefly ("alone", since x264 and x265 spend bits by how long a frame is shown) and at their own rate ("1x").
Sound is compared by the seconds it plays.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from framedaemon import pipeline
from framedaemon.clip import Clip
from framedaemon.memory import this_machine
from framedaemon.opening import Limits, open_source
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.recipe import Recipe, StageChoice
from framedaemon.stages import AnyEncoder, AnyGenerator, Delivery, Scratch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=120, help="at most so many source frames of each clip")
    arguments = parser.parse_args()
    clips = [clip for path in arguments.paths for clip in (sorted(path.iterdir()) if path.is_dir() else [path])]
    registry = load_plugins(None)
    print(f"{'clip':34}{'in':>10}{'out':>16}{'exact':>7}{'2x dB':>8}{'alone':>8}{'1x':>8}{'sound s':>16}")
    for clip in clips:
        with tempfile.TemporaryDirectory(prefix="clips-2x-") as folder:
            compare(clip, arguments.frames, registry, Path(folder))


def compare(clip: Path, frames: int, registry: Registry, folder: Path) -> None:
    """Print one clip's row."""
    source = open_source(clip, clip.name, Limits())
    assert source.kind == "footage"
    generate = StageChoice(use="video", options={"frames": min(frames, source.frames)})
    double = make_plan(source, Recipe(generate=generate), registry, this_machine("cpu", 0), seed=1)
    made = pipeline.run(double, folder, registry, "{}", lambda *_: None).video
    alone = encode_alone(double, registry, folder / "alone", double.shown.fps)
    single = encode_alone(double, registry, folder / "single", double.drawn.fps)
    count = sum(1 for _ in decoded(made))
    losses = [
        psnr(drawn(double, registry, folder), decoded(video, every))
        for video, every in ((made, 2), (alone, 1), (single, 1))
    ]
    size = f"{double.video.width}x{double.video.height}"
    exact = count == 2 * double.drawn.frames - 1 and abs(rate(made) / (2 * double.drawn.fps) - 1) < 1e-9
    heard = f"{sound_seconds(clip):.2f} → {sound_seconds(made):.2f}"
    print(
        f"{clip.name:34}{double.drawn.frames:>10}{count:>6} {size:>9}{'yes' if exact else 'NO':>7}"
        f"{''.join(f'{loss:8.2f}' for loss in losses)}{heard:>16}",
        flush=True,
    )


def encode_alone(plan: Plan, registry: Registry, folder: Path, fps: Fraction) -> Path:
    """The plan's drawn frames at ``fps``, by the plan's encoder."""
    folder.mkdir()
    stage = cast(AnyEncoder, registry.stage("encode", plan.encode.task.name))
    clip = Clip(replace(plan.drawn, fps=fps), drawn(plan, registry, folder))
    output = folder / f"video{plan.video.suffix}"
    with stage.load(plan.encode.placement, plan.encode.options) as encode:
        encode(clip, Delivery(output, "{}", None, Scratch(folder)))
    return output


def drawn(plan: Plan, registry: Registry, folder: Path) -> Iterator[np.ndarray]:
    """The frames that go in."""
    stage = cast(AnyGenerator, registry.stage("generate", "video"))
    with stage.load(plan.generate.placement, plan.generate.options) as generate:
        yield from generate(plan.source, Scratch(folder))


def decoded(video: Path, every: int = 1) -> Iterator[np.ndarray]:
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every == 0:
                yield frame.to_ndarray(format="rgb48le" if frame.format.name.endswith("10le") else "rgb24")


def psnr(truth: Iterator[np.ndarray], found: Iterator[np.ndarray]) -> float:
    """Of all frames together, in dB; odd sizes are compared where both have pixels."""
    error, samples = 0.0, 0
    for x, y in zip(truth, found, strict=True):
        scaled = x[: y.shape[0], : y.shape[1]].astype(np.float32) / np.iinfo(x.dtype).max
        difference = scaled - y.astype(np.float32) / np.iinfo(y.dtype).max
        error += float(np.square(difference, dtype=np.float64).sum())
        samples += difference.size
    return float(-10 * np.log10(max(error / samples, 1e-12)))


def rate(video: Path) -> Fraction:
    with av.open(str(video)) as container:
        return Fraction(container.streams.video[0].average_rate or 0)


def sound_seconds(path: Path) -> float:
    """Of the longest sound track; 0 without any."""
    with av.open(str(path)) as container:
        tracks = container.streams.audio
        return max((float(track.duration * track.time_base) for track in tracks if track.duration), default=0.0)


if __name__ == "__main__":
    main()
