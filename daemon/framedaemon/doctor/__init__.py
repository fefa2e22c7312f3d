"""What keeps an instance from its work, found without changing anything: `framedaemon doctor`.

    Patient ─▶ one group after the other ─▶ Finding: ok, warning or error, what was found, the command that mends it
         └─▶ probes: plugins, torch, the driver and ffmpeg, each in a process of its own, at work meanwhile

Nothing here may break: a check that raises is a finding of its own. This process loads no plugin and no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from typing import Any

from framedaemon.doctor.finding import Finding
from framedaemon.doctor.folders import examine_folders
from framedaemon.doctor.gpu import examine_gpu, look_for_gpus
from framedaemon.doctor.machine import examine_clock, examine_limits
from framedaemon.doctor.patient import Patient
from framedaemon.doctor.probe import Probe, ProbeFailed
from framedaemon.doctor.records import damaged, examine_jobs, examine_ledger
from framedaemon.doctor.running import examine_running
from framedaemon.doctor.software import begin_check, examine_software
from framedaemon.doctor.stages import (
    examine_plugins,
    examine_settings,
    examine_tried,
    examine_weights,
    plugins_unloadable,
)
from framedaemon.errors import FramedaemonError
from framedaemon.ledger import Ledger
from framedaemon.trouble import said_plainly

__all__ = ["Finding", "examine"]


def examine(patient: Patient) -> Iterator[Finding]:
    """All that is found, group by group."""
    checked = begin_check()
    wanted = ["plugins", "tried", *(name for name, module in _MODULES.items() if find_spec(module) is not None)]
    probes = {name: Probe(name, patient) for name in wanted}
    try:
        yield from _examine(patient, checked, probes)
    finally:
        for probe in probes.values():
            probe.close()


# What each of these probes loads.
_MODULES = {"torch": "torch", "nvml": "pynvml"}


def _examine(patient: Patient, checked: Any, probes: dict[str, Probe]) -> Iterator[Finding]:
    ledger = _Records(patient)
    yield from _guarded("python", lambda: examine_software(patient, checked))
    yield from _guarded("folders", lambda: examine_folders(patient))
    yield from _guarded("machine", lambda: examine_limits(patient))
    yield from _guarded("ledger", ledger.examine)
    yield from _guarded("clock", lambda: ledger.with_ledger(lambda open_: examine_clock(patient, open_)))
    yield from _guarded("daemon", lambda: examine_running(patient))
    plugins = _answer(probes, "plugins")
    found = plugins if isinstance(plugins, dict) else None
    yield from _guarded("settings", lambda: examine_settings(patient, found))
    if found is None:
        yield plugins_unloadable(patient, plugins)
    else:
        yield from _guarded("plugins", lambda: examine_plugins(found))
        yield from _guarded("weights", lambda: examine_weights(patient, found))
    torch, nvml = (_text_of(_answer(probes, name)) for name in ("torch", "nvml"))
    device = patient.settings.worker.device
    yield from _guarded("gpu", lambda: examine_gpu(look_for_gpus(), device, torch, nvml))
    tried = _answer(probes, "tried")
    if isinstance(tried, dict):
        yield from _guarded("encoders", lambda: examine_tried(tried))
    else:
        mend = "mend the plugins first" if found is None else "framedaemon plugins says what ffmpeg lacks"
        yield Finding("encoders", "encoders", "error", f"the process that tries the encoders {tried}", mend)
    yield from _guarded("jobs", lambda: ledger.with_ledger(ledger.jobs))


def _answer(probes: dict[str, Probe], name: str) -> Any:
    """What a probe found; where it broke the error as it was said, None where there is none."""
    if name not in probes:
        return None
    try:
        return probes[name].answer()
    except ProbeFailed as error:
        return error


def _text_of(answer: Any) -> Any:
    return str(answer) if isinstance(answer, ProbeFailed) else answer


def _guarded(group: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; one that raises is itself a finding, as nothing else may be lost by it."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001  (whatever a machine that is broken brings forth)
        said = f"this could not be looked at: {type(error).__name__}: {error}".partition("\n")[0]
        yield Finding(group, "check", "error", said, "please report it, with what framedaemon doctor --json says")


class _Records:
    """The ledger, for the checks that read it; where it is broken that is said once."""

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._usable = patient.instance.ledger.exists()

    def examine(self) -> Iterator[Finding]:
        try:
            with said_plainly(self._patient.instance.ledger):
                yield from examine_ledger(self._patient)
        except FramedaemonError as error:
            self._usable = False
            yield damaged(self._patient, str(error))

    def with_ledger(self, check: Callable[[Ledger | None], Iterator[Finding]]) -> Iterator[Finding]:
        """The findings of a check that is given the ledger, or None where there is none to read."""
        if not self._usable:
            yield from check(None)
            return
        with closing(Ledger(self._patient.instance.ledger, read_only=True)) as ledger:
            yield from check(ledger)

    def jobs(self, ledger: Ledger | None) -> Iterator[Finding]:
        if ledger is not None:
            yield from examine_jobs(self._patient, ledger)
