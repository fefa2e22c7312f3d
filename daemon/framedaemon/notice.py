"""What is told of what happened: a title and a body for people, the same as JSON for programs.

    event ─▶ News ─┐
    event ─▶ News ─┴─▶ Notice      one alone in full; several as a digest: how many of each kind, and the first of them

A notice is bounded, however much it tells of.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from framedaemon.audience import Happening
from framedaemon.events import (
    BreakerClosed,
    BreakerOpened,
    Event,
    JobFailed,
    JobPublished,
    JobWaiting,
    PluginMuted,
    WorkPaused,
    WorkResumed,
)

LISTED = 20
"""So many are named in a digest; the rest is counted."""

# Reasons of failed jobs may hold the last words of a library; names are as long as filesystems let them be.
_LONGEST_REASON = 600
_LONGEST_NAME = 300

# With paths as long as filesystems let them be, fewer are named.
_LARGEST_BYTES = 64 * 1024

_WORDS: dict[Happening, tuple[str, str]] = {
    "done": ("video done", "videos done"),
    "failed": ("failed", "failed"),
    "waiting": ("waits", "wait"),
    "breaker": ("about the machine", "about the machine"),
    "paused": ("about pauses", "about pauses"),
    "plugin": ("plugin set aside", "plugins set aside"),
}
# What somebody has to look at comes first.
_ORDER: tuple[Happening, ...] = ("failed", "breaker", "plugin", "waiting", "paused", "done")


@dataclass(frozen=True, slots=True)
class News:
    """One thing that happened."""

    kind: Happening
    title: str
    line: str
    """For people, all of it."""
    at: float
    """Wall clock."""
    job: str = ""
    """Of which job; only its end is remembered to have been told."""
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def ends(self) -> bool:
        """Whether it tells of a job's end."""
        return self.kind in ("done", "failed")


@dataclass(frozen=True, slots=True)
class Notice:
    """What one target gets at once."""

    id: str
    """The same each time that it is sent."""
    title: str
    body: str
    payload: bytes
    """The JSON document, in UTF-8."""
    grave: bool
    """Whether somebody has to look at it."""


def news_of(event: Event, now: float) -> News | None:
    """What there is to tell of an event; None for those that nobody waits for.

    A job cancelled by hand is none: who did it knows.
    """
    if isinstance(event, JobPublished):
        took = f" ({event.frames} frames in {event.seconds:.0f} s)" if event.frames else ""
        facts = {"name": event.name, "output": event.output, "frames": event.frames}
        facts |= {"seconds": round(event.seconds, 1), "bytes": event.bytes}
        line = f"{_short(event.name)} is done: {_short(event.output)}{took}"
        return News("done", f"Done: {_short(event.output)}", line, event.at or now, event.job, facts)
    if isinstance(event, JobFailed) and event.state != "cancelled":
        return _failure(event, now)
    if isinstance(event, JobWaiting):
        line = f"{_short(event.name)} waits, and goes on by itself: {_reason(event.reason)}"
        facts = {"name": event.name, "reason": _reason(event.reason)}
        return News("waiting", f"Waiting: {_short(event.name)}", line, now, event.job, facts)
    if isinstance(event, BreakerOpened):
        line = f"Jobs wait, since the machine seems to be at fault at {event.place}: {_reason(event.reason)}."
        line += " One is tried now and then; `framedaemon status` says more."
        return News("breaker", "The machine seems to be at fault", line, now, facts={"open": True, **_place(event)})
    if isinstance(event, BreakerClosed):
        line = f"The machine works again at {event.place}: what waited goes on."
        return News("breaker", "The machine works again", line, now, facts={"open": False, **_place(event)})
    if isinstance(event, WorkPaused):
        line = f"No job is begun now: {_reason(event.reason)}"
        return News("paused", "Paused", line, now, facts={"paused": True, "reason": _reason(event.reason)})
    if isinstance(event, WorkResumed):
        return News("paused", "Going on", "Jobs are begun again.", now, facts={"paused": False})
    if isinstance(event, PluginMuted):
        line = f"The plugin {event.plugin} was set aside: {_reason(event.reason)}"
        facts = {"plugin": event.plugin, "reason": _reason(event.reason)}
        return News("plugin", f"Plugin {event.plugin} set aside", line, now, facts=facts)
    return None


