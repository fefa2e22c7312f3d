"""yours: keeps a diary of the videos that were made.

An observer is told of everything that happens to jobs. It runs in a process of its own, in the instance's folder: it
keeps nobody waiting, and is called no more when it keeps failing.
"""

from __future__ import annotations

import time
from pathlib import Path

from framedaemon import Event, JobFailed, JobPublished, hookimpl

DIARY = Path("yours.txt")


@hookimpl
def happened(event: Event) -> None:
    """One line for each job that has ended."""
    if isinstance(event, JobPublished):
        write(f"{event.name}: {event.frames} frames in {event.seconds:.0f} s, {event.output}")
    elif isinstance(event, JobFailed):
        write(f"{event.name}: {event.state}, {event.reason}")


def write(line: str) -> None:
    """Add a line to the diary."""
    with DIARY.open("a", encoding="utf-8") as diary:
        diary.write(f"{time.strftime('%Y-%m-%d %H:%M')}  {line}\n")
