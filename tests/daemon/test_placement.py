from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from fakes import GIB, machine
from framedaemon.placement import Estimate, Phase, Placement


def test_the_smallest_placement_is_the_default() -> None:
    placement = Placement()

    assert (placement.device, placement.threads, placement.batch, placement.clear_cache_every) == ("cpu", 1, 1, 0)


def test_an_estimate_comes_to_less_in_tiles_but_for_the_weights() -> None:
    estimate = Estimate(vram=1000, weights=200, ram=50, disk=7, seconds=1.0)

    placed = estimate.placed(Placement("cuda:0", tile=50), 100, 200)

    together = 32 * 100 * 200  # the frame that the tiles are put together to
    assert placed == Estimate(vram=300 + together, weights=200, ram=50, disk=7, seconds=1.0)


def test_an_estimate_comes_to_more_for_several_gaps_at_a_time() -> None:
    assert Estimate(vram=1000, weights=200).placed(Placement("cuda:0", batch=3), 100, 200).vram == 2600


def test_on_the_cpu_an_estimate_is_all_main_memory() -> None:
    placed = Estimate(vram=1000, weights=200, ram=50).placed(Placement(tile=1000), 100, 200)

    assert (placed.vram, placed.ram) == (0, 1050)


def test_the_seconds_of_an_estimate_are_those_of_the_device_it_works_on() -> None:
    both, one = Estimate(seconds=100.0, accelerated=2.0), Estimate(seconds=100.0)

    seconds = [
        estimate.placed(Placement(device), 100, 200).seconds for estimate in (both, one) for device in ("cpu", "cuda:0")
    ]

    assert seconds == [100.0, 2.0, 100.0, 100.0]


# --- phases

EXPERT = Phase("expert", weights=29_000, streams=28_000, layer=100, work=4000)
DECODE = Phase("decode", weights=500, work=20_000, tiled=True, spill=3000)
WAYS: tuple[tuple[Literal["none", "group"], Literal["same", "float8"]], ...] = (
    ("none", "same"),
    ("none", "float8"),
    ("group", "same"),
    ("group", "float8"),
)
PHASES = Estimate(ram=70, disk=7, seconds=100.0, accelerated=2.0, phases=(EXPERT, DECODE))


def _on_device(**how: Any) -> Estimate:
    """As placed for frames of 400x400."""
    return PHASES.placed(Placement("cuda:0", **how), 400, 400)


def test_one_phase_after_the_other_takes_what_the_largest_takes() -> None:
    placed = _on_device()

    assert (placed.vram, placed.weights, placed.ram, placed.seconds) == (33_000, 29_000, 70, 2.0)


def test_tiles_save_the_work_of_the_phases_that_have_them_and_cost_their_spill() -> None:
    placed = _on_device(tile=200)

    assert [phase.weights + phase.work for phase in placed.phases] == [33_000, 500 + 20_000 // 4]
    assert (placed.disk, _on_device().disk, _on_device(tile=400).disk) == (3007, 7, 7)


def test_float8_halves_what_streams_and_widens_a_layer_of_it_at_a_time() -> None:
    placed = _on_device(storage="float8", tile=100)

    assert placed.vram == 1000 + 14_000 + 100 + 4000
    assert placed.ram == 70 + 14_000


def test_with_group_offload_two_layers_are_on_the_device_and_the_rest_waits_in_main_memory() -> None:
    wide, narrow = _on_device(offload="group", tile=100), _on_device(offload="group", storage="float8", tile=100)

    assert [wide.vram, wide.ram] == [1000 + 2 * 100 + 4000, 70 + 28_000]
    assert [narrow.vram, narrow.ram] == [1000 + 2 * 100 + 4000, 70 + 14_000]


def test_weights_that_are_narrowed_as_they_are_read_stand_in_main_memory_first() -> None:
    original = replace(EXPERT, read=29_000)

    beside = [
        original.placed(Placement("cuda:0", offload=offload, storage=storage), 400, 400).streams
        for offload, storage in WAYS
    ]

    assert beside == [29_000] * 4


def test_what_float8_would_spoil_is_kept_in_16_bits() -> None:
    text = replace(EXPERT, narrows=False)

    placed = [text.placed(Placement("cuda:0", offload=offload, storage=storage), 400, 400) for offload, storage in WAYS]

    assert [phase.weights for phase in placed] == [29_000, 29_000, 1200, 1200]
    assert [phase.streams for phase in placed] == [0, 0, 28_000, 28_000]


def test_what_is_of_16_bits_on_a_device_takes_twice_as_much_on_a_cpu() -> None:
    placed = PHASES.placed(Placement(), 400, 400)

    assert (placed.vram, placed.ram, placed.seconds) == (0, 70 + 1000 + 2 * 28_000 + 2 * 4000, 100.0)


def test_what_is_of_32_bits_takes_as_much_on_a_cpu_as_on_a_device() -> None:
    assert DECODE.placed(Placement(), 400, 400).weights == 500
    assert DECODE.placed(Placement(), 400, 400).work == 20_000


def test_a_phase_whose_largest_layer_is_all_there_is_streams_no_more_than_it_has() -> None:
    whole = Phase("text", weights=1000, streams=1000, layer=900)

    assert whole.placed(Placement("cuda:0", offload="group"), 400, 400).weights == 1000


@pytest.mark.parametrize("share", [(None, 1.0), (512, 512 * 512 / (832 * 1216)), (1000, 832 * 1000 / (832 * 1216))])
def test_a_tile_is_a_share_of_the_frame_and_never_more(share: tuple[int | None, float]) -> None:
    assert Placement(tile=share[0]).share(832, 1216) == share[1]


def test_a_machine_is_known_by_its_device_and_what_it_has() -> None:
    assert machine("cuda:0", vram=GIB).known_as == "cuda:0"
