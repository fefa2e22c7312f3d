"""GPUs that torch, or nobody, can use: judged from what the kernel, the driver and torch would say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framedaemon.doctor.finding import Finding
from framedaemon.doctor.gpu import Hardware, examine_gpu, look_for_gpus

GIB = 2**30
NONE = Hardware(0, False, 0, False, ())
NVIDIA = Hardware(1, True, 0, False, ())
RADEON = Hardware(0, False, 1, True, ())
CPU_BUILD: dict[str, Any] = {"version": "2.9+cpu", "cuda": None, "hip": None, "devices": [], "fault": ""}
CUDA_BUILD = CPU_BUILD | {"version": "2.9", "cuda": "12.8"}
H100 = {"name": "cuda:0 H100", "free": 70 * GIB, "total": 80 * GIB}
DRIVER: dict[str, Any] = {"driver": "570", "cards": [{"name": "H100", "free": 1, "total": 2, "celsius": 40}]}


def bad(hardware: Hardware, torch: Any, nvml: Any = DRIVER, device: str = "auto") -> list[Finding]:
    return [one for one in examine_gpu(hardware, device, torch, nvml) if one.state != "ok"]


def test_a_machine_without_a_gpu_is_well_with_torch_or_without() -> None:
    assert bad(NONE, CPU_BUILD, None) == []
    assert bad(NONE, None, None) == []


def test_a_gpu_that_torch_uses_is_well() -> None:
    assert bad(NVIDIA, CUDA_BUILD | {"devices": [H100]}) == []


@pytest.mark.parametrize(
    ("hardware", "torch", "nvml", "state", "said", "mend"),
    [
        (NVIDIA, CPU_BUILD, DRIVER, "warning", "it stands idle", "install --force-reinstall torch"),
        (NVIDIA, CUDA_BUILD | {"fault": "driver too old"}, DRIVER, "error", "driver too old", "nvidia-smi"),
        (NVIDIA, None, DRIVER, "warning", "torch is not installed", "framedaemon[rife]"),
        (NVIDIA, "was ended by SIGSEGV", DRIVER, "error", "was ended by SIGSEGV", "--force-reinstall torch"),
        (NVIDIA, CUDA_BUILD | {"devices": [H100 | {"free": GIB}]}, DRIVER, "warning", "has the rest", "nvidia-smi"),
        (NVIDIA, CUDA_BUILD | {"devices": [H100]}, "timed out", "error", "does not answer", "nvidia-smi"),
        (NVIDIA, CUDA_BUILD | {"devices": [H100]}, None, "warning", "nvidia-ml-py", "framedaemon[nvidia]"),
        (RADEON, CPU_BUILD, None, "warning", "it stands idle", "builds for ROCm"),
        (RADEON, CUDA_BUILD, None, "warning", "the GPU is AMD's", "builds for ROCm"),
        (Hardware(1, False, 0, False, ()), CUDA_BUILD, None, "warning", "its driver is not loaded", "modprobe nvidia"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_said_with_what_mends_it(
    hardware: Hardware, torch: Any, nvml: Any, state: str, said: str, mend: str
) -> None:
    one = bad(hardware, torch, nvml)[0]

    assert (one.state, said in one.said, mend in one.mend) == (state, True, True), one


def test_a_device_that_is_asked_for_and_is_not_there_is_an_error() -> None:
    (one,) = bad(NONE, CPU_BUILD, None, "cuda:1")

    assert (one.name, one.state) == ("device", "error")


def test_a_hot_card_is_a_warning() -> None:
    hot = {"driver": "570", "cards": [DRIVER["cards"][0] | {"celsius": 95}]}

    (one,) = bad(NVIDIA, CUDA_BUILD | {"devices": [H100]}, hot)

    assert (one.name, one.said) == ("heat", "H100: 95 °C")


def test_cards_are_found_where_the_kernel_lists_them(tmp_path: Path) -> None:
    for number, (vendor, kind) in enumerate((("0x10de", "0x030000"), ("0x10de", "0x040300"), ("0x1002", "0x030200"))):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "vendor").write_text(f"{vendor}\n")
        (tmp_path / f"{number}" / "class").write_text(f"{kind}\n")

    assert look_for_gpus(tmp_path / "dev", tmp_path) == Hardware(1, False, 1, False, ())
