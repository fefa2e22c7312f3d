"""The frame halfway between two, on sets of three with a true middle: a plain mix, and each interpolator that is ready.

    python benchmarks/middlebury.py FOLDER [--use flow flow,quality=best rife]

FOLDER holds input/SCENE/frame10.png, frame11.png and gt/SCENE/frame10i11.png, as the Middlebury OTHER set does. PSNR
(dB) and SSIM over RGB. Each pair stands alone: no neighbours, so that flow cannot bend its paths.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np
from interpolators import BLEND, opened, ready
from PIL import Image
from scores import psnr, ssim

from framedaemon import ClipSpec, Cut, Frame, Gap

HALF = (Fraction(1, 2),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--use", nargs="*")
    arguments = parser.parse_args()
    methods = [BLEND, *(ready() if arguments.use is None else arguments.use)]
    print(f"{'scene':14}" + "".join(f"{name:>22}" for name in methods))
    rows = []
    for scene in sorted(path.name for path in (arguments.folder / "gt").iterdir()):
        x0, x1 = (read_png(arguments.folder / "input" / scene / f"frame{n}.png") for n in (10, 11))
        truth = read_png(arguments.folder / "gt" / scene / "frame10i11.png")
        made = [halfway(name, x0, x1) for name in methods]
        rows.append([value for frame in made for value in (psnr(frame, truth), ssim(frame, truth))])
        print_row(scene, rows[-1])
    print_row("mean", [float(value) for value in np.mean(rows, axis=0)])


def print_row(scene: str, values: list[float]) -> None:
    columns = (f"{values[at]:15.2f} {values[at + 1]:.4f}" for at in range(0, len(values), 2))
    print(f"{scene:14}" + "".join(columns), flush=True)


def halfway(name: str, x0: Frame, x1: Frame) -> Frame:
    with opened(name, ClipSpec(x0.shape[1], x0.shape[0], 2, Fraction(25))) as fill:
        (answer,) = fill([Gap(x0, x1, HALF)])
    return x0 if isinstance(answer, Cut) else answer[0]


def read_png(path: Path) -> Frame:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    main()
