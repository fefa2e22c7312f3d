from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes import GIB, machine
from framedaemon.errors import OutOfMemory
from framedaemon.ladder import cache_passes, clear_cache_every, fitting_rungs
from framedaemon.memory import DefaultMemoryPolicy
from framedaemon.stages import Estimate, Machine, Phase, Placement
from framedaemon.task import StageTask

TASK = StageTask("generate", "painter", 832, 1216, 81)
EXPERT = Phase("expert", weights=27 * GIB, streams=26 * GIB, layer=GIB // 8, work=4 * GIB)
DECODE = Phase("decode", weights=GIB // 2, work=24 * GIB, tiled=True, spill=3 * GIB)
NEEDS = Estimate(ram=GIB, phases=(EXPERT, DECODE))


def _card(vram: int, ram: int = 128) -> Machine:
    return machine("cuda:0", ram=ram * GIB, vram=vram * GIB, cores=8)


def _rung(placement: Placement) -> tuple[Any, ...]:
    return placement.device, placement.storage, placement.offload, placement.tile


def _ladder(vram: int, ram: int = 128, needs: Estimate = NEEDS) -> list[tuple[Any, ...]]:
    return [_rung(placement) for placement in fitting_rungs(TASK, needs, _card(vram, ram))]


@pytest.mark.parametrize(
    ("frames", "every", "passes"),
    [(25, 10, 3), (81, 10, 9), (99, 10, 10), (100, 3, 34), (161, 3, 54), (16_100, 3, 5367), (1, 10, 1)],
)
def test_the_cache_is_cleared_as_the_table_says(frames: int, every: int, passes: int) -> None:
    assert clear_cache_every(frames) == every
    assert cache_passes(frames) == passes


def test_where_all_fits_tiles_give_way_before_weights_and_the_device_last() -> None:
    assert _ladder(80) == [
        ("cuda:0", "same", "none", None),
        ("cuda:0", "same", "none", 512),
        ("cuda:0", "same", "none", 256),
        ("cuda:0", "float8", "none", 256),
        ("cuda:0", "same", "group", 256),
        ("cuda:0", "float8", "group", 256),
        ("cpu", "same", "none", 256),
    ]


@pytest.mark.parametrize(
    ("vram", "first"),
    [
        (32, ("same", "none", None)),
        (30, ("float8", "none", None)),
        (18, ("same", "group", 512)),
        (8, ("same", "group", 512)),
        (6, ("same", "group", 256)),
    ],
)
def test_weights_and_tiles_give_way_each_for_the_phase_that_is_too_large(
    vram: int, first: tuple[str, str, int | None]
) -> None:
    """A card that keeps its weights in float8 still decodes whole frames where those fit."""
    assert _ladder(vram)[0][1:] == first


def test_group_offload_needs_the_main_memory_that_its_weights_wait_in() -> None:
    wide, narrow = _ladder(8, ram=27)[0], _ladder(8, ram=26)[0]

    assert (wide[1:3], narrow[1:3]) == (("same", "group"), ("float8", "group"))


@pytest.mark.parametrize("vram", [80, 24, 8, 6])
def test_every_rung_fits_by_the_estimate(vram: int) -> None:
    rungs = fitting_rungs(TASK, NEEDS, _card(vram, ram=40))

    placed = [NEEDS.placed(rung, TASK.width, TASK.height) for rung in rungs]

    assert all(needs.vram <= vram * GIB and needs.ram <= 40 * GIB for needs in placed)


def test_what_must_not_work_on_a_cpu_has_no_rung_there() -> None:
    ladder = _ladder(80, needs=replace(NEEDS, not_on_cpu="weeks"))

    assert {device for device, *_ in ladder} == {"cuda:0"}


def test_tiles_that_would_save_nothing_are_no_rungs() -> None:
    small = replace(TASK, width=400, height=300)

    tiles = [rung.tile for rung in fitting_rungs(small, NEEDS, _card(80))]
    without = [rung.tile for rung in fitting_rungs(TASK, Estimate(phases=(EXPERT,)), _card(80))]

    assert tiles[:3] == [None, 256, 256]
    assert set(without) == {None}


def test_on_a_cpu_weights_stay_and_tiles_give_way() -> None:
    rungs = fitting_rungs(TASK, NEEDS, machine(ram=128 * GIB))

    assert [_rung(rung) for rung in rungs] == [("cpu", "same", "none", side) for side in (None, 512, 256)]


# --- through the policy


def _place(attempt: int, on: Machine, needs: Estimate = NEEDS) -> Placement:
    return DefaultMemoryPolicy().memory_policy(TASK, needs, on, attempt)


def test_each_time_it_ran_out_of_memory_it_works_one_rung_lower_till_none_is_left() -> None:
    rungs = fitting_rungs(TASK, NEEDS, _card(24))

    placements = [_place(attempt, _card(24)) for attempt in range(len(rungs))]

    assert [_rung(placement) for placement in placements] == [_rung(rung) for rung in rungs]
    with pytest.raises(OutOfMemory, match=f"ran out of memory {len(rungs)} times, .* about 62 GiB for 832x1216"):
        _place(len(rungs), _card(24))


def test_the_placement_says_what_would_not_have_fitted() -> None:
    assert _place(0, _card(80)).reason == "weights on the device"
    assert _place(0, _card(28)).reason == "weights in float8: else expert 31 GiB of 28 GiB free"
    assert _place(0, _card(16)).reason == (
        "weights layer by layer from main memory, tiles of 512: else expert 31 GiB, decode 24.5 GiB of 16 GiB free"
    )


def test_where_nothing_fits_the_refusal_says_what_is_there_what_it_takes_and_what_to_do() -> None:
    with pytest.raises(OutOfMemory) as caught:
        _place(0, _card(8, ram=12), replace(NEEDS, not_on_cpu="weeks"))

    said = str(caught.value)
    assert said.startswith(
        "painter, 81 frames of 832x1216, fits nowhere here: cuda:0 has 8 GiB free, main memory 12 GiB"
    )
    assert "one of: 31 GiB on cuda:0 and 1 GiB of main memory (weights on the device, tiles of 256); 5.2 GiB on" in said
    assert "5.2 GiB on cuda:0 and 14 GiB of main memory (weights layer by layer from main memory, in float8" in said
    assert said.endswith("ask for fewer [generate] frames or a smaller width and height")
    assert "CPU" not in said


def test_a_cpu_that_is_too_small_is_said_so_too() -> None:
    with pytest.raises(OutOfMemory, match=r"here: main memory 8 GiB\. It needs one of: 62 GiB of main memory \(on the"):
        _place(0, machine())
