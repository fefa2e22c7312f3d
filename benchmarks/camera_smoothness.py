"""How steadily the camera moves: the true displacement of every frame, beside ffmpeg's zoompan on the same move.

    python benchmarks/camera_smoothness.py [PHOTO] [--frames 81] [--keep FOLDER]

A pan and a push in, at constant speed, over the photo (or over a textured picture made here). Between each frame and
the next, the shift of some patches is measured by phase correlation and compared with where the ideal path puts them.
The residual is that difference in pixels of the frame, RMS over frames and patches; "jitter" is the same with each
patch's mean taken off, which leaves what is seen as trembling. The line "Pillow, exact" tells how good the measure
is: frames that Pillow's `resize` cut straight from the picture at the ideal path's exact coordinates.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from framedaemon import ClipSpec, Picture, Placement, Scratch
from framedaemon_camera import Camera, CameraOptions
from framedaemon_camera.moves import Path as CameraPath

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Draw = Callable[[], Iterator[Pixels]]

AMOUNT = 0.2
ZOOM = 1 / (1 - AMOUNT)
MOVES = {
    "pan_right": (f"{ZOOM}", "on/{last}*(iw-iw/zoom)", "ih/2-(ih/zoom/2)"),
    "push_in": (f"pow({ZOOM},on/{{last}})", "iw/2-(iw/zoom/2)", "ih/2-(ih/zoom/2)"),
}
PATCH = 128  # pixels a side
FINEST = 0.2  # cycles a pixel: above, interpolation itself shifts phases
GOAL = 0.05  # px RMS


def main() -> None:
    """Print a table of residuals for both moves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", type=Path, help="any picture; a textured one is made if left out")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--keep", type=Path, help="a folder for six frames of each move")
    asked = parser.parse_args()
    pixels = np.asarray(Image.open(asked.photo).convert("RGB")) if asked.photo else textured(832, 1216)
    print(f"{asked.photo or 'textured picture'}, {pixels.shape[1]}x{pixels.shape[0]}, {asked.frames} frames")
    print(f"{'move':10} {'drawn by':22} {'residual':>9} {'jitter':>9} {'worst':>9}   CPU ms a frame, first one apart")
    for move in MOVES:
        options = CameraOptions(move=move, amount=AMOUNT, frames=asked.frames, easing="linear")
        picture = Picture(np.ascontiguousarray(pixels))
        gives = Camera().promise(picture, options)
        path = CameraPath(
            (picture.width, picture.height), (gives.width, gives.height), gives.frames, 1.0, options, seed=0
        )
        drawers: dict[str, Draw] = {
            "camera": lambda o=options, p=picture: by_camera(p, o),
            "zoompan": lambda g=gives, m=move, p=pixels: by_zoompan(p, g, m, enlarge=1),
            "zoompan, 4x enlarged": lambda g=gives, m=move, p=pixels: by_zoompan(p, g, m, enlarge=4),
            "Pillow, exact": lambda g=gives, w=path, p=pixels: by_pillow(p, g, w),
        }
        for name, draw in drawers.items():
            keep = asked.keep if name == "camera" else None
            report(move, name, path, draw, keep)
    print(f"goal: camera's residual at most {GOAL} px RMS")


def report(move: str, name: str, path: CameraPath, draw: Draw, keep: Path | None) -> None:
    """Draw, measure and print one line."""
    seconds: list[float] = []
    residuals = residuals_of(kept(timed(draw(), seconds), keep, move, path.frames), path)
    jitter = residuals - residuals.mean(axis=0)
    print(
        f"{move:10} {name:22} {rms(residuals):9.4f} {rms(jitter):9.4f} {np.abs(residuals).max():9.4f}   "
        f"{1000 * np.mean(seconds[1:]):.1f} ({1000 * seconds[0]:.0f})"
    )


def residuals_of(frames: Iterable[Pixels], path: CameraPath) -> Array:
    """(steps, patches, 2): measured minus ideal shift of each patch from each frame to the next, in pixels."""
    grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames)
    before = next(grey)
    corners = patches(before)
    found = []
    for index, after in enumerate(grey, start=1):
        found.append([step(before, after, corner, path, index) for corner in corners])
        before = after
    return np.array(found)


def step(before: Pixels, after: Pixels, corner: tuple[int, int], path: CameraPath, index: int) -> Array:
    """(2,): measured minus ideal shift (x, y) of the patch at ``corner``, from frame ``index - 1`` to ``index``."""
    x, y = corner
    one = before[y : y + PATCH, x : x + PATCH].astype(np.float64)
    # Where the patch's detail lies: that is the point whose shift is measured.
    centre = np.array(corner) + centroid(one)
    ideal = moved(centre, path, index) - centre
    whole = np.round(ideal).astype(int)  # so that both patches show the same, but for a fraction of a pixel
    x, y = x + whole[0], y + whole[1]
    two = after[y : y + PATCH, x : x + PATCH].astype(np.float64)
    return whole + shift(one, two) - ideal


def moved(point: Array, path: CameraPath, index: int) -> Array:
    """Where the ideal path takes a pixel position of frame ``index - 1`` in frame ``index``."""
    views = path.views(index - 1, 2)
    middle = np.array(path.clip) / 2 - 0.5
    old, new = views.width / path.clip[0]
    seen = np.array([views.x[0], views.y[0]]) + old * (point - middle)
    return (seen - np.array([views.x[1], views.y[1]])) / new + middle


