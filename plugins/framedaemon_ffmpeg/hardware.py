"""Encoders on graphics chips: how each is talked to, and whether it really works on this machine.

That ffmpeg lists an encoder says nothing: the driver, the chip and the permission are found out by encoding.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping, Sequence

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
RENDER_NODE = "/dev/dri/renderD128"  # the first graphics chip of a Linux machine


def device_arguments(kind: HardwareKind | None) -> list[str]:
    """What stands before the input so that the chip is opened."""
    return ["-vaapi_device", RENDER_NODE] if kind == "vaapi" else []


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


def find_hardware(codec: str, kind: HardwareKind, depth: int) -> bool:
    """Whether ``codec`` is really encoded by ``kind`` here: a tiny real encode, once per process."""
    return fault_of_hardware(codec, kind, depth) is None


def hardware_codecs(kind: HardwareKind) -> tuple[str, ...]:
    """The codecs that chips of this kind may encode."""
    return _CODECS[kind]


@functools.cache
def fault_of_hardware(codec: str, kind: HardwareKind, depth: int) -> str | None:
    """Why ``codec`` is not encoded by ``kind`` here, in ffmpeg's words; None where it really is."""
    if codec not in _CODECS[kind] or (codec == "h264" and depth > 8):
        return "no such chip is known"
    pixel_format = "yuv420p" if depth == 8 else "yuv420p10le"
    filters = ",".join([f"format={pixel_format}", *upload_filters(kind, depth)])
    return try_encode(
        device_arguments(kind), ["-vf", filters, "-c:v", f"{codec}_{kind}", *quality_arguments(kind, 23, 4)]
    )


def try_encode(before: Sequence[str], arguments: Sequence[str]) -> str | None:
    """Encode five grey frames to nowhere; None where ffmpeg did it, else its last words."""
    argv = [
        ffmpeg_binary(),
        *("-hide_banner", "-loglevel", "error", "-nostdin"),
        *before,
        *("-f", "lavfi", "-i", f"color=size={_PROBE_SIZE}x{_PROBE_SIZE}:rate=25", "-frames:v", "5"),
        *arguments,
        *("-f", "null", "-"),
    ]
    try:
        done = subprocess.run(
            argv, env=child_environment(), capture_output=True, timeout=_PROBE_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"ffmpeg did not come to an end within {_PROBE_SECONDS:.0f} s"
    except OSError as error:
        return f"{argv[0]}: {error.strerror or error}"
    if done.returncode < 0:
        return f"ffmpeg was ended by signal {-done.returncode}"
    first = next(iter(done.stderr.decode(errors="replace").strip().splitlines()), f"exit code {done.returncode}")
    return None if done.returncode == 0 else first
