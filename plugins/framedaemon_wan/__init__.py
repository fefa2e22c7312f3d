"""wan: a still becomes a moving picture by Wan 2.2, through diffusers."""

from __future__ import annotations

from collections.abc import Sequence

from framedaemon import Generator, hookimpl
from framedaemon_wan.options import WanOptions
from framedaemon_wan.stage import Wan

__all__ = ["Wan", "WanOptions", "generators"]


@hookimpl
def generators() -> Sequence[Generator[WanOptions]]:
    """Wan."""
    return [Wan()]
