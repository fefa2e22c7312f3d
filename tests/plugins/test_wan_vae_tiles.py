"""Tiles of a video on disk: the frames of a tiled decode to the bit, one tile lost at most, nothing held."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")

import torch
from numpy.typing import NDArray

from framedaemon import DiskFull
from framedaemon_wan.vae.spill import Writer, spill_bytes
from framedaemon_wan.vae.streaming import to_frames
from framedaemon_wan.vae.tiles import TiledDecode
from live_bytes import Peak
from tiny_vae import tiny_latents, tiny_vae


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kind", "height", "width"),
    [
        ("8x", 5, 7),  # 3 x 4 tiles, the last ones narrower than what they are blended with
        ("8x", 3, 8),  # as large as a tile in one direction, and yet cut there
        ("8x", 4, 4),  # one tile, which the VAE does not cut
        ("16x", 5, 4),
    ],
)
def test_frames_are_those_of_a_tiled_decode_to_the_bit(
    tmp_path: Path, kind: str, height: int, width: int, dtype: torch.dtype
) -> None:
    vae, latents = cut_small(kind, dtype), 4 * tiny_latents(kind, 3, height, width).to(dtype)

    frames = drawn(TiledDecode(vae, latents, tmp_path, "weights"))

    assert np.array_equal(frames, by_the_vae(vae, latents))


def test_tiles_found_finished_are_not_drawn_again_and_the_frames_are_the_same(tmp_path: Path) -> None:
    vae, latents = cut_small("8x"), tiny_latents("8x", 2, 3, 5)
    begun = TiledDecode(vae, latents, tmp_path, "weights").draw()
    list(islice(begun, 2 * 2 + 1))  # two tiles and a chunk, of six
    begun.close()

    decode = TiledDecode(vae, latents, tmp_path, "weights")

    assert len(list(decode.draw())) == 4 * 2
    assert np.array_equal(np.stack(list(decode.frames())), by_the_vae(vae, latents))


@pytest.mark.parametrize("tiles", [0, 3, 5])
def test_wherever_it_was_killed_the_rest_gives_the_same_frames(tmp_path: Path, tiles: int) -> None:
    """A file of a tile that was being written stays as it is after SIGKILL: the generator is never closed."""
    vae, latents = cut_small("8x"), tiny_latents("8x", 2, 3, 5)
    begun = TiledDecode(vae, latents, tmp_path, "weights").draw()
    list(islice(begun, 2 * tiles + 1))

    frames = drawn(TiledDecode(vae, latents, tmp_path, "weights"))

    assert np.array_equal(frames, by_the_vae(vae, latents))
    begun.close()


def test_other_latents_other_weights_and_other_tiles_begin_anew(tmp_path: Path) -> None:
    vae, latents = cut_small("8x"), tiny_latents("8x", 2, 3, 5)
    drawn(TiledDecode(vae, latents, tmp_path, "weights"))

    same = list(TiledDecode(vae, latents, tmp_path, "weights").draw())
    other_weights = list(TiledDecode(vae, latents, tmp_path, "others").draw())
    other_latents = list(TiledDecode(vae, latents + 1, tmp_path, "others").draw())
    vae.enable_tiling(40, 40, 24, 24)
    other_tiles = list(TiledDecode(vae, latents + 1, tmp_path, "others").draw())

    assert not same
    assert other_weights and other_latents and other_tiles
    assert len(list(tmp_path.iterdir())) == 1, "what nobody will ask for again is gone"


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"short"), Path.unlink], ids=["short", "gone"])
def test_tiles_that_somebody_spoilt_are_drawn_anew(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    vae, latents = cut_small("8x"), tiny_latents("8x", 2, 3, 5)
    expected = drawn(TiledDecode(vae, latents, tmp_path, "weights"))
    spoil(next(tmp_path.glob("*/00-01.frames")))

    assert np.array_equal(drawn(TiledDecode(vae, latents, tmp_path, "weights")), expected)


@pytest.mark.parametrize("kind", ["8x", "16x"])
def test_tiles_of_a_longer_and_larger_video_take_no_more_memory_than_its_latents(tmp_path: Path, kind: str) -> None:
    vae, small, large = cut_small(kind), tiny_latents(kind, 3, 4, 4), tiny_latents(kind, 4, 4, 5)

    with Peak() as of_small:
        drawn(TiledDecode(vae, small, tmp_path, "weights"))
    with Peak() as of_large:
        drawn(TiledDecode(vae, large, tmp_path, "weights"))

    assert of_large.bytes - of_small.bytes <= large.nbytes - small.nbytes


def test_frames_can_be_asked_for_from_the_middle_on(tmp_path: Path) -> None:
    vae, latents = cut_small("16x"), tiny_latents("16x", 3, 3, 5)
    decode = TiledDecode(vae, latents, tmp_path, "weights")
    expected = drawn(decode)

    assert np.array_equal(np.stack(list(decode.frames(6))), expected[6:])


def test_a_disk_that_runs_full_keeps_the_finished_tiles_and_gives_back_the_room_of_the_one_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae, latents = cut_small("8x"), tiny_latents("8x", 2, 3, 5)
    monkeypatch.setattr("framedaemon_wan.vae.spill.Writer", room_for(15))

    with pytest.raises(DiskFull, match="no room for tiles"):
        list(TiledDecode(vae, latents, tmp_path, "weights").draw())

    monkeypatch.undo()
    assert list(tmp_path.glob("*/*.frames")) and not list(tmp_path.glob("*/*.part"))
    decode = TiledDecode(vae, latents, tmp_path, "weights")
    assert 0 < len(list(decode.draw())) < 6 * 2
    assert np.array_equal(np.stack(list(decode.frames())), by_the_vae(vae, latents))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["8x", "16x"])
def test_the_spill_takes_what_was_promised_to_the_byte(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    vae, latents = cut_small(kind, dtype), tiny_latents(kind, 2, 3, 5).to(dtype)
    decode = TiledDecode(vae, latents, tmp_path, "weights")

    most = max(sum(path.stat().st_size for path in tmp_path.glob("*/*")) for _ in decode.draw())

    assert most == spill_bytes(decode.grid, 5, vae.config.patch_size or 1, dtype.itemsize)


def cut_small(kind: str, dtype: torch.dtype = torch.float32) -> Any:
    """Tiles of 4 latent pixels, 2 from one to the next: half of each is blended. Fewer layers, for the time."""
    vae = tiny_vae(kind, dtype=dtype, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    factor = vae.spatial_compression_ratio
    vae.enable_tiling(4 * factor, 4 * factor, 2 * factor, 2 * factor)
    return vae


def drawn(decode: TiledDecode) -> NDArray[np.uint8]:
    assert all(0 < fraction <= 1 for fraction in decode.draw())
    return np.stack(list(decode.frames()))


def by_the_vae(vae: Any, latents: torch.Tensor) -> NDArray[np.uint8]:
    with torch.no_grad():
        return np.stack(to_frames(vae.decode(latents).sample[0].transpose(0, 1)))


def room_for(writes: int) -> Callable[[Path], Writer]:
    """A writer on a disk that has room for so many ``writes`` of all files together."""
    left = [writes]

    class Limited(Writer):
        def write(self, numbers: NDArray[np.generic]) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            super().write(numbers)

    return Limited
