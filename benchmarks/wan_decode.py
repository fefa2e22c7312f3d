"""Peak memory and time of Wan's VAE against the number of frames: whole, streamed, and tile by tile to disk.

    python benchmarks/wan_decode.py [--frames 25 81 161] [--size 320x512] [--kind 8x]

Each cell is a process of its own: a tiny AutoencoderKLWan (real class, few channels) decodes random latents, and says
its VmHWM, its seconds and a hash of all frames. ``whole`` and ``tiled`` are diffusers' own `vae.decode`, without and
with tiling; a streamed decode must give the hash of the first, one that is spilled that of the second.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs import MIB, high_water

from framedaemon import Frame

PAIRS = {"whole": "streamed", "tiled": "spilled"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[25, 81, 161])
    parser.add_argument("--size", default="320x512")
    parser.add_argument("--kind", choices=["8x", "16x"], default="8x")
    parser.add_argument("--way", choices=[*PAIRS, *PAIRS.values()], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way is not None:
        height, width = (int(side) for side in arguments.size.split("x"))
        decode_here(arguments.way, arguments.kind, arguments.frames[0], height, width)
        return

    print(f"{'':10}" + "".join(f"{frames:>14} frames" for frames in arguments.frames) + "   last / first")
    for theirs, ours in PAIRS.items():
        hashes = {}
        for way in (theirs, ours):
            print(f"{way:10}", end="", flush=True)
            cells = []
            for frames in arguments.frames:
                cells.append(run(way, arguments.kind, frames, arguments.size))
                print(f"{float(cells[-1][0]):>11.0f} M {float(cells[-1][1]):>6.1f} s", end="", flush=True)
            hashes[way] = [cell[2] for cell in cells]
            print(f"   {float(cells[-1][0]) / float(cells[0][0]):.3f}", flush=True)
        print(f"          the same frames: {hashes[theirs] == hashes[ours]}", flush=True)


def run(way: str, kind: str, frames: int, size: str) -> tuple[str, str, str]:
    """MiB, seconds and hash of one decode."""
    command = [sys.executable, __file__, "--way", way, "--kind", kind, "--frames", str(frames), "--size", size]
    # As a worker has it: what is let go goes back to the system.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1048576", "OMP_WAIT_POLICY": "passive"}
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout.split()
    return told[0], told[1], told[2]


def decode_here(way: str, kind: str, frames: int, height: int, width: int) -> None:
    """Decode in this process and print what it took."""
    import torch

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from tiny_vae import tiny_latents, tiny_vae

    # Few layers, for the time. For so few channels torch unfolds what it convolves, four frames of 81 numbers a pixel:
    # at this size 212 MB that are no tensor of ours, in each way alike.
    vae = tiny_vae(kind, base_dim=3, decoder_base_dim=3, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    factor = vae.spatial_compression_ratio
    latents = tiny_latents(kind, 1 + (frames - 1) // 4, height // factor, width // factor)
    digest, started = hashlib.sha256(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wan-decode-") as folder, torch.no_grad():
        for frame in WAYS[way](vae, latents, Path(folder)):
            digest.update(frame)
    print(high_water(os.getpid()) / MIB, time.monotonic() - started, digest.hexdigest())


def whole(vae: Any, latents: Any, folder: Path) -> Iterator[Frame]:
    from framedaemon_wan.vae.streaming import to_frames

    video = vae.decode(latents).sample[0]
    for number in range(video.shape[1]):
        yield from to_frames(video[None, :, number])


def tiled(vae: Any, latents: Any, folder: Path) -> Iterator[Frame]:
    vae.enable_tiling()
    yield from whole(vae, latents, folder)


def streamed(vae: Any, latents: Any, folder: Path) -> Iterator[Frame]:
    from framedaemon_wan.vae.streaming import decode, to_frames

    for pictures in decode(vae, latents):
        yield from to_frames(pictures)


def spilled(vae: Any, latents: Any, folder: Path) -> Iterator[Frame]:
    from framedaemon_wan.vae.tiles import TiledDecode

    decode = TiledDecode(vae, latents, folder, "weights")
    for _ in decode.draw():
        pass
    yield from decode.frames()


WAYS = {"whole": whole, "tiled": tiled, "streamed": streamed, "spilled": spilled}


if __name__ == "__main__":
    main()
