"""film beside the paper's network as people run it: seconds and peak memory for each frame between two.

    python benchmarks/film_speed.py [--sizes 416x608 480x832] [--threads 1 2] [--rounds 3]
    python benchmarks/film_speed.py --device cuda [--sizes 832x1216 1920x1080 3840x2160] [--rounds 10]

The plain form is `tests/film_plain.py`: eager, whole maps, nothing kept from pair to pair. Both get the same weights
(made up: any numbers take the same time, ``--weights FILE`` takes a published file) and the same clip, and take turns
pair by pair in one process; medians, and the ratio of both in each round. Ours gets a pair as the daemon hands it over:
features of the earlier frame are there. Memory is each form's own: on a CPU VmHWM of a process that draws two frames
between three, on a GPU the most that torch had allocated. On a GPU both work in float16, the plain form as ComfyUI has
it: contiguous, frame by frame. Sizes are rounded up to multiples of 64.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import film_plain
from framedaemon_film.checkpoint import read_weights
from framedaemon_film.network.film import FilmNetwork
from framedaemon_film.shapes import MULTIPLE, PUBLISHED, SHAPES

MIB = 1 << 20
HALF = [Fraction(1, 2)]
CPU_SIZES, GPU_SIZES = ["416x608"], ["832x1216", "1920x1080", "3840x2160"]
TFLOP_A_PIXEL = 3.22e-6
"""Of convolutions that ours runs for a frame: features 0.79, flow 0.83, fusion 1.60 MFLOP a pixel."""

Draw = Callable[[Tensor, Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="*")
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--only", choices=["plain", "ours"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    on_cpu = arguments.device == "cpu"
    sizes = [_padded(size) for size in arguments.sizes or (CPU_SIZES if on_cpu else GPU_SIZES)]
    if arguments.only:
        print(json.dumps({"bytes": draw_two_and_tell(arguments.only, sizes[0], arguments.weights)}))
        return
    with torch.inference_mode():
        if on_cpu:
            for width, height in sizes:
                for threads in arguments.threads:
                    torch.set_num_threads(threads)
                    compare(width, height, arguments.weights, arguments.rounds, f"{threads} threads")
                compare_memory(width, height, arguments.weights)
        else:
            for width, height in sizes:
                run_on_gpu(torch.device(arguments.device), width, height, arguments.weights, arguments.rounds)


def compare(width: int, height: int, weights: Path | None, rounds: int, note: str) -> None:
    """Both forms by turns on the CPU."""
    tensors = _tensors(weights)
    forms = {"plain": _plain(tensors), "ours": _ours(tensors)}
    frames = _clip(width, height, rounds + 2, torch.device("cpu"), torch.float32)
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    worst = 0.0
    for x0, x1 in pairwise(frames):
        drawn = {}
        for name, draw in forms.items():
            started = time.perf_counter()
            drawn[name] = draw(x0, x1)
            seconds[name].append(time.perf_counter() - started)
        worst = max(worst, float((drawn["plain"] - drawn["ours"]).abs().max()))
    # The first round is for warming up: nothing is kept from the pair before.
    ratios = [plain / ours for plain, ours in zip(seconds["plain"][1:], seconds["ours"][1:], strict=True)]
    plain, ours = (median(seconds[name][1:]) for name in ("plain", "ours"))
    print(
        f"{width}x{height} {note:>10}  plain {plain:7.2f} s  ours {ours:7.2f} s  {median(ratios):.2f} x "
        f"({min(ratios):.2f} to {max(ratios):.2f})  {TFLOP_A_PIXEL * width * height / ours * 1000:.0f} GFLOP/s  "
        f"largest difference {worst:.1e}",
        flush=True,
    )


def compare_memory(width: int, height: int, weights: Path | None) -> None:
    """Peak of each form in a process of its own."""
    peaks = {}
    for name in ("plain", "ours"):
        command = [sys.executable, __file__, "--only", name, "--sizes", f"{width}x{height}"]
        command += ["--weights", str(weights)] if weights else []
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[name] = int(json.loads(done.stdout)["bytes"])
    print(
        f"{width}x{height} {'memory':>10}  plain {peaks['plain'] / MIB:6.0f} M  ours {peaks['ours'] / MIB:6.0f} M  "
        f"{peaks['ours'] / peaks['plain']:.0%}",
        flush=True,
    )


def draw_two_and_tell(name: str, size: tuple[int, int], weights: Path | None) -> int:
    """The peak of this process, in bytes, weights and torch included."""
    with torch.inference_mode():
        draw = (_plain if name == "plain" else _ours)(_tensors(weights))
        x0, x1, x2 = _clip(*size, 3, torch.device("cpu"), torch.float32)
        draw(x0, x1)
        draw(x1, x2)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def run_on_gpu(device: torch.device, width: int, height: int, weights: Path | None, rounds: int) -> None:
    """Frames a second and peak memory of both forms, one after the other: both may not fit together."""
    torch.backends.cudnn.benchmark = True
    made = {name: tensor.to(device, torch.float16) for name, tensor in _tensors(weights).items()}
    for name, form in (("plain", _plain), ("ours", _ours)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            seconds = _timed_on_gpu(form(made), width, height, device, rounds)
        except torch.OutOfMemoryError:
            print(f"{width}x{height} float16  {name:6} out of memory", flush=True)
            continue
        peak = torch.cuda.max_memory_allocated(device) / MIB
        rate = TFLOP_A_PIXEL * width * height / seconds if name == "ours" else 0.0
        print(
            f"{width}x{height} float16  {name:6} {1 / seconds:7.2f} frames/s  {seconds * 1000:7.1f} ms  {peak:6.0f} M"
            + (f"  {rate:.0f} TFLOP/s" if rate else ""),
            flush=True,
        )


def _timed_on_gpu(draw: Draw, width: int, height: int, device: torch.device, rounds: int) -> float:
    frames = _clip(width, height, rounds + 4, device, torch.float16)
    times = []
    for x0, x1 in pairwise(frames):
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        draw(x0, x1)
        torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return median(times[3:])  # the first choose kernels


def _plain(tensors: dict[str, Tensor]) -> Draw:
    return lambda x0, x1: film_plain.draw(tensors, x0, x1, 0.5)


def _ours(tensors: dict[str, Tensor]) -> Draw:
    """Keeps the later frame's features for the next pair, as the driver does."""
    some = next(iter(tensors.values()))
    network = FilmNetwork(
        {name: tensors[published] for name, published in PUBLISHED.items()}, some.device, some.dtype, "midpoints"
    )
    kept: dict[int, Sequence[Sequence[Tensor]]] = {}

    def draw(x0: Tensor, x1: Tensor) -> Tensor:
        f0 = kept.pop(id(x0), None) or network.features(x0)
        f1 = network.features(x1)
        (drawn,) = network.between(f0, f1, HALF)
        kept[id(x1)] = f1
        return drawn

    return draw


def _tensors(weights: Path | None) -> dict[str, Tensor]:
    if weights is None:
        return film_plain.make_weights({PUBLISHED[name]: shape for name, shape in SHAPES.items()})
    return {PUBLISHED[name]: tensor.float() for name, tensor in read_weights(weights).items()}


def _clip(width: int, height: int, frames: int, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """A pattern that moves by three pixels a frame."""
    generator = torch.Generator().manual_seed(1)
    rough = torch.rand((1, 3, height // 8, width // 8), generator=generator)
    picture = torch.nn.functional.interpolate(rough, size=(height, width), mode="bicubic").clamp(0, 1)
    return [picture.roll(3 * number, dims=3).to(device, dtype) for number in range(frames)]


def _padded(size: str) -> tuple[int, int]:
    width, height = (-(-int(side) // MULTIPLE) * MULTIPLE for side in size.split("x"))
    return width, height


if __name__ == "__main__":
    main()
