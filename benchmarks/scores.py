"""How near drawn frames come to the truth: PSNR, SSIM and VMAF."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import cv2
import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np

from framedaemon import Frame

MOST_PSNR = 60.0


class Scores(NamedTuple):
    """Means over frames."""

    psnr: float
    """dB, over RGB."""
    ssim: float
    """Over RGB."""
    vmaf: float
    """0..100."""


def score(drawn: Sequence[Frame], truth: Sequence[Frame], scratch: Path) -> Scores:
    """All three; ``scratch`` is a folder for the files that ffmpeg's libvmaf reads."""
    pairs = list(zip(drawn, truth, strict=True))
    return Scores(mean(psnr(*pair) for pair in pairs), mean(ssim(*pair) for pair in pairs), vmaf(drawn, truth, scratch))


def psnr(one: Frame, two: Frame) -> float:
    """dB, capped at `MOST_PSNR`."""
    error = float(np.square(one.astype(np.float32) - two).mean())
    return MOST_PSNR if error == 0 else min(MOST_PSNR, 10 * float(np.log10(255**2 / error)))


def ssim(one: Frame, two: Frame) -> float:
    """Source: Wang et al. 2004, Gaussian window of 11 pixels."""
    a, b = one.astype(np.float32), two.astype(np.float32)
    blur = partial(cv2.GaussianBlur, ksize=(11, 11), sigmaX=1.5)
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(value.mean())


def vmaf(drawn: Sequence[Frame], truth: Sequence[Frame], scratch: Path) -> float:
    """The default model (v0.6.1) of libvmaf, over 8-bit 4:2:0, as it is meant for; mean of frames."""
    height, width = truth[0].shape[:2]
    inputs = []
    for name, frames in (("drawn", drawn), ("truth", truth)):
        path = scratch / f"{name}.vmaf"
        np.stack(frames).tofile(path)
        inputs += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "25", "-i", str(path)]
    graph = "[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]libvmaf=log_fmt=json:log_path=vmaf.json:n_threads=2"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *inputs, "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(command, check=True, cwd=scratch)
    return float(json.loads((scratch / "vmaf.json").read_text())["pooled_metrics"]["vmaf"]["mean"])
