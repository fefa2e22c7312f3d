"""diffusers: a still becomes a moving picture by any image-to-video pipeline of diffusers."""

from __future__ import annotations

from framedaemon import AnyGenerator, hookimpl
from framedaemon_diffusers.options import DiffusersOptions
from framedaemon_diffusers.stage import Diffusers

__all__ = ["Diffusers", "DiffusersOptions", "generators"]


@hookimpl
def generators() -> list[AnyGenerator]:
    """The one generator of this plugin."""
    return [Diffusers()]
