"""One ffmpeg child: fed by pipe, listened to, and never left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from framedaemon import DiskFull, Frame, FramedaemonError, StageFailed
from framedaemon_ffmpeg.binary import child_environment

_KEPT_LINES = 12
_LINE_BYTES = 2048
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# ffmpeg ends with the negated errno; of -28 eight bits are left.
_NO_ROOM_CODES = frozenset(256 - number for number in _NO_ROOM)
_FULL_BELOW_BYTES = 1 << 20
_STDERR_SECONDS = 5.0


def feed(argv: list[str], frames: Iterable[Frame], folder: Path) -> None:
    """Run ffmpeg on ``frames`` until it has written its file, in ``folder``.

    Raises DiskFull when ``folder`` ran full, StageFailed with ffmpeg's last words when it failed otherwise, and
    whatever ``frames`` raises. In every case the child has ended and been reaped.
    """
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment())
    assert child.stdin is not None and child.stderr is not None
    said: deque[str] = deque(maxlen=_KEPT_LINES)
    listener = threading.Thread(target=_listen, args=(child.stderr, said), name="ffmpeg-stderr", daemon=True)
    listener.start()
    try:
        complete = _write(child.stdin, frames)
        code = child.wait()
    finally:
        _end(child)
        listener.join(_STDERR_SECONDS)
        child.stderr.close()
    if code != 0 or not complete:
        raise _failure(code, said, folder)


def _write(pipe: IO[bytes], frames: Iterable[Frame]) -> bool:
    """Whether ffmpeg took every frame."""
    for frame in frames:
        samples = frame if sys.byteorder == "little" or frame.dtype == np.uint8 else frame.byteswap()
        try:
            pipe.write(samples.data)
            pipe.flush()
        except BrokenPipeError:
            return False
    pipe.close()
    return True


def _listen(pipe: IO[bytes], said: deque[str]) -> None:
    while line := pipe.readline(_LINE_BYTES):
        if text := line.decode("utf-8", "replace").strip():
            said.append(text)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child where it still runs, reap it, close its pipe."""
    if child.poll() is None:
        child.kill()
    child.wait()
    with contextlib.suppress(BrokenPipeError):
        if child.stdin is not None:
            child.stdin.close()


def _failure(code: int, said: Iterable[str], folder: Path) -> FramedaemonError:
    words = "\n".join(said) or "it said nothing"
    if code in _NO_ROOM_CODES or _free_bytes(folder) < _FULL_BELOW_BYTES:
        return DiskFull(f"no room for the video in {folder}: {_free_bytes(folder)} bytes are free")
    if code < 0:
        return StageFailed(f"ffmpeg was ended by {signal.Signals(-code).name}:\n{words}")
    if code == 0:
        return StageFailed(f"ffmpeg stopped reading before the last frame:\n{words}")
    return StageFailed(f"ffmpeg failed with exit code {code}:\n{words}")


def _free_bytes(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def as_failure(error: OSError, folder: Path) -> FramedaemonError:
    """What an error of the file system means to the daemon: DiskFull where there is no room, else StageFailed."""
    if error.errno in _NO_ROOM:
        return DiskFull(f"no room in {folder}: {_free_bytes(folder)} bytes are free")
    return StageFailed(f"{folder} cannot be written: {error}")


def flush(path: Path) -> None:
    """Returns when the file or folder at ``path`` is on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
