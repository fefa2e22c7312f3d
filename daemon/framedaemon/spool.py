"""Frames that wait between two stages which do not fit on the device together: in memory, or as PNG files.

Only the memory policy asks for it (`Placement.spool`): the generator then draws its whole clip and gives its memory
back before the interpolator is loaded. Stages that fit stream, which takes no disk and a fraction of the time.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np

from framedaemon.clip import Frame
from framedaemon.errors import StageFailed

# zlib's, as the script that this project grew out of settled on: 37 % of the raw size of a photo.
_COMPRESS_LEVEL = 4


def spool(frames: Iterator[Frame], where: Literal["memory", "png"], folder: Path) -> Iterator[Frame]:
    """Take every frame now; returns an iterator that gives them back, each once, and lets go of what it gave.

    ``folder`` is made for ``png``, and emptied if an earlier attempt left something there. Raises OSError when the disk
    is full.
    """
    if where == "memory":
        kept = deque(frames)
        return (kept.popleft() for _ in range(len(kept)))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    count = 0
    for frame in frames:
        _write(_path(folder, count), frame)
        count += 1
    return _read_back(folder, count)


def _read_back(folder: Path, count: int) -> Iterator[Frame]:
    for index in range(count):
        path = _path(folder, index)
        data = np.frombuffer(path.read_bytes(), np.uint8)
        frame = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if frame is None:
            raise StageFailed(f"{path} cannot be read back")
        path.unlink()
        yield cast(Frame, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def _write(path: Path, frame: Frame) -> None:
    ok, data = cv2.imencode(
        ".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESS_LEVEL]
    )
    if not ok:
        raise StageFailed(f"{path} cannot be encoded")
    path.write_bytes(data.tobytes())


def _path(folder: Path, index: int) -> Path:
    return folder / f"frame_{index:06d}.png"
