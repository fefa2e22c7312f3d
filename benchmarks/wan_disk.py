"""Bytes below tmp/ while a clip by Wan is made: latents and checkpoints of the real shapes, networks that are tiny.

    python benchmarks/wan_disk.py [--size 832x1216] [--frames 161] [--tile 0]

The latents are those of I2V-A14B at that size, 16 channels at an eighth of the sides, and so is all that the
scheduler looks back at; only the networks that draw them are small. The denoise has few steps and is written down
after each. The clip goes through flow to twice the frames and through ffmpeg. The folder is looked at 50 times a
second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from jobs import draw_picture

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from wan_memory import adopt, command_for, environment

MB = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", default="832x1216")
    parser.add_argument("--frames", type=int, default=161)
    parser.add_argument("--tile", type=int, default=0, help="side of the VAE's tiles; 0: whole frames")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wan-disk-") as name:
        root = Path(name)
        adopt(root, wide=1)
        width, height = (int(side) for side in arguments.size.split("x"))
        draw_picture(root / "sea.png", width, height)
        job = root / "job"
        job.mkdir()
        say = ["--frames", str(arguments.frames), "--size", arguments.size, "--tile", str(arguments.tile)]
        started = time.perf_counter()
        process = subprocess.Popen(command_for("job", job, say), env=environment(), stdout=subprocess.DEVNULL)
        most: dict[str, int] = {}
        while process.poll() is None:
            sizes = bytes_of(job)
            for kind, size in sizes.items():
                most[kind] = max(most.get(kind, 0), size)
            time.sleep(0.02)
        assert process.returncode == 0
        print(f"{arguments.size}, {arguments.frames} frames, {time.perf_counter() - started:.0f} s")
        for kind, size in sorted(most.items(), key=lambda item: -item[1]):
            print(f"  {kind:28} {size / MB:8.1f} MB at most")
        video = sum(path.stat().st_size for path in job.glob("video.*"))
        print(f"  the video itself             {video / MB:8.1f} MB")


def bytes_of(job: Path) -> dict[str, int]:
    """What lies there now: all of it, without the video and its parts, and each kind of file by itself."""
    found = {"all": 0, "all but the video": 0}
    for path in job.rglob("*"):
        with suppress(OSError):
            if not path.is_file():
                continue
            size = path.stat().st_size
            found["all"] += size
            if path.parent.name == "generate" or "tiles" in path.parent.name:
                found["all but the video"] += size
                kind = kind_of(path)
                found[kind] = found.get(kind, 0) + size
    return found


def kind_of(path: Path) -> str:
    if "tiles" in path.parent.name:
        return "tiles"
    name = path.name.strip(".").split(".")[0].lstrip("0123456789-")
    return "being written" if name.startswith("tmp") else name


if __name__ == "__main__":
    main()
