"""The placements that the memory policy we ship tries, one below the other: each takes less memory than the one before.

The rule this project was born from clears the accelerator's cache more often the longer the clip:

    source frames    clear every                          passes
    fewer than 100   10 frames                            25 → 3, 81 → 9
    100 and more     max(3, 30 // (frames // 10)) = 3     161 → 54

A stage of one piece goes on from there: clear every 2, every 1, smaller tiles, models off the device, the CPU. A stage
of phases has two things that give way apart from each other, since they never stand on the device at the same time:

    tiles      whole frames → 512 → 256          what pictures go through: encoding, decoding
    weights    on the device → in float8 → layer by layer → layer by layer in float8 → the CPU

It begins with the first weights and the largest tiles that fit by its estimate. Below that tiles give way first, then
weights, and what by the estimate would not fit is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from framedaemon.stages import Estimate, Machine, Placement
from framedaemon.task import StageTask

_MOST_TOGETHER = 8  # gaps; the weaver ends a stream that lets more than 16 wait

_TILES = (512, 256)  # pixels on a side

_WEIGHTS: tuple[tuple[Literal["same", "float8"], Literal["none", "group"], str], ...] = (
    ("same", "none", "weights on the device"),
    ("float8", "none", "weights in float8"),
    ("same", "group", "weights layer by layer from main memory"),
    ("float8", "group", "weights layer by layer from main memory, in float8"),
)


def clear_cache_every(frames: int) -> int:
    """Source frames between two clearings of the accelerator's cache."""
    if frames < 100:
        return 10
    return max(3, 30 // (frames // 10))


def cache_passes(frames: int) -> int:
    """How often the cache is cleared in a clip of ``frames`` source frames."""
    return -(-frames // clear_cache_every(frames))


def fits(stage: StageTask, estimate: Estimate, machine: Machine, placement: Placement) -> bool:
    """Whether by its estimate the stage finds the memory for that; a machine that does not say has enough."""
    needs = estimate.placed(placement, stage.width, stage.height)
    return (needs.vram <= machine.vram or not machine.vram) and (needs.ram <= machine.ram or not machine.ram)


def rungs(stage: StageTask, estimate: Estimate, machine: Machine) -> list[Placement]:
    """What a stage of one piece may be placed as, the fastest first, whether it fits or not."""
    return _cpu_rungs(machine) if machine.device == "cpu" else _device_rungs(stage, estimate, machine)


def fitting_rungs(stage: StageTask, estimate: Estimate, machine: Machine) -> list[Placement]:
    """What a stage of phases may be placed as here, the fastest first; none where nothing fits."""
    grid = phase_grid(stage, estimate, machine)
    for row, placements in enumerate(grid):
        for column, placement in enumerate(placements):
            if fits(stage, estimate, machine, placement):
                below = [*placements[column + 1 :], *(smaller[-1] for smaller in grid[row + 1 :])]
                return [placement, *(rung for rung in below if fits(stage, estimate, machine, rung))]
    return []


def phase_grid(stage: StageTask, estimate: Estimate, machine: Machine) -> list[list[Placement]]:
    """A row for each way to keep weights, the fastest first; along it smaller and smaller tiles, where they save."""
    cut = any(phase.tiled for phase in estimate.phases)
    tiles = [None, *(side for side in _TILES if cut and Placement(tile=side).share(stage.width, stage.height) < 1)]
    on = Placement(machine.device, dtype="bfloat16", clear_cache_every=1, threads=machine.cores)
    grid = [
        [replace(on, storage=storage, offload=offload, tile=tile, reason=_said(kept, tile)) for tile in tiles]
        for storage, offload, kept in _WEIGHTS
    ]
    grid[0][0] = replace(grid[0][0], clear_cache_every=clear_cache_every(stage.frames))
    on_cpu = [
        Placement(threads=machine.cores, tile=tile, reason=_said("on the CPU, in float32", tile)) for tile in tiles
    ]
    if machine.device == "cpu":
        return [on_cpu]
    return grid if estimate.not_on_cpu else [*grid, on_cpu]


def _said(kept: str, tile: int | None) -> str:
    return kept if tile is None else f"{kept}, tiles of {tile}"


def _device_rungs(stage: StageTask, estimate: Estimate, machine: Machine) -> list[Placement]:
    every = clear_cache_every(stage.frames)
    # What is drawn from nothing needs the range of bfloat16; what is drawn between two frames the precision of float16.
    on = Placement(
        machine.device,
        dtype="bfloat16" if stage.kind == "generate" else "float16",
        clear_cache_every=1,
        threads=machine.cores,
    )
    steps = [
        replace(
            on,
            batch=_batch(stage, estimate, machine),
            clear_cache_every=every,
            reason=f"clear the cache every {every} frames",
        ),
        replace(on, clear_cache_every=2, reason="clear the cache every 2 frames"),
        replace(on, reason="clear the cache after every frame"),
        replace(on, tile=512, reason="tiles of 512"),
        replace(on, tile=256, reason="tiles of 256"),
        replace(on, offload="group", tile=256, reason="models off the device"),
    ]
    return [*steps, Placement(threads=machine.cores, tile=512, reason="on the CPU"), *_cpu_rungs(machine)[1:]]


def _batch(stage: StageTask, estimate: Estimate, machine: Machine) -> int:
    """How many gaps go through together: as many as half of the free memory holds, so that small frames fill a GPU."""
    a_gap = estimate.vram - estimate.weights
    if stage.kind != "interpolate" or a_gap <= 0:
        return 1
    return max(1, min(_MOST_TOGETHER, (machine.vram // 2 - estimate.weights) // a_gap))


def _cpu_rungs(machine: Machine) -> list[Placement]:
    return [
        Placement(threads=machine.cores, reason="on the CPU"),
        Placement(threads=1, tile=512, reason="on the CPU, one thread, tiles of 512"),
        Placement(threads=1, tile=256, reason="on the CPU, one thread, tiles of 256"),
    ]
