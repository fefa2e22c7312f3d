"""Which ffmpeg runs, in which environment, and whether it has what we need."""

from __future__ import annotations

import functools
import os
import subprocess

import imageio_ffmpeg  # type: ignore[import-untyped]  # ships no types

# FFREPORT makes ffmpeg write a log beside whatever we run in.
_UNWANTED = frozenset({"FFREPORT"})


def ffmpeg_binary() -> str:
    """The path of ffmpeg: ``IMAGEIO_FFMPEG_EXE``, else imageio-ffmpeg's own. Raises RuntimeError without any."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def child_environment() -> dict[str, str]:
    """Our environment, made quiet for ffmpeg."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return kept | {"AV_LOG_FORCE_NOCOLOR": "1", "SVT_LOG": "1"}  # SVT_LOG 1: errors only


def missing_part() -> str | None:
    """None when ffmpeg runs and has the filter that converts colour exactly; else what is missing."""
    try:
        binary = ffmpeg_binary()
    except RuntimeError:
        return "no ffmpeg here: pip install --force-reinstall imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE"
    if not _knows(binary, "filter", "zscale"):
        return f"{binary} was built without zscale (libzimg): unset IMAGEIO_FFMPEG_EXE, or name another ffmpeg"
    return None


def has_encoder(name: str) -> bool:
    """Whether our ffmpeg was built with the software encoder ``name``."""
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
    except (OSError, subprocess.TimeoutExpired):
        return False
    # What it does not know is no failure to ffmpeg, but only what it knows is described on stdout by its name.
    return done.returncode == 0 and f"{kind} {name}".encode() in done.stdout.lower()
