"""What every test starts from."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No deadlines: a slow shared machine is no defect. CI draws the same examples every time.
settings.register_profile("framedaemon", deadline=None, derandomize=True)
settings.load_profile("framedaemon")


@pytest.fixture(autouse=True)
def _no_instance_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test never touches the instance of the person who runs it."""
    monkeypatch.delenv("FRAMEDAEMON_INSTANCE", raising=False)
