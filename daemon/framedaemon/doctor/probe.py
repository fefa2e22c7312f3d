"""Checks that load plugins, torch or ffmpeg: each in a process of its own, with a limit to its time.

    Probe("torch", patient) ─▶ python -m framedaemon.doctor.probe torch … ─▶ one JSON document

A plugin that hangs, a driver that crashes whoever asks it: that costs one line, which says where it was, and the time
limit at most.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from framedaemon.doctor.patient import Patient, admit
from framedaemon.instance import Instance

LIMIT_SECONDS = 60.0
"""For a machine that is busy: torch alone takes some seconds to load."""
DEEP_SECONDS = 3600.0
"""Where all weights are read."""


class Probe:
    """A check that is at work in its own process from the start; the answer is waited for."""

    def __init__(self, what: str, patient: Patient, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_seconds = DEEP_SECONDS if patient.deep else limit_seconds
        self._end = time.monotonic() + self._limit_seconds
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`; a pipe might be full)
        handle = self._answer.fileno()
        root, last_words = str(patient.instance.root), str(self._end - 0.1 * self._limit_seconds)
        words = (what, root, str(handle), last_words, "deep" if patient.deep else "quick")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "framedaemon.doctor.probe", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(handle,),
            start_new_session=True,  # so that what it starts ends with it
        )

    def answer(self) -> Any:
        """What it found. Raises ProbeFailed where it broke, or took too long."""
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(max(0.0, self._end - time.monotonic()))
        said = self.close().decode("utf-8", "replace")
        if code is None:
            raise ProbeFailed(f"did not come to an end within {self._limit_seconds:.0f} s", _place(said))
        if code < 0:
            raise ProbeFailed(f"was ended by {signal.Signals(-code).name}", _place(said))
        if code or not said:
            raise ProbeFailed(f"ended with exit code {code}, and said nothing")
        answer = json.loads(said.splitlines()[-1])
        if "broke" in answer:
            raise ProbeFailed(f"broke: {answer['broke']}")
        return answer["found"]

    def close(self) -> bytes:
        """End it, with all that it started; returns what it said."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._answer.closed:
            return b""
        with self._answer:
            self._answer.seek(0)
            return self._answer.read()


class ProbeFailed(Exception):
    """A probe broke; the message says how."""

    def __init__(self, how: str, place: str = "") -> None:
        super().__init__(f"{how}, in {place}" if place else how)
        self.file = place.partition(", line ")[0]
        """The file that it was in, where that is known."""


def _place(said: str) -> str:
    """Where the process was, by the traceback that it left: its innermost file that is not Python's own."""
    found = re.findall(r'^  File "(.+)", line ([0-9]+) in ', said, re.MULTILINE)
    ours = (f"{file}, line {line}" for file, line in found if not file.startswith(("<", sys.base_prefix)))
    return next(ours, "")


def find_plugins(patient: Patient) -> dict[str, Any]:
    """The plugins, their stages and what those lack, what is wrong with recipes, and the weights."""
    from dataclasses import asdict
    from typing import get_args

    from framedaemon.catalogue import Catalogue
    from framedaemon.checking import recipe_problems
    from framedaemon.choosing import unready_stages
    from framedaemon.memory import this_machine
    from framedaemon.plugins import load_plugins
    from framedaemon.stages import StageKind

    settings = patient.settings
    registry = load_plugins(patient.instance.plugins, settings.plugins.disabled)
    try:
        machine = this_machine(settings.worker.device, settings.worker.threads, patient.models)
    except (ImportError, OSError, RuntimeError):  # torch is broken: the group gpu says how
        machine = this_machine("cpu", settings.worker.threads, patient.models)
    lacks = unready_stages(registry, machine)
    stages = [
        {
            "stage": f"{kind} {stage.name}",
            "preference": stage.preference,
            "lack": lacks.get(f"{kind} {stage.name}"),
            "spared": machine.device == "cpu" and bool(getattr(stage, "wants_accelerator", False)),
        }
        for kind in get_args(StageKind)
        for stage in registry.stages(kind)
    ]
    catalogue = Catalogue(registry, patient.models, settings.disk.keep_free_bytes)
    return {
        "plugins": [asdict(plugin) for plugin in registry.plugins.values()],
        "stages": stages,
        "recipes": recipe_problems(patient.instance, settings, registry),
        "weights": [*map(_weights(catalogue, patient.deep), catalogue.names())],
    }


