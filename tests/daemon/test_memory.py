from __future__ import annotations

import os
import sys
from itertools import count, takewhile
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakes import GIB, machine
from framedaemon.errors import OutOfMemory
from framedaemon.memory import (
    DefaultMemoryPolicy,
    available_ram,
    cgroup_room,
    oom_kills,
    this_machine,
    total_ram,
)
from framedaemon.stages import Estimate, Machine, Placement
from framedaemon.task import StageTask

ESTIMATE = Estimate(vram=5 * GIB, ram=GIB)
GPU, CPU = machine("cuda:0", vram=24 * GIB, cores=8), machine(cores=8)


def _task(frames: int) -> StageTask:
    return StageTask("interpolate", "film", 832, 1216, frames)


def _place(on: Machine, attempt: int, frames: int = 161) -> Placement:
    return DefaultMemoryPolicy().memory_policy(_task(frames), ESTIMATE, on, attempt)


def _ladder(on: Machine) -> list[Placement]:
    """Every rung, from the first to the one before OutOfMemory."""

    def fits(attempt: int) -> bool:
        try:
            _place(on, attempt)
        except OutOfMemory:
            return False
        return True

    return [_place(on, attempt) for attempt in takewhile(fits, count())]


@pytest.mark.parametrize(("frames", "every"), [(25, 10), (81, 10), (161, 3)])
def test_the_first_placement_on_an_accelerator_follows_the_table(frames: int, every: int) -> None:
    placement = _place(GPU, 0, frames)

    assert (placement.device, placement.clear_cache_every, placement.tile) == ("cuda:0", every, None)
    assert placement.reason == f"clear the cache every {every} frames"


@pytest.mark.parametrize("on", [GPU, CPU, machine("mps")])
def test_every_ladder_ends_in_out_of_memory_on_one_thread_of_the_cpu(on: Machine) -> None:
    ladder = _ladder(on)

    assert (ladder[-1].device, ladder[-1].threads) == ("cpu", 1)
    with pytest.raises(OutOfMemory):
        _place(on, len(ladder))
    with pytest.raises(OutOfMemory):
        _place(on, len(ladder) + 5)


@pytest.mark.parametrize("on", [GPU, CPU])
def test_no_rung_is_tried_twice_and_each_says_why(on: Machine) -> None:
    ladder = _ladder(on)

    assert len(set(ladder)) == len(ladder)
    assert all(rung.reason for rung in ladder)


def test_the_ladder_on_an_accelerator_gives_up_speed_first_and_the_device_last() -> None:
    ladder = _ladder(GPU)

    assert [rung.clear_cache_every for rung in ladder[:3]] == [3, 2, 1]
    assert [rung.tile for rung in ladder[2:5]] == [None, 512, 256]
    assert [rung.offload for rung in ladder[4:6]] == ["none", "group"]
    assert [rung.device for rung in ladder[5:7]] == ["cuda:0", "cpu"]


def test_a_machine_without_accelerator_clears_no_cache() -> None:
    assert {rung.clear_cache_every for rung in _ladder(CPU)} == {0}


def test_it_begins_with_the_first_placement_that_fits_the_free_memory_and_says_why() -> None:
    """5 GiB for whole frames of 832x1216; in tiles of 512 a quarter of that, beside what weights take."""
    small = machine("cuda:0", vram=3 * GIB, cores=8)

    placement = DefaultMemoryPolicy().memory_policy(_task(161), Estimate(vram=5 * GIB, weights=GIB), small, 0)

    assert (placement.device, placement.tile) == ("cuda:0", 512)
    assert placement.reason == "tiles of 512: whole frames would take about 5 GiB"


def test_on_a_cpu_tensors_are_counted_in_main_memory() -> None:
    placement = DefaultMemoryPolicy().memory_policy(
        _task(161), Estimate(vram=5 * GIB, ram=GIB), machine(ram=4 * GIB), 0
    )

    assert (placement.device, placement.tile) == ("cpu", 512)


