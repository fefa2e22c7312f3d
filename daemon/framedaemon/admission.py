"""Whether a job may go now: not where a breaker is open, and not without room for what it will write."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from framedaemon import disk
from framedaemon.disk import Need, Shortage
from framedaemon.instance import Instance
from framedaemon.ledger import JobRow, Ledger
from framedaemon.naming import show
from framedaemon.summary import PlanSummary
from framedaemon.workspace import Workspace, bytes_below, size_of

ROOM_SECONDS = 15.0
"""How soon a job that waits for room on the disk, or for output/ to come back, asks again."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What a job waits for."""

    outcome: Literal["disk", "held"]
    reason: str
    until: float
    """When to ask again; wall clock."""
    shortage: Shortage | None = None
    """Of disk, where it is that."""


class Admission:
    """Knows what is promised to others."""

    def __init__(self, instance: Instance, ledger: Ledger) -> None:
        self._instance = instance
        self._ledger = ledger

    def obstacle(
        self, plan: PlanSummary | None, keep_free_bytes: int, wall: float, job: JobRow | None = None
    ) -> Obstacle | None:
        """What keeps a job from being tried now, or None. ``plan`` is None for one that was never planned.

        What earlier attempts at ``job`` have left counts as free: it goes on with that, or removes it.
        """
        breaker = self._ledger.breaker.blocks(plan.place if plan is not None else None, wall)
        if breaker is not None:
            return Obstacle("held", breaker.describe(), breaker.until)
        folders = (self._instance.tmp, self._instance.output)
        try:
            if job is not None:
                self._workspace(job).job(job.number)  # it works there
            if plan is None:
                return None
            shortage = disk.shortage(self.need(plan), self._reserved(job), folders, keep_free_bytes)
        except OSError as error:  # tmp/ cannot be written, output/ is gone or does not answer
            return _missing(error, wall)
        if shortage is None:
            return None
        return Obstacle("disk", shortage.describe(), wall + ROOM_SECONDS, shortage)

    def need(self, plan: PlanSummary) -> Need:
        """What the plan will write, its video corrected by what earlier videos really took."""
        video = round(plan.video_bytes * self._ledger.history.correction(plan.video_kind))
        return Need(plan.temporary_bytes, video, plan.video_copies)

    def _reserved(self, job: JobRow | None) -> dict[Path, int]:
        """Bytes that others will still write, by folder, less those that ``job`` holds there already."""
        held = bytes_below(self._folder(job)) if job is not None else 0
        if self._instance.jobs.stat().st_dev == self._instance.output.stat().st_dev:
            return {self._instance.tmp: -held, self._instance.output: -held}
        return {self._instance.tmp: -held, self._instance.output: self._promised()}

    def _promised(self) -> int:
        """Bytes of finished videos that are still to be copied into output/, where no rename brings them there."""
        made = (video for job in self._ledger.jobs("publishing") for video in self._folder(job).glob("video*"))
        return sum(size_of(video) for video in made)

    def _folder(self, job: JobRow) -> Path:
        return self._workspace(job).folder / str(job.number)

    def _workspace(self, job: JobRow) -> Workspace:
        return Workspace(self._instance.jobs / job.drop_id)


def _missing(error: OSError, wall: float) -> Obstacle:
    """A folder that the job needs cannot be had; that may be mended at any moment."""
    where = f"{show(os.fsdecode(error.filename))}: " if isinstance(error.filename, (str, bytes)) else ""
    return Obstacle("disk", f"{where}{error.strerror or error}", wall + ROOM_SECONDS)