def _weights(catalogue: Any, deep: bool) -> Callable[[str], dict[str, Any]]:
    states = {entry.name: entry for entry in catalogue.entries()}

    def look(name: str) -> dict[str, Any]:
        entry = states[name]
        fault = catalogue.fault(name, lambda done, total: None) if deep else None
        if entry.state == "damaged" and fault is None:
            fault = f"{name} is damaged: it is not as large as it was when it was stored"
        return {"name": name, "bytes": entry.bytes, "fault": fault, "mend": catalogue.how_to_get(name)}

    return look


def find_tried(patient: Patient) -> dict[str, dict[str, str | None]]:
    """What stages say that they have really tried here, by stage."""
    from typing import get_args

    from framedaemon.memory import this_machine
    from framedaemon.plugins import load_plugins
    from framedaemon.stages import StageKind

    registry = load_plugins(patient.instance.plugins, patient.settings.plugins.disabled)
    machine = this_machine("cpu", patient.settings.worker.threads, patient.models)
    stages = [stage for kind in get_args(StageKind) for stage in registry.stages(kind)]
    return {stage.name: dict(stage.tried(machine)) for stage in stages if hasattr(stage, "tried")}


def find_torch(patient: Patient) -> dict[str, Any]:
    """What torch says of itself and of the devices that it can use."""
    import torch

    built = {"cuda": torch.version.cuda, "hip": torch.version.hip}
    found: dict[str, Any] = {"version": torch.__version__, **built, "devices": [], "fault": ""}
    if not (built["cuda"] or built["hip"]):
        return found
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's own
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            found["devices"].append({"name": f"cuda:{index} {name}", "free": free, "total": total})
    except Exception as error:  # noqa: BLE001  (whatever a driver's fault becomes)
        found["fault"] = str(error).partition("\n")[0] or type(error).__name__
    return found


def find_nvml(patient: Patient) -> dict[str, Any]:
    """What NVIDIA's driver says of itself and its cards, without torch."""
    import pynvml

    pynvml.nvmlInit()
    cards = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        card = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(card)
        cards.append(
            {
                "name": str(pynvml.nvmlDeviceGetName(card)),
                "free": int(memory.free),
                "total": int(memory.total),
                "celsius": int(pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU)),
            }
        )
    return {"driver": str(pynvml.nvmlSystemGetDriverVersion()), "cards": cards}


_CHECKS: dict[str, Callable[[Patient], Any]] = {
    "plugins": find_plugins,
    "tried": find_tried,
    "torch": find_torch,
    "nvml": find_nvml,
}


def _main(what: str, root: str, handle: str, last_words: str, how: str) -> None:
    faulthandler.enable(int(handle))
    faulthandler.dump_traceback_later(max(0.1, float(last_words) - time.monotonic()), file=int(handle))
    try:
        found = {"found": _CHECKS[what](admit(Instance(Path(root)), time.time(), how == "deep"))}
    except (Exception, SystemExit) as error:  # noqa: BLE001  (said as a line of the doctor's)
        found = {"broke": f"{type(error).__name__}: {error}".partition("\n")[0]}
    with os.fdopen(int(handle), "wb") as answer:
        faulthandler.cancel_dump_traceback_later()
        faulthandler.disable()
        answer.write(b"\n" + json.dumps(found).encode("ascii"))


if __name__ == "__main__":
    _main(*sys.argv[1:])
    os._exit(0)  # threads that a plugin left behind are not waited for
