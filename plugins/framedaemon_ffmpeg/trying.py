"""What ffmpeg really encodes on this machine, each codec tried on a few small frames: for `framedaemon doctor`.

Encoders on graphics chips are tried where the kernel has the device that they need: elsewhere nobody expects them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import get_args

from framedaemon_ffmpeg.binary import child_environment, ffmpeg_binary, has_encoder, missing_part
from framedaemon_ffmpeg.codecs import CODECS, Codec, Tuning
from framedaemon_ffmpeg.hardware import RENDER_NODE, fault_of_hardware, hardware_codecs, try_encode
from framedaemon_ffmpeg.options import HardwareKind

_RADEON = Path("/dev/kfd")
_DEVICES: Mapping[HardwareKind, Path] = {
    "nvenc": Path("/dev/nvidiactl"),
    "qsv": Path(RENDER_NODE),
    "vaapi": Path(RENDER_NODE),
    "amf": _RADEON,
}


def try_encoders() -> dict[str, str | None]:
    """Of ffmpeg itself, and of each encoder, why it does not work; None where it does."""
    version, missing = _version(), missing_part()
    tries: dict[str, Callable[[], str | None]] = {
        f"{codec.name} ({codec.encoder})": partial(_fault, codec) for codec in CODECS.values() if codec.name != "png"
    }
    for kind in get_args(HardwareKind):
        if _expected(kind):
            for name in hardware_codecs(kind):
                if has_encoder(f"{name}_{kind}"):
                    tries[f"{name}_{kind}"] = partial(fault_of_hardware, name, kind, 8)
    if missing is not None:
        return {version: missing}
    with ThreadPoolExecutor(4) as pool:
        faults = [pool.submit(attempt) for attempt in tries.values()]
        return {version: None} | {name: fault.result() for name, fault in zip(tries, faults, strict=True)}


def _expected(kind: HardwareKind) -> bool:
    """Whether there is a chip of this kind, as far as the kernel says."""
    return _DEVICES[kind].exists() if kind in _DEVICES else sys.platform == "darwin"


def _fault(codec: Codec) -> str | None:
    if not has_encoder(codec.encoder):
        return f"this ffmpeg was built without {codec.encoder}"
    pixel_format = codec.formats[codec.chroma, codec.depths[0]]
    speed = codec.speeds[0] if codec.speeds else ""
    tuning = Tuning(crf=codec.crf[1] if codec.crf else 0, speed=speed, threads=1)
    arguments = codec.arguments(tuning)
    if "-loop" in arguments:  # said to the muxers of gif and webp; the one that writes nowhere does not know it
        at = arguments.index("-loop")
        del arguments[at : at + 2]
    return try_encode((), ["-pix_fmt", pixel_format, "-c:v", codec.encoder, *arguments])


def _version() -> str:
    """``ffmpeg 7.0.2-static``, as it says itself."""
    try:
        said = subprocess.run(
            [ffmpeg_binary(), "-version"], env=child_environment(), capture_output=True, timeout=20, text=True
        ).stdout
    except (OSError, subprocess.SubprocessError, RuntimeError, UnicodeDecodeError):
        return "ffmpeg"
    return " ".join(said.split()[:3:2]) or "ffmpeg"
