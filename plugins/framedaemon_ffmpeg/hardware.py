"""Encoders on graphics chips: how each is talked to, and whether it really works on this machine.

That ffmpeg lists an encoder says nothing: the driver, the chip and the permission are found out by encoding.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping

from framedaemon_ffmpeg.binary import child_environment, ffmpeg_binary
from framedaemon_ffmpeg.options import HardwareKind

_CODECS: Mapping[HardwareKind, tuple[str, ...]] = {
    "nvenc": ("h264", "hevc", "av1"),
    "qsv": ("h264", "hevc", "av1"),
    "vaapi": ("h264", "hevc"),
    "amf": ("h264", "hevc"),
    "videotoolbox": ("h264", "hevc"),
}
_PROBE_SIZE = 256  # above the smallest size of every chip known (nvenc av1: 192x128)
_PROBE_SECONDS = 20.0
_RENDER_NODE = "/dev/dri/renderD128"  # the first graphics chip of a Linux machine


def device_arguments(kind: HardwareKind | None) -> list[str]:
    """What stands before the input so that the chip is opened."""
    return ["-vaapi_device", _RENDER_NODE] if kind == "vaapi" else []


def upload_filters(kind: HardwareKind | None, depth: int) -> list[str]:
    """The filters that hand a converted frame to the chip, in the layout it wants."""
    layout = "nv12" if depth == 8 else "p010le"
    match kind:
        case "vaapi":
            return [f"format={layout}", "hwupload"]
        case "qsv" | "amf" | "videotoolbox":
            return [f"format={layout}"]
        case "nvenc":
            return ["format=yuv420p" if depth == 8 else "format=p010le"]
        case _:
            return []


def quality_arguments(kind: HardwareKind, crf: int, preset: int) -> list[str]:
    """``crf`` in the chip's own words; ``preset`` is 0 (ultrafast) to 8 (veryslow)."""
    match kind:
        case "nvenc":
            speed = f"p{1 + round(preset * 6 / 8)}"
            return ["-rc", "vbr", "-cq", str(crf), "-b:v", "0", "-preset", speed]
        case "qsv":
            return ["-global_quality", str(max(1, crf))]
        case "vaapi":
            return ["-rc_mode", "CQP", "-qp", str(max(1, crf))]
        case "amf":
            return ["-rc", "cqp", "-qp_i", str(crf), "-qp_p", str(crf)]
        case "videotoolbox":
            # 1 (worst) to 100
            return ["-q:v", str(max(1, 100 - 2 * crf))]


@functools.cache
def find_hardware(codec: str, kind: HardwareKind, depth: int) -> bool:
    """Whether ``codec`` is really encoded by ``kind`` here: a tiny real encode, once per process."""
    if codec not in _CODECS[kind] or (codec == "h264" and depth > 8):
        return False
    size = f"{_PROBE_SIZE}x{_PROBE_SIZE}"
    pixel_format = "yuv420p" if depth == 8 else "yuv420p10le"
    filters = ",".join([f"format={pixel_format}", *upload_filters(kind, depth)])
    argv = [
        ffmpeg_binary(),
        *("-hide_banner", "-loglevel", "error", "-nostdin"),
        *device_arguments(kind),
        *("-f", "lavfi", "-i", f"color=size={size}:rate=25", "-frames:v", "5"),
        *("-vf", filters, "-c:v", f"{codec}_{kind}", *quality_arguments(kind, 23, 4)),
        *("-f", "null", "-"),
    ]
    try:
        done = subprocess.run(
            argv, env=child_environment(), capture_output=True, timeout=_PROBE_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
