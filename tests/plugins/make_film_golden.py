"""Makes film_golden.npz: what the PyTorch port that was published with the weights draws, with made-up weights.

    python tests/plugins/make_film_golden.py REFERENCE.npz

REFERENCE was written with the port itself, in float32 on a CPU: ``x0, x1`` uint8 (1, 3, 128, 192), and its frames at
0.5 and 0.25, ``y_t050, y_t025``, float32. The weights are not stored: `film_plain.make_weights` makes them again.
Frames are rounded to whole steps of 1 / 65536 (they lie within -0.21 and 0.41), which takes a third of the bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(reference: Path) -> None:
    """Write the golden file beside this script."""
    stored = dict(np.load(reference))
    for name in ("y_t050", "y_t025"):
        steps = np.round(stored[name] * 65536)
        assert np.abs(steps).max() < 32768
        stored[name] = steps.astype(np.int16)
    np.savez_compressed(Path(__file__).with_name("film_golden.npz"), **stored)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
