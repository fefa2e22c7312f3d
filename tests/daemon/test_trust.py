"""Who is to blame for a worker; with real workers that plugins bring down: `test_hostile_plugins`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framedaemon.trust import PATIENCE_SECONDS, Trust


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    (tmp_path / "deadly.py").write_text("")
    trust = Trust(tmp_path)
    trust.begin()
    return trust


def test_a_plugin_in_whose_code_the_worker_died_is_set_aside(trust: Trust) -> None:
    trust.entered("deadly", 0.0)

    assert trust.blame("the worker ended with exit code 3")
    assert trust.begin() == {
        "deadly": "set aside until its file changes or the daemon is started again: the worker ended with exit code 3"
    }


def test_a_worker_that_died_in_its_own_code_is_nobodys_fault(trust: Trust) -> None:
    trust.entered("deadly", 0.0)
    trust.entered("", 1.0)

    assert not trust.blame("the worker ended with exit code 3")
    assert trust.begin() == {}


def test_a_file_that_changed_is_trusted_anew(trust: Trust, tmp_path: Path) -> None:
    trust.entered("deadly", 0.0)
    trust.blame("it hung")
    assert not trust.outdated

    os.utime(tmp_path / "deadly.py", (1, 1))

    assert trust.outdated
    assert trust.begin() == {}
    assert not trust.outdated


def test_a_plugin_has_its_time(trust: Trust) -> None:
    assert trust.due is None

    trust.entered("deadly", 100.0)

    assert trust.due == 100.0 + PATIENCE_SECONDS
    assert [trust.hangs(now) for now in (100.0, trust.due)] == [False, True]


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "missing")

    trust.begin()

    assert not trust.outdated
