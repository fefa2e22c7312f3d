"""camera: a virtual camera moves over a still picture; needs no GPU and no weights."""

from __future__ import annotations

from collections.abc import Sequence

from framedaemon import Generator, hookimpl
from framedaemon_camera.options import CameraOptions
from framedaemon_camera.stage import Camera

__all__ = ["Camera", "CameraOptions", "generators"]


@hookimpl
def generators() -> Sequence[Generator[CameraOptions]]:
    """The camera."""
    return [Camera()]
