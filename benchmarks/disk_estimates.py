"""How many bytes jobs really write, against what they were admitted with: 20 jobs of different shapes through a daemon.

    python benchmarks/disk_estimates.py [--folder DIR] [--only PATTERN] [FILE ...]

Each job is dropped on its own and made by `framedaemon once`, in one instance, so that later jobs profit from what
earlier ones took. `raw` is the encoder's own estimate of the video against its size, `said` the one that the job was
admitted with, corrected by history; 1 is exact, 2 is twice too much. `peak` is the most that the job had in its folder
at once, source apart, as a share of the room that it asked for: it must never be above 1. Pictures and footage are
made here: flat ones (soft colours, a few edges), natural ones (detail of every size, as photographs have) and grain
(natural, with sensor noise). FILEs are dropped after those, each with the default recipe: for a look at real ones.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np
import numpy.typing as npt

from framedaemon.disk import Need
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from framedaemon.summary import PlanSummary
from framedaemon.workspace import size_of

_CONFIG = """
[inbox]
settle_seconds = 0.0
rescan_seconds = 1.0
[disk]
keep_free_bytes = 0
"""
_SAMPLE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Shape:
    """A job: what is dropped and what is asked for."""

    name: str
    texture: str
    width: int
    """Of the video."""
    height: int
    recipe: str
    footage_seconds: float = 0.0
    """0: a still."""


def _moves(move: str, frames: int, fps: int = 16) -> str:
    return f'[generate]\nmove = "{move}"\nframes = {frames}\nfps = {fps}\n'


def _encode(container: str, codec: str = "auto", **options: object) -> str:
    more = "".join(f"{key} = {value!r}\n" for key, value in options.items()).replace("'", '"')
    return f'[encode]\ncontainer = "{container}"\ncodec = "{codec}"\n{more}'


_NONE, _FLOW = '[interpolate]\nuse = "none"\n', '[interpolate]\nuse = "flow"\nfactor = 2\n'
SHAPES = (
    Shape("icon", "flat", 64, 64, _moves("push_in", 33) + _FLOW),
    Shape("small", "natural", 320, 240, _moves("pan_left", 49) + _FLOW),
    Shape("portrait", "natural", 832, 1216, _moves("push_in", 49) + _NONE),
    Shape("full-hd", "natural", 1920, 1080, _moves("orbit", 33, 24) + _NONE),
    Shape("noisy", "grain", 640, 480, _moves("push_in", 49) + _FLOW),
    Shape("poster", "flat", 1920, 1080, _moves("pull_out", 33, 24) + _NONE + _encode("mp4", "hevc")),
    Shape("hevc", "natural", 1280, 720, _moves("tilt_up", 33, 24) + _NONE + _encode("mp4", "hevc")),
    Shape("av1", "natural", 854, 480, _moves("push_in", 33, 24) + _NONE + _encode("mp4", "av1")),
    Shape("av1-noisy", "grain", 640, 360, _moves("drift", 33) + _FLOW + _encode("webm", "av1")),
    Shape("vp9", "natural", 640, 360, _moves("pan_right", 33, 24) + _NONE + _encode("webm", "vp9")),
    Shape("vp9-flat", "flat", 960, 540, _moves("push_in", 33, 24) + _NONE + _encode("webm", "vp9")),
    Shape("prores", "natural", 1280, 720, _moves("push_in", 25, 24) + _NONE + _encode("mov", "prores")),
    Shape("ffv1", "grain", 640, 480, _moves("drift", 25, 24) + _NONE + _encode("mkv", "ffv1")),
    Shape("gif", "natural", 320, 240, _moves("push_in", 33) + _NONE + _encode("gif")),
    Shape("webp", "natural", 480, 270, _moves("pan_left", 33) + _NONE + _encode("webp")),
    Shape("png", "natural", 640, 480, _moves("push_in", 17) + _NONE + _encode("png")),
    Shape("coarse", "natural", 1280, 720, _moves("orbit", 33, 24) + _NONE + _encode("mp4", crf=28)),
    Shape("fine", "natural", 640, 480, _moves("pan_left", 33, 24) + _NONE + _encode("mkv", crf=10, bit_depth=10)),
    Shape("film", "natural", 640, 360, _FLOW, footage_seconds=3),
    Shape("film-long", "grain", 480, 270, _NONE + _encode("mp4", "h264", preset="veryfast"), footage_seconds=20),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One job's estimates over what it took."""

    raw: float
    said: float
    peak: float
    video: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    parser.add_argument("--only", default="*", help="shapes to make, as a pattern of their names")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="estimates-", dir=arguments.folder) as folder:
        instance = Instance(Path(folder))
        create(instance)
        instance.config.write_text(_CONFIG)
        print(f"{'job':<12}{'raw':>7}{'said':>7}{'peak':>7}{'video MB':>10}", flush=True)
        for shape in (shape for shape in SHAPES if fnmatch(shape.name, arguments.only)):
            results += report(shape.name, measure(instance, drop(instance, shape)))
        for file in arguments.files:
            results += report(file.stem, measure(instance, Path(shutil.copy(file, instance.input))))
    print(f"median raw {median(r.raw for r in results):.2f}, said {median(r.said for r in results):.2f}")
    print(f"least said {min(r.said for r in results):.2f}, largest peak {max(r.peak for r in results):.2f}")


