from __future__ import annotations

import os
import subprocess
import sys

import pytest

from framedaemon import Placement, StageFailed

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'framedaemon[rife]'")

from framedaemon.networks import device_for  # noqa: E402  (behind the skip)


def test_the_placement_says_where_in_which_format_and_with_how_many_threads() -> None:
    with device_for(Placement(dtype="bfloat16", threads=1)) as device:
        assert (device.torch_device, device.dtype) == (torch.device("cpu"), torch.bfloat16)
        assert device.on_cpu
        assert torch.get_num_threads() == 1


def test_what_belongs_to_the_whole_process_is_put_back() -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.is_inference_mode_enabled()

    with pytest.raises(ZeroDivisionError), device_for(Placement(threads=before[0] + 1)):
        raise ZeroDivisionError

    assert (torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.is_inference_mode_enabled()) == before


def test_a_network_in_a_worker_has_its_memory_mapped_once() -> None:
    """In a process with a worker's settings: each page of a tensor that is asked for anew would be a fault."""
    code = """
import resource, torch
from framedaemon import Placement
from framedaemon.networks import device_for

def faults(floats):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(floats)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with device_for(Placement()):
    faults(2 << 20)  # 8 MiB, 2048 pages
    print(faults(2 << 20))
print(faults(16 << 20))  # more than any hole that those may have left
"""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_ARENA_MAX": "2"}

    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    within, behind = map(int, said.stdout.split())
    assert within < 20 * 1000
    assert behind > 20 * 8000


def test_nothing_is_kept_for_a_backward_pass() -> None:
    with device_for(Placement()):
        grown = torch.ones(2, requires_grad=True) * 2

    assert not grown.requires_grad


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_torch_cannot_use_is_named() -> None:
    with pytest.raises(StageFailed, match=r"cannot use cuda:0: say auto or cpu"), device_for(Placement("cuda:0")):
        pass
