"""What every test starts from."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from framedaemon.catalogue import Catalogue
from framedaemon.errors import FramedaemonError
from framedaemon.plugins import load_plugins
from framedaemon.weights import fault_of, models_folder
from hub import Hub, serving, spoken_to

# As in a worker (see `executor`), for networks that run in this process: libraries read it when they are imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

# A shell starts what goes beside it deaf to Ctrl-C, as `make test` one half of these, and all that this starts in turn
# would be so, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadlines: a slow shared machine is no defect. CI draws the same examples every time.
settings.register_profile("framedaemon", deadline=None, derandomize=True)
settings.load_profile("framedaemon")


# Where the person who runs the tests keeps weights, before any test looks elsewhere.
_THEIR_MODELS = models_folder("", Path("/nonexistent"), os.environ)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that run daemons: others may run beside them, but no two of them beside each other.

    They kill, fill disks and use memory up, and a daemon tells by the kernel's count who was ended for want of memory.
    """
    for item in items:
        if _runs_daemons(item):
            item.add_marker(pytest.mark.daemons)


def _runs_daemons(item: pytest.Item) -> bool:
    folder = item.path.parent.name
    if folder in ("torture", "systemd", "cli"):
        return folder != "cli"  # commands start daemons, too, but end none for want of memory
    named = vars(item.getparent(pytest.Module).obj).values()  # type: ignore[union-attr]  # each test is in a module
    return any(getattr(thing, "__module__", "") == "living" for thing in named)


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A test never touches the instance of the person who runs it, and ``auto`` finds no weights of theirs."""
    monkeypatch.delenv("FRAMEDAEMON_INSTANCE", raising=False)
    monkeypatch.delenv("FRAMEDAEMON_OFFLINE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "no-cache"))


@pytest.fixture(scope="session")
def models_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Asked for weights as they are published, ``rife-4.25``, gives a folder that has them.

    That of the person who runs the tests, else one of the session's, into which they are fetched; skips the test, with
    the reason, where they cannot be.
    """
    ours = tmp_path_factory.mktemp("models")

    def models_with(name: str) -> Path:
        for folder in (_THEIR_MODELS, ours):
            if fault_of(folder, name) is None:
                return folder
        try:
            catalogue = Catalogue(load_plugins(None), ours, keep_free_bytes=0)
            catalogue.pull(catalogue.row(name), [].append, lambda done, total: None)
        except FramedaemonError as error:
            pytest.skip(str(error))
        return ours

    return models_with


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A model hub that huggingface_hub talks to, in this process and in those that it starts."""
    with serving() as served, spoken_to(served, monkeypatch):
        yield served


@pytest.fixture
def give_away() -> Callable[[Path], None]:
    """Makes a file or folder another user's, of one who has no name: 12345."""
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    return lambda path: os.chown(path, 12345, 12345)


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
