"""An overview as lines of text, for a terminal of any size: what `watch` shows, and `status` prints.

Sections stand below each other. Where there is no room for all, each gets its least in the order of what matters most
to who looks at 3 a.m. (is it alive, what is wrong, how long will it take), and then they grow in turn.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from rich.text import Text

from framedaemon.cli.drawing import Pen
from framedaemon.durations import show_roughly, show_seconds
from framedaemon.overview import Current, Failure, Overview, Queue, Queued, Room
from framedaemon.settings import show_bytes
from framedaemon.usage import Disk

_WIDEST = 120
_NARROW = 50
_LISTED = 10  # of each list, where the height is endless

_FAILED = ("failed", "quarantined", "vanished")
_STATES = {"done": "green", "failed": "red", "quarantined": "red", "cancelled": "yellow", "vanished": "yellow"}


@dataclass(slots=True)
class _Section:
    """Lines that belong together."""

    lines: list[Text]
    least: int
    """So many of them, or none."""
    rank: int
    """What matters most is 0."""
    listed: bool = False
    """Whether it is a list, whose last line says how many more there are."""
    beyond: int = 0
    """Of a list, how many more there are than lines."""
    height: int = 0

    @property
    def most(self) -> int:
        """Lines that all of it takes."""
        return len(self.lines) + (self.beyond > 0)

    def shown(self, pen: Pen) -> list[Text]:
        if not self.listed or self.height < 3 or (self.height >= self.most and not self.beyond):
            return self.lines[: self.height]
        kept = self.height - 1
        return [*self.lines[:kept], pen.text(f"and {len(self.lines) - kept + self.beyond} more", "dim")]


def draw(seen: Overview, width: int, height: int | None = None, plain: bool = False) -> list[Text]:
    """The lines, at most ``height`` of them, none wider than ``width``.

    ``plain``: ASCII only. Without a height all that matters is there, and nothing of how to leave the screen.
    """
    pen = Pen(min(width, _WIDEST), plain)
    sections = [
        _Section([_header(seen, pen)], 1, 0),
        *(_Section(pen.banner(*banner), 1, 1) for banner in _banners(seen)),
        _now(seen, pen),
        _queue(seen.queue, seen.daemon is not None and not seen.daemon.paused, pen),
        _previews(seen, pen),
        _errors(seen, pen),
        _ended(seen, pen),
        _Section([pen.rule("machine")], 1, 10),
        _machine(seen, pen),
        _footer(seen, pen) if height is not None else _Section([], 0, 9),
    ]
    _allot(sections, height)
    *upper, rule, machine, footer = [section.shown(pen) for section in sections]
    above = [line for lines in upper for line in lines]
    below = [*(rule if machine else []), *machine, *footer]
    space = (height or 0) - len(above) - len(below)
    return [*above, *([Text()] * space), *below]


def _allot(sections: list[_Section], height: int | None) -> None:
    if height is None:
        for section in sections:
            section.height = min(section.most, _LISTED + 1 if section.listed else section.most)
        return
    left, ranked = height, sorted(sections, key=lambda section: section.rank)
    for section in ranked:
        if section.lines and section.least <= left:
            section.height = section.least
            left -= section.least
    for section in ranked:
        if section.height and not section.listed:
            grown = min(left, len(section.lines) - section.height)
            section.height += grown
            left -= grown
    while left > 0 and (growing := [section for section in ranked if 0 < section.height < section.most]):
        for section in growing[:left]:
            section.height += 1
            left -= 1


def _header(seen: Overview, pen: Pen) -> Text:
    daemon, style = seen.daemon, "bold green"
    if daemon is None:
        state, style = "no daemon", "bold red"
    elif daemon.said is None:
        state = f"starting, process {daemon.pid}"
    else:
        up = f"up {show_roughly(seen.at - daemon.since)}" if daemon.since is not None else "up"
        state = up if pen.width < _NARROW else f"{up}, process {daemon.pid}"
    return pen.row(Text.assemble(("framedaemon ", "bold"), seen.instance), Text(state, style))


def _banners(seen: Overview) -> Iterator[tuple[str, str]]:
    """What keeps jobs from being made, and how to show it."""
    daemon, grave, mild = seen.daemon, "bold white on red", "bold black on yellow"
    if daemon is None:
        yield "no daemon runs here: nothing is made until `framedaemon run` or its service starts one", grave
    elif daemon.paused:
        why = daemon.paused.replace("paused by hand", "by hand, until `framedaemon resume`")
        yield f"paused: {why}", mild
    if daemon is not None and daemon.draining:
        yield "ends after the job at hand", mild
    for breaker in seen.breakers:
        again = time.strftime("%H:%M:%S", time.localtime(breaker.until))
        yield f"breaker open, next try {again}: {breaker.reason}", grave
    for disk in seen.room.disks:
        if _tight(disk, seen.room):
            free, kept = show_bytes(disk.free_bytes), show_bytes(seen.room.keep_free_bytes)
            yield f"the disk of {disk.folder}/ is full: {free} are free, {kept} are to stay so", grave
    for problem in seen.problems:
        yield problem, grave


def _now(seen: Overview, pen: Pen) -> _Section:
    current = seen.current
    if current is None:
        state = "" if seen.daemon is None else "nothing is at work"
        return _Section([pen.rule("now"), pen.text(state, "dim")] if state else [], 2, 4)
    so_far = f"{show_seconds(current.seconds)} so far"
    tried = f"attempt {current.attempt}, {so_far}" if current.attempt > 1 else so_far
    left = f"{show_seconds(current.remaining_seconds)} left" if current.remaining_seconds is not None else ""
    lines = [pen.rule("now", left), pen.row(pen.text(current.name, "bold"), pen.text(tried, "dim"))]
    return _Section([*lines, *_pace(current, pen), *_bars(current, pen)], 3, 2)


def _pace(current: Current, pen: Pen) -> Iterator[Text]:
    """The line that stays when there is no room for a bar a stage."""
    rate = f"{current.frames_per_second:.1f} frames/s" if current.frames_per_second is not None else ""
    done, total = (
        (list(current.stages.values())[-1].done, list(current.stages.values())[-1].total) if current.stages else (0, 0)
    )
    frames = f"{done} of {total} frames" if total else "" if current.step else "planning"
    words = ", ".join(part for part in (frames, rate) if part)
    yield pen.row(pen.text(words or current.step, "cyan"), pen.text(current.step if words else "", "cyan"))


def _bars(current: Current, pen: Pen) -> Iterator[Text]:
    names = max((len(stage) for stage in current.stages), default=0)
    digits = max((len(f"{count.done}/{count.total}") for count in current.stages.values()), default=0)
    for stage, count in current.stages.items():
        share = count.done / max(1, count.total)
        style = "green" if count.done >= count.total else "cyan"
        frames = f"{count.done}/{count.total}".rjust(digits)
        yield pen.meter(stage.ljust(names), [(share, style)], frames)


def _queue(queue: Queue, moving: bool, pen: Pen) -> _Section:
    said = f"{queue.jobs} {'job' if queue.jobs == 1 else 'jobs'}"
    if queue.remaining_seconds is not None and queue.jobs:
        about = f"about {show_roughly(queue.remaining_seconds)}"
        more = f" and {queue.unknown} unknown" if queue.unknown else ""
        said += f", {about}{more}" if queue.unknown < queue.jobs else ", time unknown"
    if not queue.jobs:
        return _Section([pen.rule("queue", "empty")], 1, 5)
    said_of = [_when(one, moving, number == 0) for number, one in enumerate(queue.next)]
    rows = [pen.row(pen.text(one.job.name), pen.text(s, "dim")) for one, s in zip(queue.next, said_of, strict=True)]
    return _Section([pen.rule("queue", said), *rows], 2, 5, listed=True, beyond=queue.jobs - len(rows))


def _when(one: Queued, moving: bool, first: bool) -> str:
    if one.job.state in ("waiting", "publishing") and one.job.reason:
        return one.job.reason
    if one.job.state == "running":
        return "was at work when the daemon ended; goes on when one starts"
    takes = f"takes {show_roughly(one.expected_seconds)}" if one.expected_seconds is not None else ""
    starts = one.starts_in_seconds
    known = f"in {show_roughly(starts)}" if starts is not None and starts >= 1 else ""
    begins = (known or ("next" if first else "")) if moving else ""
    return ", ".join(part for part in (begins, takes) if part)


def _previews(seen: Overview, pen: Pen) -> _Section:
    rows = []
    for one in seen.previews:
        how = f"{', '.join(one.previews)}: framedaemon approve {shlex.quote(one.name)}"
        rows.append(pen.row(pen.text(one.name), pen.text(how, "dim")))
    title = pen.rule("previews to approve", str(len(rows)))
    return _Section([title, *rows] if rows else [], 2, 7, listed=True)


def _errors(seen: Overview, pen: Pen) -> _Section:
    """Failed jobs and the log's warnings together, the last first."""
    found = [(failure.job.ended or 0.0, _failure(failure, seen.at, pen)) for failure in seen.failures]
    for line in seen.warnings:
        about = f"{line.name}: " if line.name else ""
        words = f"{line.event.replace('_', ' ')}: {about}{line.said}".removesuffix(": ")
        style = "yellow" if line.level == "warning" else "red"
        found.append((line.at, pen.text(f"{_clock(line.at, seen.at)}  {words}", style)))
    rows = [row for _, row in sorted(found, key=lambda each: each[0], reverse=True)]
    return _Section([pen.rule("errors"), *rows] if rows else [], 2, 3, listed=True)


