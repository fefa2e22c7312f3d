"""A plan in plain values: what the ledger keeps, `status` and `explain` show, and the socket carries."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from framedaemon.stages import StageKind


class PhaseSummary(BaseModel):
    """One of the things that a stage does one after the other, where it is placed."""

    model_config = ConfigDict(frozen=True)

    name: str
    working_bytes: int
    """Of weights and tensors where it works: on the accelerator, or in main memory."""
    waiting_bytes: int
    """Of weights that wait in main memory for the accelerator, or are on their way to it."""


class StepSummary(BaseModel):
    """One stage's part."""

    model_config = ConfigDict(frozen=True)

    kind: StageKind
    stage: str
    options: dict[str, Any]
    ram_bytes: int
    vram_bytes: int = 0
    """On the accelerator."""
    disk_bytes: int
    seconds: float
    """Estimated by the stage."""
    placement: dict[str, Any]
    fit_key: str
    """`StageTask.fit_key`: what a placement that works is remembered by."""
    rung: int
    """Of the memory ladder."""
    phases: tuple[PhaseSummary, ...] = ()
    weights: dict[str, str] = {}
    """Names of what its network is loaded from, each with the file's sha256."""


class PlanSummary(BaseModel):
    """The whole of it."""

    model_config = ConfigDict(frozen=True)

    source: str
    """``picture 4032x3024``"""
    seed: int
    steps: tuple[StepSummary, ...]
    drawn: str
    """The generator's clip, for people."""
    shown: str
    """The encoder's clip, for people."""
    frames: int
    """Of the finished video."""
    fps: str
    """Exactly: ``24000/1001``."""
    width: int
    height: int
    suffix: str
    codec: str
    pixel_format: str = ""
    """As the file has it; empty in a ledger older than this."""
    temporary_bytes: int
    video_bytes: int
    """Estimated."""
    video_copies: int = 1
    """How often the video stands in tmp/ at once."""
    ram_bytes: int
    seconds: float
    """Estimated by the stages; history knows better once there is some."""
    device: str
    notes: tuple[str, ...]

    @property
    def megapixels(self) -> float:
        """Of all the frames of the video: what speeds are measured by."""
        return self.frames * self.width * self.height / 1e6

    @property
    def place(self) -> str:
        """Where the plan works, as breakers tell places apart: its stages."""
        return ", ".join(step.stage for step in self.steps)

    @property
    def video_kind(self) -> str:
        """What decides how good an estimate of the video's bytes is: who encodes it, how, and who draws it."""
        return f"{self.codec} by {self.steps[-1].stage} of {self.steps[0].stage}"
