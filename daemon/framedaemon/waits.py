"""Says what jobs wait for: once for each job and wait, as a full disk over a weekend must not fill the log."""

from __future__ import annotations

from collections.abc import Callable

from framedaemon.admission import Obstacle
from framedaemon.events import DiskWaited, Event, JobWaiting
from framedaemon.ledger import JobRow
from framedaemon.log import get_log
from framedaemon.naming import show


class Waits:
    """Knows what was said already."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._said: set[str] = set()

    def say(self, job: JobRow, reason: str) -> None:
        """The job waits."""
        if job.id not in self._said:
            self._said.add(job.id)
            get_log().warning("job_waiting", job=job.id, name=show(job.name), reason=reason)
            self._tell(JobWaiting(job.id, show(job.name), reason))

    def say_obstacle(self, job: JobRow, obstacle: Obstacle) -> None:
        """The job waits for room on the disk, or for a folder; a breaker said it for all its jobs when it opened."""
        shortage = obstacle.shortage
        if shortage is not None and job.id not in self._said:
            self._tell(DiskWaited(str(shortage.folder), shortage.free, shortage.needed))
        if obstacle.outcome == "disk":
            self.say(job, obstacle.reason)

    def over(self, job_id: str) -> None:
        """It waits no more."""
        self._said.discard(job_id)