def test_where_nothing_fits_the_smallest_placement_is_tried_all_the_same() -> None:
    tiny, needs = machine("cuda:0", vram=1000, ram=1000), Estimate(vram=5 * GIB, ram=GIB)

    placement = DefaultMemoryPolicy().memory_policy(_task(161), needs, tiny, 0)

    assert (placement.device, placement.threads, placement.tile) == ("cpu", 1, 256)
    with pytest.raises(OutOfMemory):
        DefaultMemoryPolicy().memory_policy(_task(161), needs, tiny, 1)


def test_small_frames_go_through_a_large_device_several_at_a_time_until_memory_runs_out() -> None:
    def batch(vram: int, attempt: int = 0) -> int:
        needs = Estimate(vram=GIB, weights=GIB // 2)
        return DefaultMemoryPolicy().memory_policy(_task(161), needs, machine("cuda:0", vram=vram), attempt).batch

    assert [batch(vram * GIB) for vram in (1, 2, 4, 80)] == [1, 1, 3, 8]
    assert batch(80 * GIB, attempt=1) == 1


def test_on_an_accelerator_networks_work_in_half_precision() -> None:
    policy, drawing = DefaultMemoryPolicy(), StageTask("generate", "wan", 832, 1216, 81)

    assert _place(GPU, 0).dtype == "float16"
    assert policy.memory_policy(drawing, ESTIMATE, GPU, 0).dtype == "bfloat16"
    assert {rung.dtype for rung in _ladder(GPU) if rung.device == "cpu"} == {"float32"}


def test_out_of_memory_says_what_was_wanted_and_what_to_do() -> None:
    with pytest.raises(
        OutOfMemory, match=r"memory 3 times, and no placement of film is smaller .* about 5 GiB for 832x1216"
    ):
        _place(CPU, 3)


# --- control groups


def _group(folder: Path, limit: str, used: int = 0, **facts: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text("".join(f"{key} {value}\n" for key, value in facts.items()))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """What /proc/self/cgroup says of a process in /system.slice/framedaemon.service."""
    (tmp_path / "self").write_text("0::/system.slice/framedaemon.service\n")
    return tmp_path / "self"


def test_a_groups_limit_less_what_it_uses_is_left(tmp_path: Path, own: Path) -> None:
    _group(tmp_path / "fs" / "system.slice" / "framedaemon.service", str(4 * GIB), GIB)

    assert cgroup_room(own, tmp_path / "fs") == 3 * GIB


def test_cached_files_do_not_count_as_used(tmp_path: Path, own: Path) -> None:
    """A daemon that has written videos for a week has filled its group with them; the kernel drops them when asked."""
    group = tmp_path / "fs" / "system.slice" / "framedaemon.service"
    _group(group, str(4 * GIB), 4 * GIB, anon=GIB, inactive_file=2 * GIB, active_file=GIB)

    assert cgroup_room(own, tmp_path / "fs") == 3 * GIB


def test_the_tightest_group_above_counts(tmp_path: Path, own: Path) -> None:
    _group(tmp_path / "fs" / "system.slice" / "framedaemon.service", "max")
    _group(tmp_path / "fs" / "system.slice", str(2 * GIB), GIB)
    _group(tmp_path / "fs", str(8 * GIB))

    assert cgroup_room(own, tmp_path / "fs") == GIB


def test_a_group_without_the_memory_controller_does_not_hide_the_limit_above(tmp_path: Path, own: Path) -> None:
    (tmp_path / "fs" / "system.slice" / "framedaemon.service").mkdir(parents=True)
    _group(tmp_path / "fs" / "system.slice", str(2 * GIB))

    assert cgroup_room(own, tmp_path / "fs") == 2 * GIB


def test_inside_a_container_the_root_is_the_group(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("9:name=systemd:/\n0::/\n")
    _group(tmp_path / "fs", str(GIB), GIB // 2)

    assert cgroup_room(tmp_path / "self", tmp_path / "fs") == GIB // 2


def test_a_group_over_its_limit_has_no_room(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("0::/\n")
    _group(tmp_path / "fs", str(GIB), 2 * GIB)

    assert cgroup_room(tmp_path / "self", tmp_path / "fs") == 0


def test_without_control_groups_there_is_no_limit(tmp_path: Path, own: Path) -> None:
    assert cgroup_room(own, tmp_path / "fs") > 2**60
    assert cgroup_room(tmp_path / "missing", tmp_path / "fs") > 2**60


# --- this machine


def test_this_machine_is_measured() -> None:
    here = this_machine("cpu", 0)

    assert (here.device, here.vram) == ("cpu", 0)
    assert here.cores == len(os.sched_getaffinity(0))
    assert 0 < here.ram < 2**60


def test_this_machine_is_the_same_however_much_memory_is_in_use() -> None:
    before = this_machine("cpu", 1)
    ballast = bytearray(200 * 2**20)
    after = this_machine("cpu", 1)

    assert len(ballast) and before.known_as == after.known_as
    assert f"{round(total_ram() / GIB)} GiB of memory" in before.known_as


def _torch(name: str, gigabytes: int, free: int, version: str = "2.5.1") -> SimpleNamespace:
    """What this module asks of torch, on a machine with such a device."""
    facts = SimpleNamespace(name=name, total_memory=gigabytes * GIB)
    cuda = SimpleNamespace(get_device_properties=lambda device: facts, mem_get_info=lambda device: (free, 0))
    return SimpleNamespace(cuda=cuda, device=str, __version__=version)


def test_a_machine_with_an_accelerator_is_another_with_another_device_memory_or_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes = [
        _torch("H100", 80, free=70 * GIB), _torch("H100", 80, free=GIB), _torch("H200", 80, free=GIB),
        _torch("H100", 40, free=GIB), _torch("H100", 80, free=GIB, version="2.6.0"),
    ]  # fmt: skip
    names = []
    for box in boxes:
        monkeypatch.setitem(sys.modules, "torch", box)
        names.append(this_machine("cuda:0", 1).known_as)

    assert names[0] == names[1]
    assert names[0].startswith("cuda:0 [H100, 80 GiB, driver ")
    assert len(set(names)) == 4


def test_the_memory_in_all_is_what_a_control_group_leaves_of_it(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _group(tmp_path / "fs" / "system.slice" / "framedaemon.service", str(GIB // 4), used=1000)
    monkeypatch.setattr("framedaemon.memory._OWN", own)
    monkeypatch.setattr("framedaemon.memory._MOUNT", tmp_path / "fs")

    assert total_ram() == GIB // 4


def test_threads_are_capped_but_never_beyond_what_there_is() -> None:
    assert this_machine("cpu", 1).cores == 1
    assert this_machine("cpu", 10_000).cores == len(os.sched_getaffinity(0))


def test_available_memory_is_no_more_than_the_machine_has() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    assert 0 < available_ram() <= total


def test_the_kernel_tells_how_many_processes_it_ended_for_want_of_memory(tmp_path: Path) -> None:
    vmstat, own, nowhere = tmp_path / "vmstat", tmp_path / "cgroup", tmp_path / "not_there"
    vmstat.write_text("nr_free_pages 4\noom_kill 17\nswap_ra 0\n")
    own.write_text("0::/system.slice/framedaemon.service\n")
    group = tmp_path / "system.slice" / "framedaemon.service"
    group.mkdir(parents=True)
    (group / "memory.events").write_text("max 4\noom 2\noom_kill 2\n")

    assert oom_kills(own, tmp_path, vmstat) == 2
    assert oom_kills(nowhere, tmp_path, vmstat) == 17
    assert oom_kills(nowhere, tmp_path, nowhere) == 0
