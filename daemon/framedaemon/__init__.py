"""framedaemon: a still picture goes in, a smooth video comes out.

Plugins import from here and from `framedaemon.testing` only; what stands in ``__all__`` stays. A name is fetched from
its module when it is first asked for: the command line answers before numpy and pydantic are loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framedaemon.clip import BT709, Clip, ClipSpec, Colour, Frame, Rate, parse_rate
    from framedaemon.errors import (
        DiskFull,
        FramedaemonError,
        Halted,
        JobRejected,
        OutOfMemory,
        PluginBroken,
        SettingsError,
        StageFailed,
    )
    from framedaemon.events import (
        BreakerClosed,
        BreakerOpened,
        DiskWaited,
        Event,
        JobClaimed,
        JobFailed,
        JobPublished,
        JobRetried,
        JobStarted,
        JobWaiting,
        PluginMuted,
        StageSeconds,
        WorkerReady,
        WorkPaused,
        WorkResumed,
    )
    from framedaemon.hooks import HOOKS_VERSION, hookimpl
    from framedaemon.keeping import kept
    from framedaemon.published import Download, Repository, Weighted, Weights, WheelMember
    from framedaemon.scenes import FlowField, flow_agreement
    from framedaemon.sources import Footage, Picture, Source, SourceKind
    from framedaemon.stages import (
        CUT,
        AnyEncoder,
        AnyGenerator,
        AnyInterpolator,
        Cut,
        Delivery,
        Encode,
        Encoder,
        EncoderOptions,
        Estimate,
        Fill,
        Filled,
        Gap,
        Generate,
        Generator,
        GeneratorOptions,
        Interpolator,
        InterpolatorOptions,
        JoiningEncoder,
        Machine,
        Options,
        Phase,
        Placement,
        Scratch,
        VideoSpec,
    )
    from framedaemon.task import StageTask
    from framedaemon.weights import (
        choose_weights,
        find_weights,
        open_repository,
        open_weights,
        read_record,
        tensor_sizes,
    )

__version__ = "0.1.0"

_HOMES = {
    "clip": (
        "BT709",
        "Clip",
        "ClipSpec",
        "Colour",
        "Frame",
        "Rate",
        "parse_rate",
    ),
    "errors": (
        "DiskFull",
        "FramedaemonError",
        "Halted",
        "JobRejected",
        "OutOfMemory",
        "PluginBroken",
        "SettingsError",
        "StageFailed",
    ),
    "events": (
        "BreakerClosed",
        "BreakerOpened",
        "DiskWaited",
        "Event",
        "JobClaimed",
        "JobFailed",
        "JobPublished",
        "JobRetried",
        "JobStarted",
        "JobWaiting",
        "PluginMuted",
        "StageSeconds",
        "WorkerReady",
        "WorkPaused",
        "WorkResumed",
    ),
    "hooks": (
        "HOOKS_VERSION",
        "hookimpl",
    ),
    "keeping": ("kept",),
    "scenes": (
        "FlowField",
        "flow_agreement",
    ),
    "sources": (
        "Footage",
        "Picture",
        "Source",
        "SourceKind",
    ),
    "stages": (
        "AnyEncoder",
        "AnyGenerator",
        "AnyInterpolator",
        "CUT",
        "Cut",
        "Delivery",
        "Encode",
        "Encoder",
        "EncoderOptions",
        "Estimate",
        "Fill",
        "Filled",
        "Gap",
        "Generate",
        "Generator",
        "GeneratorOptions",
        "Interpolator",
        "InterpolatorOptions",
        "JoiningEncoder",
        "Machine",
        "Options",
        "Phase",
        "Placement",
        "Scratch",
        "VideoSpec",
    ),
    "task": ("StageTask",),
    "published": (
        "Download",
        "Repository",
        "Weighted",
        "Weights",
        "WheelMember",
    ),
    "weights": (
        "choose_weights",
        "find_weights",
        "open_repository",
        "open_weights",
        "read_record",
        "tensor_sizes",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'framedaemon' has no attribute {name!r}")
    value = getattr(import_module(f"framedaemon.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "BT709",
    "CUT",
    "HOOKS_VERSION",
    "AnyEncoder",
    "AnyGenerator",
    "AnyInterpolator",
    "BreakerClosed",
    "BreakerOpened",
    "Clip",
    "ClipSpec",
    "Colour",
    "Cut",
    "Delivery",
    "DiskFull",
    "DiskWaited",
    "Download",
    "Encode",
    "Encoder",
    "EncoderOptions",
    "Estimate",
    "Event",
    "Fill",
    "Filled",
    "FlowField",
    "Footage",
    "Frame",
    "FramedaemonError",
    "Gap",
    "Generate",
    "Generator",
    "GeneratorOptions",
    "Halted",
    "Interpolator",
    "InterpolatorOptions",
    "JobClaimed",
    "JobFailed",
    "JobPublished",
    "JobRejected",
    "JobRetried",
    "JobStarted",
    "JobWaiting",
    "JoiningEncoder",
    "Machine",
    "Options",
    "OutOfMemory",
    "Phase",
    "Picture",
    "Placement",
    "PluginBroken",
    "PluginMuted",
    "Rate",
    "Repository",
    "Scratch",
    "SettingsError",
    "Source",
    "SourceKind",
    "StageFailed",
    "StageSeconds",
    "StageTask",
    "VideoSpec",
    "Weighted",
    "Weights",
    "WheelMember",
    "WorkPaused",
    "WorkResumed",
    "WorkerReady",
    "choose_weights",
    "find_weights",
    "flow_agreement",
    "hookimpl",
    "kept",
    "open_repository",
    "open_weights",
    "parse_rate",
    "read_record",
    "tensor_sizes",
]
