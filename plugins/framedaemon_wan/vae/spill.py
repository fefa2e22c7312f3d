"""Tiles on disk: each one's finished part as levels of 8 bits, and of the latest ones the borders that others need.

    00-00.frames   (frames, height, width, 3) uint8, only what stays of the tile: whole once it has this name
    00-00.below    its last rows for the tile below, as numbers: gone once that one is finished
    00-00.right    its last columns for the tile to the right: the same

What is blended into a tile lies left of it and above, so a tile is finished as soon as it is drawn, to the level: 161
frames of 832x1216 take 738 MB at their most, where whole tiles would be 3.4 GB in float32 and half that, rounded, in
float16. Killed at any time, all but one tile stay.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from framedaemon import DiskFull, Frame
from framedaemon_wan.vae.grid import Grid, Span, Tile

FRAMES, BELOW, RIGHT = "frames", "below", "right"


class Spill:
    """The tiles of one video, in a folder of their own."""

    def __init__(self, folder: Path, key: str, grid: Grid, frames: int, patch: int) -> None:
        """folder: for spills only; what lies there under another ``key`` is removed.  key: of all that makes the
        pixels, fit for a file's name.  patch: picture pixels for one of the decoder's.
        """
        self._folder, self._grid, self._frames, self._patch = folder / key, grid, frames, patch
        self._tiles = list(grid.tiles())
        for other in folder.glob("*"):
            if other.name != key:
                shutil.rmtree(other)
        finished = [tile for tile in self._tiles if self._path(tile).exists()]
        if finished != self._tiles[: len(finished)] or any(
            self._path(tile).stat().st_size != self._size(tile) for tile in finished
        ):
            shutil.rmtree(self._folder)  # somebody else was here: of what is missing, the borders are gone
            finished = []
        self._folder.mkdir(parents=True, exist_ok=True)
        for tile in finished:
            self._forget_borders(tile)

    def missing(self) -> list[Tile]:
        """Tiles that are not finished, in the order in which they are to be drawn."""
        return [tile for tile in self._tiles if not self._path(tile).exists()]

    @contextmanager
    def writing(self, tile: Tile) -> Iterator[dict[str, Writer]]:
        """Where ``tile``'s frames and borders (as far as somebody needs them) are to be written; finished on leaving.

        Raises DiskFull where there is no room; finished tiles stay.
        """
        kinds = [FRAMES, *([BELOW] * (tile.down.border > 0)), *([RIGHT] * (tile.across.border > 0))]
        partial = {kind: self._path(tile, kind).with_suffix(f".{kind}.part") for kind in kinds}
        try:
            with ExitStack() as stack:
                yield {kind: stack.enter_context(Writer(path)) for kind, path in partial.items()}
            for kind in reversed(kinds):  # the frames last: where they are, the borders are
                partial[kind].replace(self._path(tile, kind))
            _sync_folder(self._folder)
        except BaseException as error:
            for path in partial.values():
                path.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(f"no room for tiles of the video in {self._folder}") from error
            raise
        self._forget_borders(tile)

    def above(self, tile: Tile) -> Reader:
        """The border that the tile above ``tile`` left for it."""
        return Reader(self._place(tile.row - 1, tile.column, BELOW))

    def left(self, tile: Tile) -> Reader:
        """The border that the tile to the left of ``tile`` left for it."""
        return Reader(self._place(tile.row, tile.column - 1, RIGHT))

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from ``start`` on, (H, W, 3) uint8, put together one by one; only when none is missing."""
        height, width = (
            sum(self._pixels(span) for span in axis.spans()) for axis in (self._grid.down, self._grid.across)
        )
        with ExitStack() as stack:
            readers = [stack.enter_context(Reader(self._path(tile))) for tile in self._tiles]
            shapes = [(self._pixels(tile.down), self._pixels(tile.across), 3) for tile in self._tiles]
            for reader, shape in zip(readers, shapes, strict=True):
                reader.skip(start * shape[0] * shape[1] * 3)
            for _ in range(start, self._frames):
                frame, top, left = np.empty((height, width, 3), np.uint8), 0, 0
                for reader, shape in zip(readers, shapes, strict=True):
                    frame[top : top + shape[0], left : left + shape[1]] = reader.read(shape, np.dtype(np.uint8))
                    left += shape[1]
                    if left == width:
                        top, left = top + shape[0], 0
                yield frame

    def _pixels(self, span: Span) -> int:
        return span.kept * self._patch

    def _size(self, tile: Tile) -> int:
        return self._frames * self._pixels(tile.down) * self._pixels(tile.across) * 3

    def _forget_borders(self, tile: Tile) -> None:
        """Those that ``tile``, finished now, was blended with."""
        self._place(tile.row - 1, tile.column, BELOW).unlink(missing_ok=True)
        self._place(tile.row, tile.column - 1, RIGHT).unlink(missing_ok=True)

    def _path(self, tile: Tile, kind: str = FRAMES) -> Path:
        return self._place(tile.row, tile.column, kind)

    def _place(self, row: int, column: int, kind: str) -> Path:
        return self._folder / f"{row:02}-{column:02}.{kind}"


class Writer:
    """A file that is on the disk when it is left."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        with self._file:
            if error[0] is None:
                os.fsync(self._file.fileno())

    def write(self, numbers: NDArray[np.generic]) -> None:
        """Append ``numbers``, in C order."""
        rest = np.ascontiguousarray(numbers).data.cast("B")
        while rest:
            rest = rest[self._file.write(rest) :]  # a file without a buffer may take less than it was given


class Reader:
    """A file that is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def skip(self, length: int) -> None:
        """Go on ``length`` bytes later."""
        self._file.seek(length, os.SEEK_CUR)

    def read(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        """The next numbers."""
        numbers = np.empty(shape, dtype)
        if self._file.readinto(numbers.data.cast("B")) != numbers.nbytes:
            raise EOFError(f"{self._file.name} ends too early")
        return numbers


def spill_bytes(grid: Grid, frames: int, patch: int, number_bytes: int) -> int:
    """Bytes that a spill takes at its largest.

    patch: side of the patches that the decoder draws.  number_bytes: of one number of the VAE's dtype, 4 for float32.
    """
    tiles, channels = list(grid.tiles()), 3 * patch * patch
    finished, most, below, right = 0, 0, dict[int, int](), 0
    for tile in tiles:
        height, width = ((span.stop - span.start) * grid.down.scale for span in (tile.down, tile.across))
        finished += tile.down.kept * tile.across.kept * channels
        left, right = right, tile.across.border * height * channels * number_bytes
        above = below.get(tile.column, 0)
        below[tile.column] = tile.down.border * width * channels * number_bytes
        most = max(most, finished + sum(below.values()) + above + left + right)
    return most * frames


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
