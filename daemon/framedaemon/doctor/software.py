"""Python, and the packages: those that do not fit together, those that the settings ask for, two OpenCVs."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from importlib.util import find_spec

from framedaemon.doctor.finding import Finding, pip_command
from framedaemon.doctor.patient import Patient
from framedaemon.identity import version_of

_OLDEST = (3, 10)
_CHECK_SECONDS = 30.0
_SHOWN = 3


def examine_software(patient: Patient, checked: subprocess.Popen[str] | None) -> Iterator[Finding]:
    """``checked``: a `pip check` that is at work, see `begin_check`."""
    yield _python(sys.version_info[:2])
    yield from two_opencvs({dist.name.lower() for dist in distributions() if dist.metadata["Name"]})
    yield from _asked_for(patient)
    if checked is None:
        yield Finding("python", "packages", "ok", "packages are not compared: pip is not installed here")
        return
    try:
        said, _ = checked.communicate(timeout=_CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        checked.kill()
        checked.communicate()
        yield Finding("python", "packages", "warning", "`pip check` did not come to an end", pip_command("check"))
        return
    yield from misfits(said.splitlines() if checked.returncode else [])


def begin_check() -> subprocess.Popen[str] | None:
    """Have pip compare the versions of all packages; None where there is no pip."""
    if find_spec("pip") is None:
        return None
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _python(version: tuple[int, ...]) -> Finding:
    said = f"Python {platform.python_version()} in {sys.prefix}, framedaemon {version_of('framedaemon')}"
    if version < _OLDEST:
        mend = "install Python 3.10 or newer, and framedaemon in a new virtual environment"
        return Finding("python", "python", "error", f"{said}: too old", mend)
    return Finding("python", "python", "ok", said)


def two_opencvs(installed: set[str]) -> Iterator[Finding]:
    """Several packages that all bring the module cv2: whichever was installed last is half there."""
    found = sorted(name for name in installed if name.startswith("opencv-") and "python" in name)
    if len(found) > 1:
        others = " ".join(name for name in found if name != "opencv-python-headless")
        again = pip_command("install --force-reinstall --no-deps opencv-python-headless")
        said = f"{' and '.join(found)} overwrite each other's files"
        yield Finding("python", "opencv", "warning", said, f"{pip_command(f'uninstall -y {others}')} && {again}")


def misfits(lines: list[str]) -> Iterator[Finding]:
    """What `pip check` said: ours keep jobs from running, others' may."""
    ours = [line for line in lines if line.startswith("framedaemon ")]
    others = [line for line in lines if line not in ours]
    for line in ours:
        yield Finding("python", "packages", "error", line, pip_command("install -U framedaemon"))
    for line in others[:_SHOWN]:
        yield Finding("python", "packages", "warning", line, pip_command(f"install -U {line.split(' ')[0]}"))
    if others[_SHOWN:]:
        said = f"{len(others) - _SHOWN} more packages do not fit together"
        yield Finding("python", "packages", "warning", said, pip_command("check"))
    if not lines:
        yield Finding("python", "packages", "ok", "the versions of all packages fit together")


def _asked_for(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    asked = (
        (bool(settings.metrics.listen), "[metrics] listen", "prometheus_client", "metrics"),
        (bool(settings.metrics.textfile), "[metrics] textfile", "prometheus_client", "metrics"),
        (bool(settings.notify.apprise), "[[notify.apprise]]", "apprise", "notify"),
    )
    for wanted, said, module, extra in asked:
        if wanted and find_spec(module) is None:
            said = f"config.toml {said} asks for {module}, which is not installed"
            yield Finding("python", "extras", "error", said, pip_command(f"install 'framedaemon[{extra}]'"))
