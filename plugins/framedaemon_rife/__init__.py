"""rife: frames between frames by RIFE, a small network that finds where each pixel moved and what is hidden there."""

from __future__ import annotations

from collections.abc import Sequence

from framedaemon import Interpolator, hookimpl
from framedaemon_rife.stage import Rife, RifeOptions

__all__ = ["Rife", "RifeOptions", "interpolators"]


@hookimpl
def interpolators() -> Sequence[Interpolator[RifeOptions]]:
    """RIFE, for those who have torch and its weights."""
    return [Rife()]
