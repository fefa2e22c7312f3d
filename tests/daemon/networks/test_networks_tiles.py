from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'framedaemon[rife]'")

from framedaemon.networks.tiles import Mosaic, tiles  # noqa: E402  (behind the skip)


@pytest.mark.parametrize("size", [(64, 64), (65, 64), (1216, 832), (100, 2000), (10, 10)])
def test_tiles_cover_the_frame_and_are_all_of_one_size(size: tuple[int, int]) -> None:
    seen = np.zeros((*size, 3), np.uint8)

    for tile in tiles(*size, 64):
        tile.of(seen)[...] += 1

    assert int(seen.min()) >= 1
    assert {(tile.height, tile.width) for tile in tiles(*size, 64)} == {(min(64, size[0]), min(64, size[1]))}


@pytest.mark.parametrize("length", [65, 100, 113, 500, 2160])
def test_neighbours_share_a_quarter_at_least(length: int) -> None:
    tops = [tile.top for tile in tiles(length, 64, 64)]

    assert all(later - earlier <= 48 for earlier, later in pairwise(tops))
    assert tops[-1] + 64 == length


def test_one_tile_fades_into_the_next() -> None:
    """Black beside white: from tile to tile there is no step, and both are seen at the frame's edges."""
    mosaic = Mosaic((1, 3, 16, 112), 64, torch.device("cpu"))
    left, right = tiles(16, 112, 64)

    mosaic.add(left, torch.zeros(1, 3, 16, 64))
    mosaic.add(right, torch.ones(1, 3, 16, 64))

    row = mosaic.frame()[0, 0, 8]
    assert (float(row[0]), float(row[-1])) == (0.0, 1.0)
    assert float((row[1:] - row[:-1]).max()) < 0.1
