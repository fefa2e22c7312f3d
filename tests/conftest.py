"""What every test starts from."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# No deadlines: a slow shared machine is no defect. CI draws the same examples every time.
settings.register_profile("framedaemon", deadline=None, derandomize=True)
settings.load_profile("framedaemon")


@pytest.fixture(autouse=True)
def _no_instance_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test never touches the instance of the person who runs it."""
    monkeypatch.delenv("FRAMEDAEMON_INSTANCE", raising=False)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder in another filesystem than tmp_path."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second filesystem here")
    folder = Path(tempfile.mkdtemp(dir=shared))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """Mounts on a folder, with options as of mount(8); an empty filesystem in memory without. Unmounted in the end."""
    done = []

    def mount(folder: Path, *options: str | Path) -> None:
        command = ["mount", *(options or ("-t", "tmpfs", "framedaemon-test")), folder]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting needs root")
        done.append(folder)

    yield mount
    for folder in reversed(done):
        subprocess.run(["umount", "--lazy", folder], capture_output=True, check=False)  # a test may have done it
