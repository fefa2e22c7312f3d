"""What a stage needs, what a machine has, and where the one goes on the other.

    Estimate (of one piece, or of phases)  +  Placement  ─▶  the Estimate as placed

A stage that does several things one after the other, each giving its memory back before the next begins, names them
as phases: its need is then that of the largest, and each gains from another kind of smaller placement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Machine:
    """What a job can count on."""

    device: str
    """``cpu``, ``cuda:0``, ``mps``."""
    vram: int
    """Bytes free on the device; 0 on a CPU."""
    ram: int
    """Bytes of main memory available."""
    cores: int
    """CPU cores that this process may use."""
    identity: str = ""
    """What it is and has in all, in use or not: another device, driver or amount of memory makes it another machine."""
    models: Path = Path("models")
    """The folder of the weights, for `find_weights`."""
    imagined: bool = False
    """It is planned for, and nothing will work on it: a stage that is named need not be ready, nor its weights here."""

    @property
    def known_as(self) -> str:
        """What placements that fitted are remembered by."""
        return f"{self.device} [{self.identity}]" if self.identity else self.device


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how small a stage works: the memory policy's answer."""

    device: str = "cpu"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    storage: Literal["same", "float8"] = "same"
    """How weights are kept that a phase narrows: as ``dtype``, or in float8_e4m3fn and widened to ``dtype`` layer by
    layer."""
    offload: Literal["none", "group"] = "none"
    """group: what `Phase.streams` waits in main memory and comes to the device layer by layer."""
    tile: int | None = None
    """Pixels on a side; None: whole frames."""
    batch: int = 1
    """Gaps, or frames, that go through a network at once."""
    clear_cache_every: int = 0
    """Source frames between two clearings of the accelerator's cache; 0: never."""
    spool: Literal["none", "memory", "png"] = "none"
    """Where a generator's frames wait when it cannot share the device with the interpolator: none, they stream."""
    threads: int = 1
    """CPU threads that the stage may use."""
    reason: str = ""
    """Why, in a few words for `explain` and the receipt."""
    models: Path = Path("models")
    """The folder of the weights, for `open_weights`: the machine's own, whatever a policy says."""

    def share(self, width: int, height: int) -> float:
        """How much of a frame of ``width`` x ``height`` it works on at once: 0..1."""
        return 1.0 if self.tile is None else min(self.tile, width) * min(self.tile, height) / (width * height)


@dataclass(frozen=True, slots=True)
class Phase:
    """One of the things that a stage does one after the other: what it takes before the next begins."""

    name: str
    """For people: ``text``, ``high noise``, ``decode``."""
    weights: int = 0
    """Bytes on the device while it works, whatever the tiles."""
    streams: int = 0
    """Those of ``weights``, of 16 bits a number, that can come to the device layer by layer. Where there are any,
    ``work`` is of 16 bits too, and on a CPU, in float32, both double."""
    narrows: bool = True
    """float8 halves what ``streams``."""
    layer: int = 0
    """Those of ``streams`` that belong to the largest layer."""
    read: int = 0
    """Bytes of main memory while its weights are read; 0: their files have them as a device takes them, and are mapped
    into memory that others can have."""
    work: int = 0
    """Bytes for tensors, with whole frames."""
    tiled: bool = False
    """Tiles save ``work``, by the share of the frame that they are."""
    spill: int = 0
    """Bytes in the job's workspace where it works in tiles."""

    @property
    def taken(self) -> int:
        """Bytes where it works, as it stands here."""
        return self.weights + self.work

    def placed(self, placement: Placement, width: int, height: int) -> Phase:
        """What it comes to where ``placement`` puts it: ``weights`` and ``work`` on the device, or on the CPU.

        ``streams`` is then what stands in main memory beside that, and ``layer`` is 0.
        """
        share = placement.share(width, height) if self.tiled else 1.0
        work, spill = int(self.work * share), self.spill if share < 1 else 0
        stays, float8 = self.weights - self.streams, self.narrows and placement.storage == "float8"
        kept = self.streams // 2 if float8 else self.streams
        if placement.device == "cpu":
            work, weights, beside = work * (2 if self.streams else 1), stays + 2 * self.streams, 0
        elif placement.offload == "group":  # a layer works while the next one comes
            weights, beside = stays + min(2 * self.layer, self.streams), kept
        elif float8:  # narrowed in main memory, then brought over; there a layer at a time is widened
            weights, beside = stays + kept + self.layer, kept
        else:
            weights, beside = self.weights, 0
        return Phase(self.name, weights, max(beside, self.read), work=work, tiled=self.tiled, spill=spill)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stage will need beyond what the process holds already. Never less than it really takes."""

    vram: int = 0
    """Bytes for weights and tensors: on the accelerator; where the stage works on the CPU, in main memory, beside
    ``ram``."""
    weights: int = 0
    """Those of ``vram`` that smaller tiles do not save."""
    ram: int = 0
    """Bytes of main memory, wherever it works."""
    disk: int = 0
    """Bytes in the job's workspace; an encoder counts its finished video here."""
    seconds: float = 0.0
    """Of work, on a CPU."""
    accelerated: float | None = None
    """Seconds of work on an accelerator; None: as many, wherever it works."""
    not_on_cpu: str = ""
    """Why it must not work on a CPU, and what to do: a job that would come to that is refused with these words."""
    phases: tuple[Phase, ...] = ()
    """Of a stage that does one thing after the other: ``vram`` and ``weights`` are then those of the largest, as
    placed, and left out here."""

    def placed(self, placement: Placement, width: int, height: int) -> Estimate:
        """What it comes to where ``placement`` puts it, for frames of ``width`` x ``height``."""
        if self.phases:
            return self._phases_placed(placement, width, height)
        share = placement.share(width, height)
        work = int((self.vram - self.weights) * share) * placement.batch
        if share < 1 and self.vram:  # a whole frame is put together in float32, with the tiles' weights and a copy
            work += 32 * width * height
        if placement.device == "cpu":
            return replace(self, vram=0, weights=0, ram=self.ram + self.weights + work)
        return replace(self, vram=self.weights + work, seconds=self._seconds_on_device)

    def _phases_placed(self, placement: Placement, width: int, height: int) -> Estimate:
        phases = tuple(phase.placed(placement, width, height) for phase in self.phases)
        disk = self.disk + sum(phase.spill for phase in phases)
        largest = max(phases, key=lambda phase: phase.taken)
        if placement.device == "cpu":
            return replace(self, vram=0, weights=0, ram=self.ram + largest.taken, disk=disk, phases=phases)
        ram = self.ram + max(phase.streams for phase in phases)
        seconds = self._seconds_on_device
        return replace(
            self, vram=largest.taken, weights=largest.weights, ram=ram, disk=disk, seconds=seconds, phases=phases
        )

    @property
    def _seconds_on_device(self) -> float:
        return self.seconds if self.accelerated is None else self.accelerated
