"""Where blocks look, shared by all forms of the network.

A block at scale s sees each s x s square of pixels as the mean of its middle four: bilinear reduction takes no others.
So what it sees is looked up there only: at a quarter of the pixels for s = 4, a sixteenth for 8.
"""

from __future__ import annotations


def samples(scale: int) -> tuple[int, int]:
    """The first of the rows (and columns) of each ``scale`` that are looked up, and how many."""
    return (0, 1) if scale == 1 else (scale // 2 - 1, 2)
