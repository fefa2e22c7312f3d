from __future__ import annotations
from framedaemon import ClipSpec, Estimate
from framedaemon_ffmpeg.choice import Choice


def estimate_cost(choice: Choice, takes: ClipSpec, threads: int | None) -> Estimate:
    return Estimate()
