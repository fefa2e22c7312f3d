"""May a job be begun now? Not while the daemon is paused, outside working hours, or while others need the card.

    tmp/paused, [hours], [gpu] ─ ask ─▶ None: yes    or    Closed: why not, when to ask again, whether to halt

What one job alone waits for, room on the disk or a breaker, is `admission`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from framedaemon.events import Event, WorkPaused, WorkResumed
from framedaemon.gpu import Card, Patient, Unwatched, Watch, read_card
from framedaemon.hours import HoursSettings, is_open, opens_at, show_time
from framedaemon.instance import Instance
from framedaemon.log import get_log
from framedaemon.messages import Ready
from framedaemon.requests import Pause, read_pause
from framedaemon.settings import GpuSettings, Settings

# Between two looks at the card, seconds.
_CARD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Closed:
    """Why no job is begun."""

    causes: dict[str, str]
    """For people, by what it is: ``pause``, ``hours``, ``others``, ``heat``."""
    until: float
    """When to ask again, wall clock; infinite where somebody will say so."""
    halts: bool
    """Whether the job at work is to halt."""

    @property
    def reason(self) -> str:
        """All of them in one line."""
        return "; ".join(self.causes.values())


def together(*closed: Closed | None) -> Closed | None:
    """All reasons at once: it is open when the last of them is gone."""
    found = [one for one in closed if one is not None]
    if not found:
        return None
    causes = {cause: said for one in found for cause, said in one.causes.items()}
    return Closed(causes, max(one.until for one in found), any(one.halts for one in found))


def by_hand(pause: Pause | None) -> Closed | None:
    """Paused until somebody resumes."""
    return Closed({"pause": "paused by hand"}, math.inf, pause.now) if pause is not None else None


def by_hours(
    hours: HoursSettings, wall: float, clock: Callable[[float], datetime] = datetime.fromtimestamp
) -> Closed | None:
    """Closed outside working hours until they begin."""
    spans = hours.spans
    if is_open(spans, clock(wall)):
        return None
    until = opens_at(spans, wall, clock)
    said = f"outside working hours until {show_time(clock(until))}"
    return Closed({"hours": said}, until, hours.at_close == "halt")


class Gate:
    """Asks all of it, and tells of each change."""

    def __init__(
        self,
        instance: Instance,
        tell: Callable[[Event], None],
        read: Callable[[str, str, str], Card] = read_card,
    ) -> None:
        self._instance = instance
        self._mark = str(instance.root.resolve())
        self._tell = tell
        self._card = CardGate(Patient(lambda device, uuid: read(device, uuid, self._mark)))
        self._told: frozenset[str] = frozenset()
        self._since = 0.0

    def ask(
        self, settings: Settings, worker: Ready | None, now: float, wall: float, *, busy: bool, due: bool
    ) -> Closed | None:
        """Why no job may be begun, or None.

        worker: what the last one said of its device. busy: whether a job is at work. due: whether one waits to be
        begun; else nobody looks at the card, which may sleep.
        """
        card = None
        if busy or due:
            device, uuid = (worker.device, worker.uuid) if worker is not None else (settings.worker.device, "")
            card = self._card.ask(settings.gpu, device, uuid, now, wall, busy=busy)
        closed = together(by_hand(read_pause(self._instance)), by_hours(settings.hours, wall), card)
        self._say(closed, wall)
        return closed

    def _say(self, closed: Closed | None, wall: float) -> None:
        """Once for each change of what it is, not of how hot it is."""
        causes = frozenset(closed.causes) if closed is not None else frozenset()
        if causes == self._told:
            return
        if closed is not None:
            get_log().info("work_paused", reason=closed.reason)
            self._tell(WorkPaused(closed.reason))
            self._since = self._since if self._told else wall
        else:
            seconds = max(0.0, wall - self._since)
            get_log().info("work_resumed", seconds=round(seconds, 1))
            self._tell(WorkResumed(seconds))
        self._told = causes


class CardGate:
    """Looks at the card now and then, where there is one; `read` asks the driver, and raises Unwatched."""

    def __init__(self, read: Callable[[str, str], Card]) -> None:
        self._read = read
        self._watch = Watch()
        self._looked = -math.inf
        self._causes: dict[str, str] = {}
        self._unwatched = ""

    def ask(
        self, settings: GpuSettings, device: str, uuid: str, now: float, wall: float, *, busy: bool
    ) -> Closed | None:
        """Closed while others need the card or it is too hot.

        device: as [worker] names it or, better, as the worker does; ``uuid`` is the worker's, or empty.
        """
        watches = settings.others_bytes or settings.others_percent or settings.hot_celsius
        if not watches or not (device == "auto" or device.startswith("cuda")):
            return None
        if now - self._looked >= _CARD_SECONDS:
            self._looked = now
            self._causes = self._look(settings, device, uuid, now, busy=busy)
        if not self._causes:
            return None
        halts = "heat" in self._causes or settings.running == "halt"
        return Closed(self._causes, wall + _CARD_SECONDS, halts)

    def _look(self, settings: GpuSettings, device: str, uuid: str, now: float, *, busy: bool) -> dict[str, str]:
        try:
            card = self._read(device, uuid)
        except Unwatched as unwatched:
            if device != "auto" and str(unwatched) != self._unwatched:  # there is a card, and nobody looks at it
                self._unwatched = str(unwatched)
                get_log().warning("gpu_unwatched", reason=self._unwatched)
            return {}
        self._unwatched = ""
        return self._watch.judge(card, settings, now, busy)