def _failure(failure: Failure, now: float, pen: Pen) -> Text:
    job = failure.job
    said = job.reason or job.state
    named = said if said.startswith(PurePosixPath(job.name).name) else f"{job.name}: {said}"
    return pen.text(f"{_clock(job.ended, now)}  {named}", "red")


def _ended(seen: Overview, pen: Pen) -> _Section:
    said = ", ".join(f"{count} {state}" for state, count in seen.counts.items() if state in _STATES)
    rows = []
    for job in seen.ended:
        if job.state in _FAILED:
            continue  # it stands among the errors
        took = show_roughly(job.ended - job.started) if job.ended and job.started and job.ended > job.started else ""
        left = Text.assemble(
            (f"{_clock(job.ended, seen.at)}  ", "dim"), (f"{job.state:<7} ", _STATES[job.state]), job.output or job.name
        )
        rows.append(pen.row(left, pen.text(took, "dim")))
    return _Section([pen.rule("ended", said), *rows] if rows else [], 2, 8, listed=True)


def _machine(seen: Overview, pen: Pen) -> _Section:
    lines = [*_memory(seen, pen), *_disks(seen, pen)]
    return _Section(lines, len(lines), 4)


def _footer(seen: Overview, pen: Pen) -> _Section:
    clock = time.strftime("%H:%M:%S", time.localtime(seen.at))
    return _Section([pen.row(pen.text("q quits", "dim"), pen.text(clock, "dim"))], 1, 9)