def shift(one: Array, two: Array) -> Array:
    """(2,): how far (x, y) the content of ``two`` lies from that of ``one``, below a pixel.

    Phase correlation: a shift is a slope in the phase of the cross spectrum; the slope is fitted to the strong,
    coarse waves, which no interpolation alters.
    """
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    spectra = [np.fft.rfft2((patch - np.average(patch, weights=window)) * window) for patch in (one, two)]
    cross = spectra[0].conj() * spectra[1]
    fy, fx = np.meshgrid(np.fft.fftfreq(PATCH), np.fft.rfftfreq(PATCH), indexing="ij")
    far = np.hypot(fx, fy)
    used = (far > 1.5 / PATCH) & (far < FINEST)
    waves = -2 * np.pi * np.stack([fx[used], fy[used]], axis=1)
    found = np.zeros(2)
    for _ in range(3):  # what is found is taken off, so that the rest never wraps
        left = np.angle(cross[used] * np.exp(-1j * (waves @ found)))
        weights = np.abs(cross[used])
        found = found + np.linalg.lstsq(waves * weights[:, None] ** 0.5, left * weights**0.5, rcond=None)[0]
    return found


def centroid(patch: Array) -> Array:
    """(2,): the mean (x, y) of the patch's detail as the window lets it through."""
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    down, across = np.gradient(cv2.GaussianBlur(patch, (0, 0), 1.0))
    weights = (down**2 + across**2) * window**2 + 1e-9
    rows, columns = np.indices(patch.shape)
    return np.array([np.average(columns, weights=weights), np.average(rows, weights=weights)])


def patches(frame: Pixels) -> list[tuple[int, int]]:
    """Corners (x, y) of patches all over the frame that have enough detail to measure, half a patch from its edge."""
    height, width = frame.shape
    grid = [
        (int(x), int(y))
        for y in np.linspace(PATCH // 2, height - 3 * PATCH // 2, 5)
        for x in np.linspace(PATCH // 2, width - 3 * PATCH // 2, 4)
    ]
    detail = [frame[y : y + PATCH, x : x + PATCH].std() for x, y in grid]
    return [corner for corner, amount in zip(grid, detail, strict=True) if amount >= 12]


def by_camera(picture: Picture, options: CameraOptions) -> Iterator[Pixels]:
    """The frames as the daemon would draw them, on one thread."""
    with Camera().load(Placement(), options) as generate, tempfile.TemporaryDirectory() as folder:
        for frame in generate(picture, Scratch(Path(folder))):
            yield frame.astype(np.uint8, copy=False)


def by_zoompan(pixels: Pixels, gives: ClipSpec, move: str, enlarge: int) -> Iterator[Pixels]:
    """The same move by ffmpeg; ``enlarge`` is the usual advice against its jitter."""
    zoom, x, y = (part.format(last=gives.frames - 1) for part in MOVES[move])
    size = f"{gives.width}x{gives.height}"
    filters = f"zoompan=z='{zoom}':x='{x}':y='{y}':d={gives.frames}:s={size}:fps=16,format=rgb24"
    if enlarge > 1:
        filters = f"scale=iw*{enlarge}:ih*{enlarge}:flags=lanczos,{filters}"
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        Image.fromarray(pixels).save(photo)
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1", "-i", str(photo)]
        command += ["-vf", filters, "-filter_threads", "1", "-frames:v", str(gives.frames)]
        with subprocess.Popen([*command, "-f", "rawvideo", "-"], stdout=subprocess.PIPE) as ffmpeg:
            assert ffmpeg.stdout is not None
            while data := ffmpeg.stdout.read(gives.frame_bytes):
                yield np.frombuffer(data, np.uint8).reshape(gives.shape)


def by_pillow(pixels: Pixels, gives: ClipSpec, path: CameraPath) -> Iterator[Pixels]:
    """The same move, each frame resampled from the picture itself: exact, and slow."""
    image = Image.fromarray(pixels)
    for index in range(gives.frames):
        views = path.views(index)
        x, y, width = float(views.x[0]), float(views.y[0]), float(views.width[0])
        height = width * gives.height / gives.width
        box = (max(0, x - width / 2), max(0, y - height / 2), x + width / 2, y + height / 2)
        box = (*box[:2], min(box[2], image.width), min(box[3], image.height))
        yield np.asarray(image.resize((gives.width, gives.height), Image.Resampling.LANCZOS, box=box))


def timed(frames: Iterator[Pixels], seconds: list[float]) -> Iterator[Pixels]:
    """The same frames; ``seconds`` gets the CPU time that each took, in this process and in ended children."""
    start = cpu()
    for frame in frames:
        seconds.append(cpu() - start)
        yield frame
        start = cpu()
    # A child's time is told when it has ended: shared out evenly.
    left = cpu() - start
    seconds[:] = [taken + left / len(seconds) for taken in seconds]


def cpu() -> float:
    """Seconds of CPU of this process and its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def kept(frames: Iterator[Pixels], folder: Path | None, move: str, count: int) -> Iterator[Pixels]:
    """The same frames, six of them written to ``folder``."""
    chosen = set(np.linspace(0, count - 1, 6).astype(int).tolist()) if folder else set()
    for index, frame in enumerate(frames):
        if folder and index in chosen:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame).save(folder / f"{move}_{index:04}.png")
        yield frame


def textured(width: int, height: int) -> Pixels:
    """A picture with detail of every size, everywhere."""
    throws = np.random.default_rng(1)
    total = np.zeros((height, width, 3))
    for blur in (0.7, 1.5, 3, 6, 12, 24):
        noise = Image.fromarray(throws.integers(0, 256, (height, width, 3), np.uint8))
        layer = np.asarray(noise.filter(ImageFilter.GaussianBlur(blur)), np.float64)
        total += (layer - layer.mean()) / layer.std()
    return np.clip(128 + 24 * total, 0, 255).astype(np.uint8)


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(values**2)))


if __name__ == "__main__":
    main()
