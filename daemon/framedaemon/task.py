"""One stage's part in a job, as plans and memory policies speak of it."""

from __future__ import annotations

from dataclasses import dataclass

from framedaemon.stages import StageKind


@dataclass(frozen=True, slots=True)
class StageTask:
    """A stage, and the shape of what it is to do."""

    kind: StageKind
    name: str
    """The stage's name: ``camera``, ``flow``, ``ffmpeg``."""
    width: int
    height: int
    frames: int
    """Source frames: those it takes, or for a generator those it draws."""

    def fit_key(self, machine: str) -> str:
        """What the ledger remembers a placement by that worked: `Machine.known_as`, stage and shape."""
        return f"{machine} {self.name} {self.width}x{self.height}x{self.frames}"