def _memory(seen: Overview, pen: Pen) -> Iterator[Text]:
    memory = seen.memory
    ours = (memory.worker_bytes or 0) + (memory.daemon_bytes or 0)
    others = max(0, memory.total_bytes - memory.available_bytes - ours)
    free = f"{show_bytes(memory.available_bytes)} of {show_bytes(memory.total_bytes)} free"
    worker = f"; worker {show_bytes(memory.worker_bytes)}" if memory.worker_bytes is not None else ""
    daemon = f", daemon {show_bytes(memory.daemon_bytes)}" if memory.daemon_bytes is not None else ""
    tight = memory.available_bytes < memory.total_bytes / 20
    parts = [(ours / memory.total_bytes, "red" if tight else "cyan"), (others / memory.total_bytes, "blue")]
    yield pen.meter("memory", parts, f"{free}{worker}{daemon}", f"{free}{worker}", free, style="red" if tight else "")
    for device in memory.devices:
        used = f"{show_bytes(device.used_bytes)} of {show_bytes(device.total_bytes)} used"
        share = device.used_bytes / max(1, device.total_bytes)
        yield pen.meter("gpu   ", [(share, "cyan")], f"{used}; {device.name}", used)


def _disks(seen: Overview, pen: Pen) -> Iterator[Text]:
    room = seen.room
    for disk in room.disks:
        total = max(1, disk.total_bytes)
        tight = _tight(disk, room)
        parts = [((total - disk.free_bytes) / total, "red" if tight else "blue"), (room.reserved_bytes / total, "cyan")]
        free = f"{show_bytes(disk.free_bytes)} of {show_bytes(disk.total_bytes)} free"
        kept = f"; {show_bytes(room.keep_free_bytes)} are kept"
        ours = f", {show_bytes(room.temporary_bytes)} in tmp/"
        label = "disk  " if len(room.disks) == 1 else disk.folder.ljust(6)
        yield pen.meter(label, parts, f"{free}{kept}{ours}", f"{free}{kept}", free, style="red" if tight else "")


def _tight(disk: Disk, room: Room) -> bool:
    return disk.free_bytes - room.reserved_bytes < room.keep_free_bytes


def _clock(at: float | None, now: float) -> str:
    """When: the time of the day, or the date where that was another."""
    if at is None:
        return "     "
    then, today = time.localtime(at), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%m-%d", then)
