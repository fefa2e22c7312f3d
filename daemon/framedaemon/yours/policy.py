"""yours: the stages that draw and fill leave one core to the person at the machine.

A memory policy says where and how small each stage works. It is asked for every stage of every job, so it must be quick
and never wrong. The one loaded last is asked first; None lets the next one answer, in the end framedaemon's own.
"""

from __future__ import annotations

from framedaemon import Estimate, Machine, Placement, StageTask, hookimpl


@hookimpl
def memory_policy(stage: StageTask, estimate: Estimate, machine: Machine, attempt: int) -> Placement | None:
    """All cores but one, on a CPU, where that fits; ``attempt`` counts how often the stage ran out of memory."""
    if stage.kind == "encode" or machine.device != "cpu" or attempt > 0 or estimate.phases or estimate.not_on_cpu:
        return None
    placement = Placement(threads=max(1, machine.cores - 1), reason="yours: one core is left to you")
    needs = estimate.placed(placement, stage.width, stage.height)
    return placement if needs.ram <= machine.ram else None
