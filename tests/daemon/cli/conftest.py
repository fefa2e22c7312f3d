"""What every test of a command starts from."""

from __future__ import annotations

import pytest

from commands import Commands


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Commands:
    """Runs a command in this process and gives what it said."""
    return Commands(monkeypatch, capfd)
