"""A published FILM archive beside what film makes of its tensors: the same frames, to a ten-thousandth?

    python benchmarks/film_archive.py film_net_fp32.pt [--size 256x320]

The archive is a network that runs: it is called as its publisher does, ``archive(x0, x1, time)``, time a (1, 1) tensor.
Its tensors are read as `framedaemon models pull` reads them, and the same pairs go through both in float32: noise at
several sizes, and one that moves. Runs the archive's own code, so only with a file whose hash is the published one
(``--trust`` for another).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from framedaemon_film.checkpoint import ROWS, read_weights
from framedaemon_film.network.film import FilmNetwork

EXACT = 1e-4
TIMES = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", default="256x320", help="multiples of 64")
    parser.add_argument("--trust", action="store_true", help="run the code of a file that is not the published one")
    arguments = parser.parse_args()
    digest = hashlib.sha256(arguments.file.read_bytes()).hexdigest()
    row = next((row.name for row in ROWS if row.sha256 == digest), None)
    print(f"sha256 {digest}: {row or 'not a published file'}")
    if row is None and not arguments.trust:
        sys.exit("its code is not run; --trust runs it")

    network = FilmNetwork(read_weights(arguments.file), torch.device("cpu"), torch.float32, "direct")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        load: Any = torch.jit.load  # has no types of its own
        archive = load(arguments.file, map_location="cpu").float().eval()
    width, height = (int(side) for side in arguments.size.split("x"))
    worst = 0.0
    with torch.inference_mode():
        for what, x0, x1 in pairs(width, height):
            ours = network.between(network.features(x0), network.features(x1), TIMES)
            for time, drawn in zip(TIMES, ours, strict=True):
                apart = float((archive(x0, x1, torch.full((1, 1), float(time))) - drawn).abs().max())
                worst = max(worst, apart)
                print(f"{what:8} {time}  largest difference {apart:.1e}", flush=True)
    print("the same frames" if worst < EXACT else f"DIFFERENT: more than {EXACT:g} apart")
    sys.exit(worst >= EXACT)


def pairs(width: int, height: int) -> list[tuple[str, Tensor, Tensor]]:
    """Two frames each: unlike, and moved by seven pixels."""
    noise = [sum_of_noise(width, height, seed) for seed in (1, 2)]
    return [("unlike", noise[0], noise[1]), ("moving", noise[0], noise[0].roll(7, dims=3))]


def sum_of_noise(width: int, height: int, seed: int) -> Tensor:
    """(1, 3, height, width) in 0..1, with something at each size to see."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, 3, height, width)
    for by in (1, 4, 16):
        rough = torch.rand((1, 3, height // by, width // by), generator=generator)
        total += torch.nn.functional.interpolate(rough, (height, width)) / 3
    return total


if __name__ == "__main__":
    main()
