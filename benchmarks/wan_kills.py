"""A clip by Wan killed at every stage, every step of the denoise and every frame in turn: what is done twice, and is it
the same video?

    python benchmarks/wan_kills.py [--kind i2v-a14b] [--steps 6]

Real daemons, and workers that end by SIGKILL once, at one point; tiny networks of the real classes on the CPU, then
flow to twice the frames and ffmpeg. Frames are compared as they are decoded from the published videos, to the bit.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from deadly import config_with_models, make_deadly, points, recipe
from framedaemon.instance import Instance
from living import CONFIG, drop, make_instance, run_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kind", choices=["i2v-a14b", "ti2v-5b"], default="i2v-a14b")
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wan-kills-") as folder:
        quiet = make(Path(folder) / "quiet", arguments.kind, arguments.steps, None)
        frames = frames_of(quiet)
        (passed,) = points(quiet)
        print(f"{len(frames)} frames; {len(passed)} points\n\n{'killed at':18} {'done again':44} the same frames")
        for number, point in enumerate(passed):
            instance = make(Path(folder) / str(number), arguments.kind, arguments.steps, point)
            first, second = points(instance)
            again = [said for said in second if said in first]
            print(f"{point:18} {in_words(again):44} {frames_of(instance) == frames}", flush=True)


def make(folder: Path, kind: str, steps: int, point: str | None) -> Instance:
    """An instance that has made its one picture into a video, its worker killed at ``point``."""
    instance = make_instance(folder, config_with_models(CONFIG, folder))
    make_deadly(instance, kind, *([] if point is None else [point]))
    drop(instance, "cat.png", recipe(steps=steps), side=96)
    with redirect_stdout(io.StringIO()):  # its log
        run_all(instance)
    return instance


def frames_of(instance: Instance) -> list[str]:
    """A digest of each decoded frame."""
    with av.open(str(instance.output / "cat.mp4")) as file:
        return [hashlib.sha256(b"".join(map(bytes, frame.planes))).hexdigest() for frame in file.decode(video=0)]


def in_words(again: list[str]) -> str:
    """What was done a second time: the words before the numbers, and how often."""
    counts: dict[str, int] = {}
    for point in again:
        name, _, number = point.partition(" ")
        if number == "0.000" and name == "denoise":
            continue  # that it begins, not a step
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"


if __name__ == "__main__":
    main()
