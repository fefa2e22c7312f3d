"""rife beside the published network as people run it: seconds, peak memory and difference for each frame between two.

    python benchmarks/rife_speed.py [--sizes 832x1216 480x832] [--threads 1 2] [--rounds 7]
    python benchmarks/rife_speed.py --device cuda [--sizes 832x1216 1920x1080 3840x2160] [--rounds 100]

The plain form is `tests/rife_plain.py`: eager, flow and lookups at full size, every frame looked at anew for each pair.
All forms get the same weights (made up; ``--weights FILE`` takes a published file) and the same moving picture, and
take turns pair by pair in one process: medians, and the median of the ratios of each round. Ours gets a pair as the
daemon hands it over: features of the earlier frame are there. The share of the peak is the convolutions' arithmetic in
the shortest time, beside the fastest of three large convolutions measured between the rounds.

On a GPU the plain form works in float16 too, as ComfyUI has it, contiguous; memory is the most that torch had
allocated. On a CPU it is VmHWM of a process that draws two frames between three. Sizes are rounded up to multiples of
64.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from itertools import cycle, pairwise
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from framedaemon import Placement
from framedaemon.networks import PairNetwork, device_for
from framedaemon_rife.network import build
from framedaemon_rife.network.layers import fold
from framedaemon_rife.network.reading import read_weights
from framedaemon_rife.network.versions import VERSIONS, Version, recognise
from framedaemon_rife.network.whole import WholeRife

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from rife_plain import PlainRife, make_weights

HALF = [Fraction(1, 2)]
MIB = 1 << 20
CPU_SIZES, GPU_SIZES = ["832x1216", "480x832"], ["832x1216", "1920x1080", "3840x2160"]
PEAK_SHAPES = ((64, 104, 152), (96, 104, 152), (128, 104, 152))

Draw = Callable[[], Tensor]
Source = tuple[Version, Mapping[str, Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="*")
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    on_cpu = arguments.device == "cpu"
    sizes = [padded(size) for size in arguments.sizes or (CPU_SIZES if on_cpu else GPU_SIZES)]
    source = read(arguments.weights)
    if arguments.only:
        print(draw_two_and_tell(arguments.only, sizes[0], source))
        return
    for size in sizes:
        if not on_cpu:
            compare_on_gpu(size, arguments.device, arguments.rounds or 100, source)
            continue
        for threads in arguments.threads:
            compare_on_cpu(size, threads, arguments.rounds or 7, source)
        print_memory(size, arguments.weights)


def compare_on_cpu(size: tuple[int, int], threads: int, rounds: int, source: Source) -> None:
    frames = moving_picture(*size)
    with ExitStack() as held:
        draws = {name: held.enter_context(opened(name, frames, threads, source)) for name in ("plain", *runtimes())}
        drawn = {name: draw() for name, draw in draws.items()}
        work = {name: operations(draws[name]) for name in ("plain", "torch")}
        seconds: dict[str, list[float]] = {name: [] for name in draws}
        peak = 0.0
        for _ in range(rounds):
            for name, draw in draws.items():
                seconds[name].append(timed(draw))
            peak = max(peak, convolution_peak())
    print(
        f"\n{size[0]}x{size[1]}, threads: {threads}; peak of convolutions {peak / 1e9:.0f} GFLOP/s, a frame takes ",
        end="",
    )
    print(f"{work['plain'] / 1e9:.1f} GFLOP plain and {work['torch'] / 1e9:.1f} ours")
    for name, times in seconds.items():
        ratio = median(one / two for one, two in zip(seconds["plain"], times, strict=True))
        share = work["plain" if name == "plain" else "torch"] / min(times) / peak
        print(
            f"  {name:9} {median(times):7.3f} s (best {min(times):.3f}), {ratio:5.2f} times as fast, {share:4.0%} "
            f"of the peak at best, {decibels(drawn[name], drawn['plain']):6.1f} dB to plain",
            flush=True,
        )


def compare_on_gpu(size: tuple[int, int], name: str, rounds: int, source: Source) -> None:
    version, weights = source
    layers = fold(version, weights)
    print(f"\n{size[0]}x{size[1]} on {torch.cuda.get_device_name(name)}: frames/s, peak MiB, dB to plain float32")
    with device_for(Placement(device=name, dtype="float16")) as device:
        moved = {key: tensor.to(name) for key, tensor in weights.items()}
        halved = {key: tensor.half() for key, tensor in moved.items()}
        frames = [frame.to(name) for frame in moving_picture(*size)]
        halves = [frame.half() for frame in frames]
        whole = {
            dtype: WholeRife(layers, device.torch_device, dtype) for dtype in (torch.float32, torch.float16)
        }  # fmt: skip
        rows = {
            "plain float32": plainly(PlainRife(version, moved), frames),
            "plain float16": plainly(PlainRife(version, halved), halves),
            "ours float32": between(whole[torch.float32], frames),
            "ours float16": between(whole[torch.float16], frames),
        }
        truth = None
        for row, draws in rows.items():
            first = next(draws).float()
            truth = first if truth is None else truth
            for _ in range(4):
                next(draws)
            torch.cuda.synchronize(name)
            torch.cuda.reset_peak_memory_stats(name)
            began = time.perf_counter()
            for _ in range(rounds):
                next(draws)
            torch.cuda.synchronize(name)
            rate = rounds / (time.perf_counter() - began)
            peak = torch.cuda.max_memory_allocated(name) / MIB
            print(f"  {row:14} {rate:8.1f} {peak:8.0f} {decibels(first, truth):7.1f}", flush=True)


def runtimes() -> list[str]:
    return ["torch", *(["openvino"] if find_spec("openvino") else [])]


@contextmanager
def opened(name: str, frames: list[Tensor], threads: int, source: Source) -> Iterator[Draw]:
    """The function that draws the next frame, by the plain form or by one of our runtimes."""
    version, weights = source
    placement = Placement(threads=threads)
    with device_for(placement) as device:
        if name == "plain":
            yield partial(next, plainly(PlainRife(version, weights), frames))
            return
        with build.rife(version, weights, device, placement, name) as rife:
            yield partial(next, between(rife, frames))


def plainly(plain: PlainRife, frames: list[Tensor]) -> Iterator[Tensor]:
    """Halfway between each frame and the next, again and again."""
    for x0, x1 in cycle(pairwise(frames)):
        yield plain(x0, x1, 0.5)


def between(rife: PairNetwork, frames: list[Tensor]) -> Iterator[Tensor]:
    """The same; what was found in the frame before is kept, as the daemon does."""
    last, kept = None, None
    for x0, x1 in cycle(pairwise(frames)):
        f0 = kept if x0 is last else rife.features(channels_last(x0))
        last, kept = x1, rife.features(channels_last(x1))
        yield from rife.between(f0, kept, HALF)


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def read(file: Path | None) -> Source:
    weights = make_weights(VERSIONS[0]) if file is None else read_weights(file)
    version = recognise({name: tuple(tensor.shape) for name, tensor in weights.items()})
    assert version is not None
    return version, weights


def moving_picture(height: int, width: int) -> list[Tensor]:
    """Three frames and back to the first: (1, 3, height, width), a rough ground that moves by some pixels."""
    rough = np.random.default_rng(0).random((height // 12 + 8, width // 12 + 8, 3), np.float32)
    picture = cv2.resize(rough, (width + 64, height + 64), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    crops = [picture[7 * n : 7 * n + height, 11 * n : 11 * n + width] for n in (0, 1, 2)]
    one, two, three = (torch.from_numpy(crop.transpose(2, 0, 1)[None].copy()) for crop in crops)
    return [one, two, three, two, one]


def timed(draw: Draw) -> float:
    began = time.perf_counter()
    draw()
    return time.perf_counter() - began


def convolution_peak() -> float:
    """Operations a second of the fastest of some large convolutions, as oneDNN likes them."""
    best = 0.0
    for maps, height, width in PEAK_SHAPES:
        x = channels_last(torch.rand(1, maps, height, width))
        weight = channels_last(torch.rand(maps, maps, 3, 3))
        for _ in range(3):
            began = time.perf_counter()
            functional.conv2d(x, weight, padding=1)
            best = max(best, 18 * maps * maps * height * width / (time.perf_counter() - began))
    return best


def operations(draw: Draw) -> int:
    """Of convolutions, counted by torch while it draws."""
    with FlopCounterMode(display=False) as counter:
        draw()
    return counter.get_total_flops()


def decibels(one: Tensor, two: Tensor) -> float:
    return float(-10 * torch.log10((one - two).square().mean()))


def print_memory(size: tuple[int, int], file: Path | None) -> None:
    options = ["--sizes", f"{size[0]}x{size[1]}", *(["--weights", str(file)] if file else [])]
    told = {}
    for name in ("nothing", "plain", *runtimes()):
        done = subprocess.run([sys.executable, __file__, "--only", name, *options], capture_output=True, check=True)
        told[name] = int(done.stdout.split()[-1])
    base = told.pop("nothing")
    print("  peak MiB beyond libraries: " + ", ".join(f"{name} {(had - base) / MIB:.0f}" for name, had in told.items()))


def draw_two_and_tell(name: str, size: tuple[int, int], source: Source) -> int:
    """VmHWM of this process after two frames."""
    frames = moving_picture(*size)[:3]
    if name != "nothing":
        with opened(name, frames, 1, source) as draw:
            draw()
            draw()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def padded(size: str) -> tuple[int, int]:
    """ "832x1216" as height and width, in multiples of 64."""
    height, width = (-(-int(side) // 64) * 64 for side in size.split("x"))
    return height, width


if __name__ == "__main__":
    main()
