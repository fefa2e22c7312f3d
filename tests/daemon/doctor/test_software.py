"""Packages that do not fit together, and those that settings ask for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framedaemon.doctor.patient import admit
from framedaemon.doctor.software import examine_software, misfits, two_opencvs
from framedaemon.instance import Instance


def test_two_opencvs_are_a_warning() -> None:
    (one,) = two_opencvs({"opencv-python", "opencv-python-headless", "numpy"})

    assert one.said == "opencv-python and opencv-python-headless overwrite each other's files"
    assert "uninstall -y opencv-python &&" in one.mend
    assert [*two_opencvs({"opencv-python-headless", "opencv"})] == []


def test_what_pip_says_of_framedaemon_is_an_error_and_of_others_a_warning() -> None:
    found = [*misfits(["framedaemon 0.1.0 requires av, which is not installed.", *["a 1 requires b."] * 5])]

    assert [one.state for one in found] == ["error", "warning", "warning", "warning", "warning"]
    assert found[-1].said == "2 more packages do not fit together"
    assert [one.state for one in misfits([])] == ["ok"]


def test_an_extra_that_the_settings_ask_for_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('[metrics]\nlisten = "127.0.0.1:9465"\n')
    monkeypatch.setattr("framedaemon.doctor.software.find_spec", lambda name: None)

    found = [*examine_software(admit(Instance(tmp_path), 0.0), None)]

    (one,) = (one for one in found if one.name == "extras")
    assert (one.state, one.mend.endswith("-m pip install 'framedaemon[metrics]'")) == ("error", True)


def test_a_pip_that_hangs_costs_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framedaemon.doctor.software._CHECK_SECONDS", 0.05)
    hanging = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.PIPE, text=True)

    last = [*examine_software(admit(Instance(tmp_path), 0.0), hanging)][-1]

    assert (last.state, last.said) == ("warning", "`pip check` did not come to an end")
    assert hanging.returncode is not None
