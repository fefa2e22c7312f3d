"""Observers of strangers, in a real process of theirs that they hang and kill."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from commands import wait_until
from framedaemon import bystanders
from framedaemon.bystanders import OUTPUT, Bystanders
from framedaemon.events import JobClaimed
from framedaemon.instance import Instance, create
from framedaemon.offspring import MARK, kill_marked
from framedaemon.plugins import new_registry
from framedaemon.settings import Settings
from handles import no_handle_left

WRITES = """
import os
from pathlib import Path
from framedaemon import hookimpl

@hookimpl
def happened(event):
    with Path("heard.txt").open("a") as file:
        print(event.job, *sorted(name for name in os.environ if name.startswith("SECRET")), file=file)
"""
HOOK = "from framedaemon import hookimpl\n\n@hookimpl\ndef happened(event):\n    "
HOOKED = "https://example.com/hook"
DEADLY = {
    "ends_at_import": "import os\nprint('my last words', flush=True)\nos._exit(3)\n",
    "ends": f"import os\n{HOOK}os._exit(4)\n",
    "hangs": f"import signal, time\n{HOOK}signal.pthread_sigmask(signal.SIG_BLOCK, [14]); time.sleep(600)\n",
    "hangs_up": f"import os, time\n{HOOK}os.closerange(3, 99); time.sleep(600)\n",
    "raises": f"{HOOK}raise KeyboardInterrupt\n",
}


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance(tmp_path)
    create(instance)
    return instance


def _tell(instance: Instance, count: int, settings: Settings) -> tuple[dict[str, str], float]:
    """Tell the instance's plugins ``count`` events; why each was muted that was, and how long the service waited."""
    registry = new_registry()
    listeners = Bystanders(instance, registry)
    registry.manager.register(listeners, "framedaemon.bystanders")
    began = time.monotonic()
    listeners.equip(settings)
    for number in range(count):
        registry.tell(JobClaimed(str(number), "a.png"))
    waited = time.monotonic() - began
    listeners.close(60.0)
    return {plugin.name: plugin.reason for plugin in registry.muted}, waited


def test_whoever_hangs_or_dies_is_told_no_more_and_the_others_hear_all_the_rest(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bystanders, "_PATIENCE", 2.5)
    for name, code in DEADLY.items():
        (instance.plugins / f"{name}.py").write_text(code)
    (instance.plugins / "writes.py").write_text(WRITES)

    muted, waited = _tell(instance, 9, Settings())

    heard = (instance.root / "heard.txt").read_text().split()
    assert heard[-5:] == ["4", "5", "6", "7", "8"]
    assert len(set(heard)) == len(heard), "nobody hears the same twice"
    assert waited < 0.5
    assert muted["ends_at_import"].startswith(
        "its process ended with exit code 3 while it was loaded; it said: my last"
    )
    assert muted["ends"].startswith("its process ended with exit code 4 in happened()")
    assert muted["hangs"].startswith("its process gave no sign of life for 2.5 s in happened()")
    assert muted["hangs_up"].startswith("its process closed its line to the service in happened()")
    assert muted["raises"].startswith("raised 3 times in a row from happened(): KeyboardInterrupt (raises.py, line 5)")


def test_no_process_stays_behind_and_secrets_do_not_come_along(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "s3cret")
    child = f"import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n{WRITES}"
    (instance.plugins / "leaves_a_child.py").write_text(child)
    settings = Settings.model_validate({"notify": {"webhook": [{"url": HOOKED, "secret_variable": "SECRET_OF_MINE"}]}})

    _tell(instance, 1, settings)

    marked = f"{MARK}={instance.root.resolve()} plugins".encode()
    assert (instance.root / "heard.txt").read_text() == "0\n"
    assert not any(marked in _environment(process) for process in Path("/proc").iterdir())


def test_a_process_that_is_lost_through_no_plugin_s_fault_is_replaced(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends it for memory, or there is no process left for one."""
    monkeypatch.setattr(bystanders, "_PAUSE_SECONDS", 0.0)
    (instance.plugins / "writes.py").write_text(WRITES)
    heard = instance.root / "heard.txt"
    listeners = Bystanders(instance, new_registry())

    with capture_logs() as log:
        with monkeypatch.context() as broken:
            broken.setattr("sys.executable", "/nowhere/python")
            listeners.equip(Settings())
            wait_until(lambda: bool(log), "a word on it")
        listeners.happened(JobClaimed("0", "a.png"))
        wait_until(heard.is_file, "the first event")
        wait_until(lambda: heard.read_text() == "0\n", "all of it")
        kill_marked(f"{instance.root.resolve()} plugins")
        listeners.happened(JobClaimed("1", "a.png"))
        listeners.happened(JobClaimed("2", "a.png"))
        listeners.close(60.0)

    assert heard.read_text() == "0\n2\n"
    assert [line["reason"] for line in log] == [
        "their process could not be started: No such file or directory",
        "their process was killed by SIGKILL",
    ]


def test_a_moment_without_file_handles_costs_observers_what_happens_in_it_alone(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bystanders, "_PAUSE_SECONDS", 0.0)
    (instance.plugins / "writes.py").write_text(WRITES)
    listeners = Bystanders(instance, new_registry())

    with capture_logs() as log:
        with no_handle_left():
            listeners.equip(Settings())
            wait_until(lambda: bool(log), "a word on it")
        listeners.happened(JobClaimed("1", "a.png"))
        listeners.close(60.0)

    assert (instance.root / "heard.txt").read_text() == "1\n"
    assert [line["event"] for line in log] == ["observers_lost"]
    assert "Too many open files" in log[0]["reason"]


def test_settings_are_not_among_what_is_forgotten_where_too_much_waits(instance: Instance) -> None:
    listeners = Bystanders(instance, new_registry())
    (instance.plugins / "writes.py").write_text(WRITES)
    asked = [Settings(), *(JobClaimed(str(number), "a.png") for number in range(1500))]

    for what in asked:
        listeners._put(what)  # type: ignore[arg-type]
    listeners.equip(Settings())
    listeners.close(60.0)

    assert (instance.root / "heard.txt").read_text().split()[-1] == "1499"


def test_without_observers_there_is_no_process(instance: Instance) -> None:
    (instance.plugins / "quiet.py").write_text("print('I was loaded')")

    muted, _ = _tell(instance, 3, Settings())

    assert muted == {}
    assert (instance.logs / OUTPUT).read_text() == "I was loaded\n"


def test_where_there_is_no_plugin_nothing_is_started(instance: Instance) -> None:
    _tell(instance, 3, Settings())

    assert not (instance.logs / OUTPUT).exists()


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
