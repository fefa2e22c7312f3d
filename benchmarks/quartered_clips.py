"""Three of four frames of a clip are dropped and predicted: how well does each time come out, and the middle alone?

    python benchmarks/quartered_clips.py FOLDER --use film film,times=direct rife flow [--frames 41]

FOLDER holds .mp4 files. PSNR (dB, capped at 60) over RGB at 1/4, 1/2 and 3/4, means over the gaps of each clip and of
all. Gaps that an interpolator takes for a scene cut are left out for all.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from statistics import mean

from footage import Footage, read_clips
from interpolators import BLEND, opened
from scores import psnr

from framedaemon import ClipSpec, Cut, Frame, Gap

TIMES = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--use", nargs="+", required=True)
    parser.add_argument("--frames", type=int, default=41)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    methods = [BLEND, *arguments.use]
    found: dict[str, list[list[float]]] = {name: [] for name in methods}
    for clip in read_clips(arguments.folder, arguments.frames):
        drawn = {name: draw(name, clip, arguments.threads) for name in methods}
        gaps = [gap for gap in range(gaps_in(clip)) if all(each[gap] is not None for each in drawn.values())]
        for name in methods:
            rows = [scores(clip, gap, drawn[name][gap] or []) for gap in gaps]
            found[name] += rows
            print_row(f"{clip.name} {name}", rows)
    for name in methods:
        print_row(f"all {name}", found[name])


def gaps_in(clip: Footage) -> int:
    """Of four frames' length."""
    return (len(clip.frames) - 1) // 4


def draw(name: str, clip: Footage, threads: int) -> list[list[Frame] | None]:
    """Each gap's three frames; None for a scene cut."""
    width, height = clip.size
    kept = clip.frames[::4]
    spec = ClipSpec(width=width, height=height, frames=len(kept), fps=Fraction(6))
    gaps = (Gap(kept[gap], kept[gap + 1], TIMES) for gap in range(gaps_in(clip)))
    with opened(name, spec, threads) as fill:
        return [None if isinstance(answer, Cut) else list(answer) for answer in fill(gaps)]


def scores(clip: Footage, gap: int, drawn: list[Frame]) -> list[float]:
    """PSNR at each time."""
    return [psnr(frame, clip.frames[4 * gap + 1 + number]) for number, frame in enumerate(drawn)]


def print_row(what: str, rows: list[list[float]]) -> None:
    columns = [mean(column) for column in zip(*rows, strict=True)]
    print(f"{what:50}" + "".join(f"{value:8.2f}" for value in columns) + f"{len(rows):6} gaps", flush=True)


if __name__ == "__main__":
    main()
