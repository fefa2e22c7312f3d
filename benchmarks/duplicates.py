"""Which neighbours are one and the same picture? The product's decision beside plain ones, on what is known.

    python benchmarks/duplicates.py FOLDER [--frames 24] [--crf 18 23 28]

FOLDER: clips (.mp4). Of each, every second of ``--frames`` frames is shown twice (a b b c d d e …), and the whole
encoded by x264; in what is decoded, both showings are duplicates seen through a codec, and other neighbours are not.
Those that are nearly the same picture in the clip already (mean difference below 0.5 levels) are left out. Then slow
motion: a made picture that moves by 0.02 to 1 pixel a frame, encoded alike: none of it is a duplicate, though little
is lost by holding what moves by hundredths of a pixel. And a ball of 20 pixels that crosses a still picture of
1920x1080.

Decisions: "ours" (`framedaemon.weave.is_duplicate`: mean difference and largest difference), the mean difference
below 0.05 levels alone, and SSIM above 0.996. Found: of true duplicates. Alarms: of pairs that are none.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from footage import read_clips
from jobs import draw_picture
from PIL import Image
from scores import ssim

from framedaemon import Frame
from framedaemon.weave import is_duplicate

SAME_LEVELS = 0.5
SHIFTS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)

DECISIONS: dict[str, Callable[[Frame, Frame], bool]] = {
    "ours": is_duplicate,
    "mean < 0.05": lambda x0, x1: mean_difference(x0, x1) < 0.05,
    "SSIM > 0.996": lambda x0, x1: ssim(x0, x1) > 0.996,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--crf", type=int, nargs="*", default=[18, 23, 28])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    told: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for clip in read_clips(arguments.folder, arguments.frames):
        shown = [frame for at, frame in enumerate(clip.frames) for _ in range(1 + at % 2)]
        same = [x0 is x1 for x0, x1 in pairwise(shown)]
        alike = [
            not known and mean_difference(x0, x1) < SAME_LEVELS
            for known, (x0, x1) in zip(same, pairwise(shown), strict=True)
        ]
        for crf in arguments.crf:
            count(told["clips", crf], encoded(shown, crf), same, alike)
    for shift in SHIFTS:
        shown = [moved(shift * at) for at in range(arguments.frames)]
        for crf in arguments.crf:
            count(told[f"{shift} pixels a frame", crf], encoded(shown, crf), [False] * (len(shown) - 1))
    shown = [ball(8 * at) for at in range(arguments.frames)]
    for crf in arguments.crf:
        count(told["a small ball", crf], encoded(shown, crf), [False] * (len(shown) - 1))
    print(f"{'':24}{'crf':>4}" + "".join(f"{name:>30}" for name in DECISIONS))
    for (what, crf), counts in told.items():
        columns = (
            f"{counts[name + ' found']:>10}/{counts['true']} {counts[name + ' alarms']:>8}/{counts['false']}"
            for name in DECISIONS
        )
        print(f"{what:24}{crf:4}" + "".join(f"{column:>30}" for column in columns))
    print("each column: true duplicates found, and false alarms")


def count(counts: Counter[str], shown: Sequence[Frame], same: Sequence[bool], leave: Sequence[bool] = ()) -> None:
    """Add what each decision says of neighbours that are the ``same``; those to ``leave`` are not asked about."""
    for at, (x0, x1) in enumerate(pairwise(shown)):
        if leave and leave[at]:
            continue
        counts["true" if same[at] else "false"] += 1
        for name, decide in DECISIONS.items():
            counts[name + (" found" if same[at] else " alarms")] += decide(x0, x1)


def encoded(frames: Sequence[Frame], crf: int) -> list[Frame]:
    """What comes back of the frames through x264."""
    height, width = (side - side % 2 for side in frames[0].shape[:2])
    with tempfile.TemporaryDirectory(prefix="duplicates-") as folder:
        path = str(Path(folder) / "clip.mp4")
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", 25, width=width, height=height, pix_fmt="yuv420p")
            stream.options = {"crf": str(crf)}
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        with av.open(path) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def mean_difference(x0: Frame, x1: Frame) -> float:
    """8-bit levels."""
    return float(cv2.absdiff(x0, x1).mean())


def moved(by: float) -> Frame:
    """640x360 of a made picture, ``by`` pixels further to the right."""
    matrix = np.array([[1.0, 0, 20 + by], [0, 1.0, 0]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(texture(640, 360), matrix, (640, 360), flags=flags), np.uint8)


def ball(x: int) -> Frame:
    frame = texture(1920, 1080)[:1080, :1920].copy()
    cv2.circle(frame, (400 + x, 540), 10, (230, 60, 40), -1, cv2.LINE_AA)
    return frame


@lru_cache(maxsize=2)
def texture(width: int, height: int) -> Frame:
    with tempfile.TemporaryDirectory(prefix="duplicates-") as folder:
        draw_picture(Path(folder) / "picture.png", width, height)
        with Image.open(Path(folder) / "picture.png") as picture:
            return np.array(picture)


if __name__ == "__main__":
    main()
