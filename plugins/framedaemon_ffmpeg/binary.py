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
    return _missing_filter(binary)


@functools.cache
def _missing_filter(binary: str) -> str | None:
    try:
        done = subprocess.run(
            [binary, "-hide_banner", "-h", "filter=zscale"],
            env=child_environment(),
            capture_output=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{binary} does not run: {error}"
    # An unknown filter is no failure to ffmpeg; a known one prints its options to stdout.
    if done.returncode or b"chromal" not in done.stdout:
        return f"{binary} was built without zscale (libzimg): unset IMAGEIO_FFMPEG_EXE, or name another ffmpeg"
    return None