def report(name: str, result: Result) -> list[Result]:
    print(f"{name:<12}{result.raw:7.2f}{result.said:7.2f}{result.peak:7.2f}{result.video / 1e6:10.3f}", flush=True)
    return [result]


def measure(instance: Instance, dropped: Path) -> Result:
    """Make one dropped file, alone, and see what it takes."""
    before = instance.tmp / "before.sqlite3"
    if instance.ledger.exists():
        shutil.copy(instance.ledger, before)
    peaks, over = [0], threading.Event()
    watch = threading.Thread(target=watch_peak, args=(instance, peaks, over))
    watch.start()
    try:
        command = [sys.executable, "-m", "framedaemon", "once", "--instance", str(instance.root)]
        subprocess.run(command, stderr=subprocess.DEVNULL, check=True)
    finally:
        over.set()
        watch.join()
    ledger = Ledger(instance.ledger, read_only=True)
    job = next(job for job in ledger.jobs() if job.name == dropped.name)
    ledger.close()
    plan = PlanSummary.model_validate_json(job.plan or "")
    video = size_of(instance.output / (job.output or ""))
    said = round(plan.video_bytes * correction_of(plan, before))
    return Result(
        plan.video_bytes / video,
        said / video,
        peaks[0] / Need(plan.temporary_bytes, said, plan.video_copies).admission,
        video,
    )


def correction_of(plan: PlanSummary, before: Path) -> float:
    """What the plan's estimate was multiplied by: what the ledger knew before the job."""
    ledger = Ledger(before)
    try:
        return ledger.history.correction(plan.video_kind)
    finally:
        ledger.close()


def watch_peak(instance: Instance, peaks: list[int], over: threading.Event) -> None:
    """Note the most bytes that a job has in its folder."""
    while not over.wait(_SAMPLE_SECONDS):
        total = 0
        for folder, _, names in os.walk(instance.jobs):
            for name in names if not folder.endswith("/source") else ():
                with suppress(FileNotFoundError):
                    total += (Path(folder) / name).stat().st_blocks * 512
        peaks[0] = max(peaks[0], total)


def drop(instance: Instance, shape: Shape) -> Path:
    """Write what a shape starts from, its sidecar first."""
    size = f"[generate]\nwidth = {shape.width}\nheight = {shape.height}\n"  # photographs are larger than their videos
    recipe = shape.recipe if shape.footage_seconds else shape.recipe.replace("[generate]\n", size)
    (instance.input / f"{shape.name}.toml").write_text(recipe)
    ready = instance.tmp / f"{shape.name}{'.mp4' if shape.footage_seconds else '.png'}"
    if shape.footage_seconds:
        film(ready, shape)
    else:
        cv2.imwrite(str(ready), picture(shape.texture, 2 * shape.width, 2 * shape.height))
    return ready.rename(instance.input / ready.name)


def picture(texture: str, width: int, height: int, seed: int = 5) -> npt.NDArray[np.uint8]:
    """A still of (height, width, 3) uint8: soft shapes with edges, finer detail on them, noise on that."""
    throws = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    finest = max(width, height) if texture != "flat" else 8
    cells, strength = 2, 60.0
    while cells <= finest:
        noise = throws.uniform(-1, 1, (cells * height // max(width, height) + 1, cells)).astype(np.float32)
        tint = throws.uniform(0.5, 1, 3).astype(np.float32)  # light varies more than colour
        image += strength * tint * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
        cells, strength = cells * 2, strength * 0.8  # as JPEG, as many bits a pixel as photographs
    for _ in range(6):  # things, with edges
        centre = tuple(int(throws.integers(0, side)) for side in (width, height))
        colour = tuple(float(value) for value in throws.uniform(-80, 80, 3))
        mask = cv2.circle(np.zeros_like(image), centre, max(2, height // 6), colour, -1, cv2.LINE_AA)
        image += mask
    image += 128
    if texture == "grain":
        image += throws.normal(0, 8, image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def film(path: Path, shape: Shape) -> None:
    """Footage at 24 a second in H.264: a picture that moves and turns, each frame with noise of its own for grain."""
    width, height, count = shape.width, shape.height, round(shape.footage_seconds * 24)
    ground = picture("natural", width * 2, height * 2)
    throws = np.random.default_rng(6)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=24, options={"crf": "16", "preset": "veryfast"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for index in range(count):
            turn = cv2.getRotationMatrix2D((width, height), 0.2 * index, 1.0 + 0.002 * index)
            turn[:, 2] -= (width / 2 + np.sin(index / 20) * width / 8, height / 2)
            frame = cv2.warpAffine(ground, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
            if shape.texture == "grain":
                noise = throws.normal(0, 6, frame.shape).astype(np.float32)
                frame = np.clip(frame + noise, 0, 255).astype(np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="bgr24")))
        file.mux(video.encode(None))


if __name__ == "__main__":
    main()
