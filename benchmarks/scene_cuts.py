"""Does the share of the picture that can be followed tell scene cuts from motion? Misses and false alarms.

    python benchmarks/scene_cuts.py FOLDER [--frames 400] [--made 300] [--known imageio_cockatoo:58 …]

FOLDER: clips (.mp4), at most ``--frames`` frames of each. Within a scene: all pairs of neighbours, and of frames two
and three apart. Cuts, made with a fixed seed: a random frame of one clip before a random frame of another, cropped to
its size; two frames of one clip, at least half of it apart (where the camera stands still these are no cuts, only a
jump in time); and a frame before the next one, enlarged by 1.5 about its middle. Besides, a flash: the next frame 1.6
times as bright. ``--known`` names real cuts in the clips, by the first frame behind them: they count as cuts.

Two decisions: the product's for networks (`framedaemon.scenes`), and flow's own, on its finer flow. For each, how the
shares are spread, and what its own threshold, 0.15 and 0.2 get wrong. Wrong ones within a scene are named.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from footage import Footage, read_clips

from framedaemon import Frame, flow_agreement
from framedaemon.scenes import CUT_SHARE, followed
from framedaemon_flow.effort import EFFORTS
from framedaemon_flow.filling import CUT_AGREEMENT
from framedaemon_flow.motion import find_flow, reduce

THRESHOLDS = tuple(sorted({0.15, 0.2, CUT_SHARE, CUT_AGREEMENT}))
STEPS = (1, 2, 3)
CUTS = ("another clip", "the same clip, later", "enlarged", "a real cut")


class Pair(NamedTuple):
    """What was measured of two frames."""

    name: str
    ours: float
    """The share that `framedaemon.scenes` could follow."""
    flow: float
    """The share that flow could."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--made", type=int, default=300, help="so many made cuts of each kind")
    parser.add_argument("--known", nargs="*", default=[])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    clips = {clip.name: clip for clip in read_clips(arguments.folder, arguments.frames)}
    found: dict[str, list[Pair]] = defaultdict(list)
    for clip in clips.values():
        for step in STEPS:
            for first in range(0, len(clip.frames) - step, step):
                inside = range(first + 1, first + step + 1)
                real = any(f"{clip.name}:{frame}" in arguments.known for frame in inside)
                kind = "a real cut" if real else f"{step} apart"
                found[kind].append(
                    measure(f"{clip.name}:{first}+{step}", clip.frames[first], clip.frames[first + step])
                )
        print(".", end="", file=sys.stderr, flush=True)
    rng = np.random.default_rng(0)
    for kind, x0, x1 in made_pairs(list(clips.values()), arguments.made, rng):
        found[kind].append(measure(kind, x0, x1))
    print(file=sys.stderr)
    for kind, pairs in found.items():
        print_kind(kind, pairs)


def measure(name: str, x0: Frame, x1: Frame) -> Pair:
    grey0, grey1, effort = reduce(x0), reduce(x1), EFFORTS["good"]
    there, back = find_flow(grey0, grey1, effort), find_flow(grey1, grey0, effort)
    return Pair(name, followed(x0, x1), flow_agreement(there, back))


def made_pairs(clips: list[Footage], count: int, rng: np.random.Generator) -> Iterator[tuple[str, Frame, Frame]]:
    """(kind, x0, x1), ``count`` of each kind."""
    for _ in range(count):
        one, two = rng.choice(len(clips), 2, replace=False)
        x0, x1 = (clips[which].frames[rng.integers(len(clips[which].frames))] for which in (one, two))
        yield "another clip", x0, fit(x1, x0)
        frames = clips[one].frames
        first = rng.integers(len(frames) // 2)
        yield "the same clip, later", frames[first], frames[rng.integers(first + len(frames) // 2, len(frames))]
        first = rng.integers(len(frames) - 1)
        yield "enlarged", frames[first], enlarged(frames[first + 1])
        yield "a flash", frames[first], np.clip(frames[first + 1] * 1.6, 0, 255).astype(np.uint8)


def fit(frame: Frame, like: Frame) -> Frame:
    """``frame``, scaled and cropped about its middle to the size of ``like``."""
    height, width = like.shape[:2]
    scale = max(height / frame.shape[0], width / frame.shape[1])
    size = max(width, round(frame.shape[1] * scale)), max(height, round(frame.shape[0] * scale))
    whole = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return np.ascontiguousarray(whole[top : top + height, left : left + width])


def enlarged(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    inner = frame[height // 6 : height - height // 6, width // 6 : width - width // 6]
    return np.asarray(cv2.resize(inner, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def print_kind(kind: str, pairs: list[Pair]) -> None:
    is_cut = kind in CUTS
    print(f"\n{kind}: {len(pairs)} pairs")
    for who in ("ours", "flow"):
        shares = np.sort([getattr(pair, who) for pair in pairs])
        spread = " ".join(f"{share:.3f}" for share in np.percentile(shares, [0, 1, 5, 50, 95, 99, 100]))
        told = ", ".join(
            f"{int(((shares >= limit) if is_cut else (shares < limit)).sum())} at {limit}" for limit in THRESHOLDS
        )
        print(f"  {who:5} min 1% 5% 50% 95% 99% max: {spread}   {'missed' if is_cut else 'false alarms'}: {told}")
    if kind == "a real cut" or kind.endswith("apart"):
        wrong = [pair for pair in pairs if is_cut or min(pair.ours, pair.flow) < max(THRESHOLDS)]
        for pair in sorted(wrong, key=lambda pair: pair.ours):
            print(f"    {pair.name:40} ours {pair.ours:.3f}, flow {pair.flow:.3f}")


if __name__ == "__main__":
    main()