def compose(
    news: Sequence[News], instance: Path, host: str, now: float, more: Mapping[Happening, int] | None = None
) -> Notice:
    """The notice that tells of ``news``, at least one, and of ``more`` that nobody kept, by kind."""
    counts = Counter({kind: sum(one.kind == kind for one in news) for kind in _ORDER})
    counts.update(more or {})
    total = sum(counts.values())
    title = news[0].title if total == 1 else _title(counts)
    ranked = sorted(news, key=lambda one: _ORDER.index(one.kind))
    for listed in (LISTED, LISTED // 2, LISTED // 4, 1):
        first = ranked[:listed]
        facts = {
            "type": f"framedaemon.{first[0].kind if total == 1 else 'digest'}",
            "timestamp": _iso(now),
            "data": {
                "host": host,
                "instance": str(instance),
                "title": title,
                "counts": {kind: counts[kind] for kind in _ORDER if counts[kind]},
                "events": [_facts(one, instance) for one in first],
                "more": total - len(first),
            },
        }
        payload = json.dumps(facts, ensure_ascii=True).encode("ascii")
        if len(payload) <= _LARGEST_BYTES:
            break
    lines = [one.line for one in first]
    if total > len(first):
        lines.append(f"… and {total - len(first)} more.")
    body = "\n".join([*lines, "", f"framedaemon on {host}, {instance}"])
    return Notice(_id(news), title, body, payload, any(one.kind != "done" for one in first))


def _failure(event: JobFailed, now: float) -> News:
    reason = _reason(event.reason)
    line = f"{_short(event.name)} did not become a video: {reason}\n"
    line += (
        "  It lies in input/failed/ with the reason beside it. To try again, mend that and move it back into input/."
    )
    facts = {"name": event.name, "state": event.state, "reason": reason}
    return News("failed", f"Failed: {_short(event.name)}", line, event.at or now, event.job, facts)


def _place(event: BreakerOpened | BreakerClosed) -> dict[str, object]:
    reason = {"reason": _reason(event.reason)} if isinstance(event, BreakerOpened) else {}
    return {"place": event.place, **reason, "seconds": round(event.seconds, 1)}


def _facts(news: News, instance: Path) -> dict[str, object]:
    """One event as programs get it; ``path`` is where the video stands, if the event says one."""
    facts: dict[str, object] = {"kind": news.kind, "at": _iso(news.at)}
    if news.job:
        facts["job"] = news.job
    facts |= {key: _bounded(value) for key, value in news.facts.items()}
    if "output" in news.facts:
        facts["path"] = str(instance / "output" / str(news.facts["output"]))
    return facts


def _title(counts: Mapping[Happening, int]) -> str:
    """``2 failed, 37 videos done``."""
    return ", ".join(f"{counts[kind]} {_WORDS[kind][counts[kind] > 1]}" for kind in _ORDER if counts.get(kind))


def _id(news: Iterable[News]) -> str:
    """Names what is told, so that whoever gets it twice can tell."""
    told = "\n".join(f"{one.kind} {one.job} {one.at!r} {one.title}" for one in news)
    return f"fd_{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _reason(reason: str) -> str:
    """On one line, and not endless."""
    lines = reason[: 4 * _LONGEST_REASON].splitlines()
    said = "; ".join(line.strip() for line in lines if line.strip())
    return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]}…"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2]}…{name[-_LONGEST_NAME // 2 :]}"


def _bounded(value: object) -> object:
    """Paths are as the filesystem has them, but not endless."""
    return value if not isinstance(value, str) or len(value) <= 4096 else f"{value[:4096]}…"
