"""Which ffmpeg runs, in which environment, and whether it has what we need."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]  # ships no types

from framedaemon import StageFailed

# FFREPORT makes ffmpeg write a log beside whatever we run in.
_UNWANTED = frozenset({"FFREPORT"})


def ffmpeg_binary() -> str:
    """The path of ffmpeg: ``IMAGEIO_FFMPEG_EXE``, else imageio-ffmpeg's own. Raises RuntimeError without any.

    get_ffmpeg_exe runs its own to see whether it is good. Killed then, for want of memory say, it would be gone for as
    long as this process lives, so that is found by its name.
    """
    own = [str(path) for path in files("imageio_ffmpeg.binaries").iterdir() if path.name.startswith("ffmpeg-")]
    return os.environ.get("IMAGEIO_FFMPEG_EXE") or next(iter(own), None) or str(imageio_ffmpeg.get_ffmpeg_exe())


def child_environment() -> dict[str, str]:
    """Our environment, made quiet for ffmpeg."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return kept | {"AV_LOG_FORCE_NOCOLOR": "1", "SVT_LOG": "1"}  # SVT_LOG 1: errors only


def missing_part() -> str | None:
    """None when ffmpeg runs and has the filter that converts colour exactly; else what is missing.

    Raises StageFailed where ffmpeg was ended before it could tell.
    """
    try:
        binary = ffmpeg_binary()
    except RuntimeError:
        return "no ffmpeg here: pip install --force-reinstall imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE"
    if shutil.which(binary) is None:
        what = "may not be run" if Path(binary).exists() else "is not there"
        return f"{binary} {what}: unset IMAGEIO_FFMPEG_EXE, or name an ffmpeg with it"
    if not _knows(binary, "filter", "zscale"):
        return f"{binary} was built without zscale (libzimg): unset IMAGEIO_FFMPEG_EXE, or name another ffmpeg"
    return None


def has_encoder(name: str) -> bool:
    """Whether our ffmpeg was built with the software encoder ``name``. Raises StageFailed as `missing_part`."""
    return _knows(ffmpeg_binary(), "encoder", name)


@functools.cache
def _knows(binary: str, kind: str, name: str) -> bool:
    try:
        done = subprocess.run(
            [binary, "-hide_banner", "-h", f"{kind}={name}"],
            env=child_environment(),
            capture_output=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
    except (FileNotFoundError, PermissionError):
        return False
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StageFailed(f"{binary} did not say whether it has the {kind} {name}: {error}") from error
    if done.returncode < 0:
        raise StageFailed(f"{binary} was ended by signal {-done.returncode} when asked for the {kind} {name}")
    # What it does not know is no failure to ffmpeg, but only what it knows is described on stdout by its name.
    return done.returncode == 0 and f"{kind} {name}".encode() in done.stdout.lower()
