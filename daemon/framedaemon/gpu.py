"""Whether others need the graphics card, or it is too hot: what NVIDIA's driver says of it, judged.

    NVML (extra ``nvidia``) ─ read ─▶ Card ─ Watch.judge ─▶ why no job is begun: others, heat

What once was too much must fall well below, or stay away for a while, before jobs are begun again: nothing flaps. Where
there is no driver, no nvidia-ml-py or no such card, nothing is watched.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

from framedaemon.offspring import marked
from framedaemon.settings import GpuSettings, show_bytes


@dataclass(frozen=True, slots=True)
class Card:
    """What the driver says of a card."""

    celsius: int
    busy_percent: int
    """By whomever."""
    others_bytes: int
    """Held by other processes than the worker and what came of it."""


class Unwatched(Exception):
    """Nothing can be learned of the card; the message says why."""


def read_card(device: str, uuid: str, mark: str, environ: Mapping[str, str] = os.environ) -> Card:
    """The card that torch calls ``device``. Raises Unwatched.

    uuid: as the worker knows it, empty where it has not said. mark: of our own processes, see `offspring`.
    """
    try:
        import pynvml
    except ImportError as error:
        raise Unwatched('nvidia-ml-py is not installed: pip install "framedaemon[nvidia]"') from error
    try:
        pynvml.nvmlInit()
        try:
            handle = _handle(pynvml, uuid or _named(device, environ))
            running = chain(
                pynvml.nvmlDeviceGetComputeRunningProcesses(handle),
                pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle),
            )
            held = {process.pid: process.usedGpuMemory or 0 for process in running}  # some are in both lists
            ours = marked(mark) if held else set()
            return Card(
                celsius=pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
                busy_percent=pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
                others_bytes=sum(size for pid, size in held.items() if pid not in ours),
            )
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise Unwatched(f"the driver says nothing of {device}: {error}") from error


class Patient:
    """Asks in a thread and waits a moment: a driver that hangs with its card does not hang who asks."""

    def __init__(self, read: Callable[[str, str], Card], seconds: float = 2.0) -> None:
        self._read = read
        self._seconds = seconds
        self._asking: threading.Thread | None = None

    def __call__(self, device: str, uuid: str) -> Card:
        """What ``read`` answers. Raises Unwatched as it does, or where it has not answered yet, this time or before."""
        answers: list[Card | Unwatched] = []

        def ask() -> None:
            try:
                answers.append(self._read(device, uuid))
            except Unwatched as unwatched:
                answers.append(unwatched)

        if self._asking is None or not self._asking.is_alive():
            asking = threading.Thread(target=ask, name="card", daemon=True)
            try:
                asking.start()
            except RuntimeError as error:
                raise Unwatched(f"nobody could be sent to ask about {device}: {error}") from error
            self._asking = asking
            asking.join(self._seconds)
        if not answers:
            raise Unwatched(f"the driver does not answer when it is asked about {device}")
        if isinstance(answers[0], Unwatched):
            raise answers[0]
        return answers[0]


def uuid_of(device: str) -> str:
    """What the driver calls the card that torch, where it is loaded, calls ``device``; empty where nobody knows."""
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return ""
    known = getattr(torch.cuda.get_device_properties(device), "uuid", None)  # from torch 2.4 on
    return "" if known is None else f"GPU-{known}"


def _named(device: str, environ: Mapping[str, str]) -> str | int:
    """What the driver calls torch's ``cuda:1``: its number, or the beginning of its uuid."""
    number = int(device.partition(":")[2] or 0)
    if "CUDA_VISIBLE_DEVICES" not in environ:
        return number
    visible = [entry.strip() for entry in environ["CUDA_VISIBLE_DEVICES"].split(",")]
    if number >= len(visible) or not visible[number]:
        raise Unwatched(f"CUDA_VISIBLE_DEVICES names no {device}")
    return int(visible[number]) if visible[number].isdecimal() else visible[number]


def _handle(pynvml: object, named: str | int) -> object:
    count: Callable[[], int] = pynvml.nvmlDeviceGetCount  # type: ignore[attr-defined]  # a module without types
    by_index: Callable[[int], object] = pynvml.nvmlDeviceGetHandleByIndex  # type: ignore[attr-defined]
    uuid: Callable[[object], str] = pynvml.nvmlDeviceGetUUID  # type: ignore[attr-defined]
    if isinstance(named, int):
        return by_index(named)
    for index in range(count()):
        if uuid(by_index(index)).startswith(named):
            return by_index(index)
    raise Unwatched(f"the driver knows no card {named}")


class Watch:
    """Judges one card from one look to the next."""

    def __init__(self) -> None:
        self._hot = False
        self._needed_at = -math.inf

    def judge(self, card: Card, settings: GpuSettings, now: float, busy: bool) -> dict[str, str]:
        """Why no job is to begin, for people, by cause: ``others``, ``heat``.

        busy: whether a job of ours is at work; how busy the card is then says nothing of others.
        """
        self._hot = bool(settings.hot_celsius) and card.celsius >= (
            settings.cool_celsius + 1 if self._hot else settings.hot_celsius
        )
        causes = {}
        if self._hot:
            causes["heat"] = f"the graphics card is too hot: {card.celsius} °C, waits for {settings.cool_celsius} °C"
        need = _need(card, settings, busy)
        if need:
            self._needed_at, causes["others"] = now, need
        elif now - self._needed_at < settings.quiet_seconds and not busy:
            causes["others"] = f"others needed the graphics card {now - self._needed_at:.0f} s ago"
        return causes


def _need(card: Card, settings: GpuSettings, busy: bool) -> str:
    if settings.others_bytes and card.others_bytes > settings.others_bytes:
        return f"others hold {show_bytes(card.others_bytes)} of the graphics card's memory"
    if settings.others_percent and not busy and card.busy_percent > settings.others_percent:
        return f"others keep the graphics card {card.busy_percent} % busy"
    return ""
