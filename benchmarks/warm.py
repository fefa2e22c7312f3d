"""What it saves to keep a network from one job to the next like it (see `framedaemon.keeping`).

    python benchmarks/warm.py [--models DIR]

For each runtime of RIFE and each length of clip: the seconds of jobs with the network made anew, over those with it
kept, in turn in one process, median of five. Both draw the same frames.
"""

from __future__ import annotations

import argparse
import os
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from framedaemon import Gap, Placement, keeping
from framedaemon.weights import models_folder
from framedaemon_rife.stage import Rife, RifeOptions

GAPS = (4, 20, 80)
SIZE = (288, 512)
ROUNDS = 5


def main() -> None:
    """Prints a line for each runtime and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=models_folder("", Path(), os.environ))
    placement = Placement(threads=os.cpu_count() or 1, models=parser.parse_args().models)
    keeping.keep_between_jobs()
    for runtime in ("torch", "openvino"):
        options = RifeOptions(runtime=runtime)  # type: ignore[arg-type]  # one of its two
        _job(placement, options, 2)  # imports
        for gaps in GAPS:
            anew, kept = [], []
            for _ in range(ROUNDS):
                keeping.release()
                anew.append(_job(placement, options, gaps))
                kept.append(_job(placement, options, gaps))
            seconds, ratio = median(anew) - median(kept), median(anew) / median(kept)
            print(f"{runtime:<9}{gaps:>3} gaps of {SIZE[1]}x{SIZE[0]}: anew / kept {ratio:.2f}, {seconds:.2f} s a job")


def _job(placement: Placement, options: RifeOptions, gaps: int) -> float:
    frame = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)
    frames = [np.roll(frame, 3 * index, 1) for index in range(gaps + 1)]
    started = time.perf_counter()
    with Rife().load(placement, options) as fill:
        for _ in fill(Gap(x0, x1, (Fraction(1, 2),)) for x0, x1 in pairwise(frames)):
            pass
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
