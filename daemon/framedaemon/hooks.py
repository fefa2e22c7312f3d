"""The five hooks through which everything that does the work is registered, ours like anybody's.

    from framedaemon import hookimpl

    @hookimpl
    def generators():
        return [MyGenerator()]

Version of these hooks: see `HOOKS_VERSION`. A hook gains arguments at most; implementations name only those
they use, so they go on working.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from framedaemon.events import Event
from framedaemon.stages import (
    AnyEncoder,
    AnyGenerator,
    AnyInterpolator,
    Estimate,
    Machine,
    Placement,
)
from framedaemon.task import StageTask

HOOKS_VERSION = 1
PROJECT = "framedaemon"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The specification; pluggy holds implementations to it."""

    @hookspec
    def generators(self) -> Sequence[AnyGenerator]:
        """Generators to offer. Called once, when a process loads its plugins."""
        raise NotImplementedError

    @hookspec
    def interpolators(self) -> Sequence[AnyInterpolator]:
        """Interpolators to offer. Called once, when a process loads its plugins."""
        raise NotImplementedError

    @hookspec
    def encoders(self) -> Sequence[AnyEncoder]:
        """Encoders to offer. Called once, when a process loads its plugins."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def memory_policy(self, stage: StageTask, estimate: Estimate, machine: Machine, attempt: int) -> Placement | None:
        """Where and how small ``stage`` is to work.

        Called in the worker for each stage of each plan. ``attempt`` is 0 at first and one more each time the
        stage ran out of memory. The implementation registered last is asked first; the first answer that is not
        None counts. Raise OutOfMemory when nothing smaller is left to try.
        """

    @hookspec
    def happened(self, event: Event) -> None:
        """Something happened to a job (see `framedaemon.events`). Called in the service, one plugin at a time;

        a plugin that keeps raising here is muted. Be quick: the daemon waits.
        """
