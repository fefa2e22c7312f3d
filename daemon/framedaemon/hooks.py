"""The five hooks through which everything that does the work is registered, ours like anybody's.

    from framedaemon import hookimpl

    @hookimpl
    def generators():
        return [MyGenerator()]

Version of these hooks: see `HOOKS_VERSION`. Within a version a hook may gain arguments, and an event, an option or a
stage optional parts; nothing is taken away or renamed. Implementations name only the arguments that they use, so they
go on working. A plugin that needs hooks of a later version says ``requires_hooks = 2`` in its module, and is broken, in
those words, where they are not there.
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
        """Generators to offer.

        Called once in each process that loads plugins: the worker, when it starts; every command that asks for stages;
        the process of the observers. What it raises makes the plugin broken, and so does what takes longer than 20 s.
        """
        raise NotImplementedError

    @hookspec
    def interpolators(self) -> Sequence[AnyInterpolator]:
        """Interpolators to offer; called as `generators` is."""
        raise NotImplementedError

    @hookspec
    def encoders(self) -> Sequence[AnyEncoder]:
        """Encoders to offer; called as `generators` is."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def memory_policy(self, stage: StageTask, estimate: Estimate, machine: Machine, attempt: int) -> Placement | None:
        """Where and how small ``stage`` is to work.

        Called where a job is planned, in the worker or in a command, for each stage of each plan. ``attempt`` is 0 at
        first and one more each time the stage ran out of memory. The implementation registered last is asked first;
        the first answer that is not None counts. Raise OutOfMemory when nothing smaller is left to try. Where it raises
        anything else, takes longer than 20 s or answers what is not here, the next one answers, and the plan says so.
        """

    @hookspec
    def happened(self, event: Event) -> None:
        """Something happened to a job (see `framedaemon.events`).

        Called in a process of its own beside the service, in the instance's folder, for one event after the other;
        nobody waits for it. A plugin that raises, or takes longer than 20 s, three times in a row is muted, and one
        that brings that process down at once; it is told again when the daemon starts or reads its settings anew.
        """
