"""GPUs: what the kernel has, what the driver says, what torch can use, and how much memory is free."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framedaemon.doctor.finding import Finding, pip_command
from framedaemon.settings import show_bytes

_NVIDIA, _RADEON = "0x10de", "0x1002"
_HOT_CELSIUS = 87
_LITTLE_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the kernel shows of GPUs."""

    nvidia_cards: int
    """Built in, whether or not a driver is loaded."""
    nvidia_driver: bool
    """Whether its device files are there."""
    radeon_cards: int
    radeon_driver: bool
    shut: tuple[str, ...]
    """Device files that this user may not open."""


def look_for_gpus(devices: Path = Path("/dev"), pci: Path = Path("/sys/bus/pci/devices")) -> Hardware:
    """What there is. Cheap: nothing is opened."""
    cards = [(_read(card / "vendor"), _read(card / "class")) for card in (pci.iterdir() if pci.is_dir() else ())]
    drawing = [vendor for vendor, kind in cards if kind.startswith(("0x03", "0x12"))]
    files = [devices / "nvidiactl", devices / "nvidia0", devices / "kfd"]
    shut = tuple(str(file) for file in files if file.exists() and not os.access(file, os.R_OK | os.W_OK))
    return Hardware(drawing.count(_NVIDIA), files[0].exists(), drawing.count(_RADEON), files[2].exists(), shut)


def examine_gpu(
    hardware: Hardware, device: str, torch: dict[str, Any] | str | None, nvml: dict[str, Any] | str | None
) -> Iterator[Finding]:
    """``device``: what config.toml [worker] asks for. ``torch`` and ``nvml``: what the probes found, or how one broke.

    None: it is not installed.
    """
    there = hardware.nvidia_driver or hardware.radeon_driver
    yield from _built_in(hardware)
    if isinstance(torch, str):
        said = f"torch cannot be loaded: the process that tried {torch}"
        yield _finding("torch", "error", said, pip_command("install --force-reinstall torch"))
    elif torch is None:
        state = "warning" if there else "ok"
        yield _finding(
            "torch",
            state,
            "torch is not installed: networks cannot be used",
            pip_command("install 'framedaemon[rife]'"),
        )
    else:
        yield from _torch(torch, hardware)
    if hardware.nvidia_driver:
        yield from _driver(nvml)
    yield from _asked_for(device, torch if isinstance(torch, dict) else None)


def _built_in(hardware: Hardware) -> Iterator[Finding]:
    if hardware.nvidia_cards and not hardware.nvidia_driver:
        said = f"{hardware.nvidia_cards} NVIDIA GPU is built in, and its driver is not loaded"
        mend = "sudo modprobe nvidia  # where there is no driver yet, install it (Ubuntu: sudo ubuntu-drivers install)"
        yield _finding("driver", "warning", said, mend)
    if hardware.radeon_cards and not hardware.radeon_driver:
        said = f"{hardware.radeon_cards} AMD GPU is built in, and /dev/kfd is not there: torch cannot use it"
        yield _finding("driver", "ok", said, "sudo modprobe amdgpu  # where it is a card that ROCm knows")
    for file in hardware.shut:
        said = f"this user may not use {file}"
        yield _finding("rights", "error", said, "sudo usermod -aG video,render $USER  # and log in again")
    if not any((hardware.nvidia_cards, hardware.nvidia_driver, hardware.radeon_cards, hardware.radeon_driver)):
        yield _finding("hardware", "ok", "there is no GPU: the CPU does all the work")


def _torch(torch: dict[str, Any], hardware: Hardware) -> Iterator[Finding]:
    built = torch["cuda"] or torch["hip"]
    name = f"torch {torch['version']}"
    again = pip_command("install --force-reinstall torch")
    if hardware.radeon_driver:
        again += " --index-url …  # that of the builds for ROCm: pytorch.org names it"
    if not built and (hardware.nvidia_driver or hardware.radeon_driver):
        said = f"{name} is built for the CPU only, and there is a GPU: it stands idle"
        yield _finding("torch", "warning", said, again)
    elif hardware.radeon_driver and not torch["hip"] and not hardware.nvidia_driver:
        yield _finding("torch", "warning", f"{name} is built for NVIDIA, and the GPU is AMD's", again)
    elif (hardware.nvidia_driver or hardware.radeon_driver) and not torch["devices"]:
        why = torch["fault"] or "it finds no device"
        yield _finding(
            "torch",
            "error",
            f"{name} cannot use the GPU: {why}",
            "nvidia-smi  # says what the driver sees; after an update of the driver restart the machine",
        )
    elif not torch["devices"]:
        yield _finding("torch", "ok", f"{name}, on the CPU")
    for device in torch["devices"]:
        free, total = device["free"], device["total"]
        said = f"{device['name']}: {show_bytes(free)} of {show_bytes(total)} are free"
        if free < min(_LITTLE_BYTES, total // 2):
            yield _finding("memory", "warning", f"{said}: somebody else has the rest", "nvidia-smi  # shows who")
        else:
            yield _finding("memory", "ok", said)


def _driver(nvml: dict[str, Any] | str | None) -> Iterator[Finding]:
    if nvml is None:
        said = "nvidia-ml-py is not installed: other programs on the card, and its heat, are not seen"
        yield _finding("nvml", "warning", said, pip_command("install 'framedaemon[nvidia]'"))
    elif isinstance(nvml, str):
        said = f"NVIDIA's driver does not answer: the process that asked {nvml}"
        yield _finding(
            "driver", "error", said, "nvidia-smi  # says why; after an update of the driver restart the machine"
        )
    else:
        yield _finding("driver", "ok", f"NVIDIA's driver {nvml['driver']}")
        for card in nvml["cards"]:
            said = f"{card['name']}: {card['celsius']} °C"
            hot = card["celsius"] >= _HOT_CELSIUS
            yield _finding("heat", "warning" if hot else "ok", said, "see to its fans, and dust" if hot else "")


def _asked_for(device: str, torch: dict[str, Any] | None) -> Iterator[Finding]:
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        if torch is None or index >= len(torch["devices"]):
            said = f'config.toml [worker] device is "{device}", and torch has no such device'
            yield _finding("device", "error", said, 'config.toml [worker] device = "auto"')


def _finding(name: str, state: Any, said: str, mend: str = "") -> Finding:
    return Finding("gpu", name, state, said, mend)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
