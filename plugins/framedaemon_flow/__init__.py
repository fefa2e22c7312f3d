"""flow: frames between frames by dense optical flow on the CPU; needs no GPU and no weights."""

from __future__ import annotations

from collections.abc import Sequence

from framedaemon import Interpolator, hookimpl
from framedaemon_flow.stage import Flow, FlowOptions

__all__ = ["Flow", "FlowOptions", "interpolators"]


@hookimpl
def interpolators() -> Sequence[Interpolator[FlowOptions]]:
    """Optical flow."""
    return [Flow()]
