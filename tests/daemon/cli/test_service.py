"""The commands against a systemctl that writes down what it was asked; a real one is asked in tests/systemd."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import Commands, Said
from framedaemon import manager
from framedaemon.instance import Instance
from living import make_instance

SYSTEMCTL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
*--version*) echo "systemd 254 (254.1)" ;;
*show*)
  if [ -e {folder}/runs ]; then echo ActiveState=active; echo SubState=running; echo MainPID=77; else
    echo ActiveState=inactive; echo SubState=dead; echo MainPID=0; fi
  echo StatusText=idle; echo UnitFileState=enabled; echo NRestarts=2; echo MemoryCurrent=1048576; echo ExecMainStatus=0
  echo Result=success; echo ActiveEnterTimestamp=Fri; echo NeedDaemonReload=no ;;
*start*) [ ! -e {folder}/broken ] || {{ echo "Job failed." >&2; exit 1; }} ; touch {folder}/runs ;;
*disable*) rm -f {folder}/runs ;;
esac
"""
JOURNALCTL = "#!/bin/sh\necho settings_refused why=nonsense\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with systemd, and root's rights, whose units lie in the folder ``units``; what was asked in ``log``."""
    folder = tmp_path / "machine"
    (folder / "units").mkdir(parents=True)
    for name, text in {"systemctl": SYSTEMCTL, "journalctl": JOURNALCTL}.items():
        (folder / name).write_text(text.format(log=folder / "log", folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(manager, "SYSTEM_UNITS", folder / "units")
    monkeypatch.setattr(manager, "RUNNING", folder)
    monkeypatch.setattr(manager, "_LINGERERS", folder / "lingerers")
    return folder


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """Of a user that is not root, whoever runs the tests."""
    made = make_instance(tmp_path / "videos")
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (made.root, *made.root.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return made


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    commands = Commands(monkeypatch, capfd)
    return lambda *words: commands("service", *words)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _asked(machine: Path) -> list[str]:
    return [
        line for line in (machine / "log").read_text().splitlines() if "show" not in line and "--version" not in line
    ]


@needs_root
def test_a_service_is_written_enabled_and_started_and_all_of_it_is_said(
    machine: Path, instance: Instance, service: Callable[..., Said]
) -> None:
    said = service("install", "--instance", instance.root)

    unit = (machine / "units" / "framedaemon.service").read_text()
    assert said.code == 0
    assert f'FRAMEDAEMON_INSTANCE={instance.root}"' in unit and "User=nobody" in unit and "RestartSteps=" in unit
    assert f'ExecStart="{sys.executable}"' in unit
    assert _asked(machine) == ["daemon-reload", "enable framedaemon.service", "start framedaemon.service"]
    assert "framedaemon.service is up and enabled: idle" in said.out
    assert "journalctl --unit framedaemon.service" in said.out


@needs_root
def test_a_second_install_changes_nothing_and_new_settings_restart_it(
    machine: Path, instance: Instance, service: Callable[..., Said]
) -> None:
    service("install", "--instance", instance.root)

    again = service("install", "--instance", instance.root)
    with instance.config.open("a") as config:
        config.write('[service]\nmemory_max_bytes = "4 GiB"\n')
    changed = service("install", "--instance", instance.root)

    assert "nothing to do" in again.out and "wrote" not in again.out
    assert "wrote" in changed.out and "restarting" in changed.out
    assert _asked(machine)[-1] == "restart framedaemon.service"
    assert "MemoryMax=4294967296" in (machine / "units" / "framedaemon.service").read_text()


@needs_root
def test_several_instances_share_a_template_that_goes_with_the_last(
    machine: Path, instance: Instance, service: Callable[..., Said]
) -> None:
    units = machine / "units"

    service("install", "--instance", instance.root, "--name", "cats")
    files = sorted(str(path.relative_to(units)) for path in units.rglob("*") if path.is_file())
    gone = service("uninstall", "--name", "cats")

    assert files == ["framedaemon@.service", "framedaemon@cats.service.d/instance.conf"]
    assert "enable framedaemon@cats.service" in _asked(machine)
    assert gone.code == 0 and list(units.iterdir()) == []
    assert instance.input.is_dir()


@needs_root
def test_a_unit_that_serves_another_instance_is_left_alone(
    machine: Path, instance: Instance, service: Callable[..., Said], tmp_path: Path
) -> None:
    service("install", "--instance", instance.root)

    other = service("install", "--instance", make_instance(tmp_path / "other").root)
    twice = service("install", "--instance", instance.root, "--name", "cats")

    assert other.code == twice.code == 1
    assert f"serves {instance.root}" in other.err and "--name" in other.err
    assert f"framedaemon.service serves {instance.root} already" in twice.err


@needs_root
def test_a_service_that_does_not_come_up_is_said_with_what_it_said_itself(
    machine: Path, instance: Instance, service: Callable[..., Said]
) -> None:
    (machine / "broken").touch()

    said = service("install", "--instance", instance.root)

    assert said.code == 1
    assert "Job failed." in said.err and "settings_refused why=nonsense" in said.err


@needs_root
def test_root_is_not_who_opens_pictures(machine: Path, service: Callable[..., Said], tmp_path: Path) -> None:
    roots = make_instance(tmp_path / "roots")

    said = service("install", "--instance", roots.root)
    named = service("install", "--instance", roots.root, "--run-as", "nobody")
    unknown = service("install", "--instance", roots.root, "--run-as", "no-such-user")

    assert said.code == named.code == unknown.code == 2
    assert "--run-as" in said.err and "chown -R" in said.err
    assert f"chown -R nobody {roots.root}" in named.err
    assert "no such user" in unknown.err


def test_printing_installs_nothing_and_needs_no_root(
    machine: Path, instance: Instance, service: Callable[..., Said]
) -> None:
    said = service("install", "--print", "--user", "--instance", instance.root)

    assert said.code == 0
    assert said.out.startswith("# Written by") and "WantedBy=default.target" in said.out
    assert list((machine / "units").iterdir()) == []


def test_a_service_of_ones_own_is_written_below_ones_own_settings(
    machine: Path, instance: Instance, service: Callable[..., Said], tmp_path: Path
) -> None:
    said = service("install", "--user", "--instance", instance.root)
    status = service("status", "--user")

    assert (tmp_path / "config" / "systemd" / "user" / "framedaemon.service").exists()
    assert "loginctl enable-linger" in said.out
    assert "--user enable framedaemon.service" in _asked(machine)
    assert status.code == 0


def test_status_is_for_people_and_for_scripts(machine: Path, instance: Instance, service: Callable[..., Said]) -> None:
    service("install", "--user", "--instance", instance.root)

    told, (facts,) = service("status", "--user"), service("status", "--user", "--json").json
    (machine / "runs").unlink()
    down = service("status", "--user", "--instance", instance.root)

    assert (
        "framedaemon.service --user: active (running)" in told.out and "1 MiB of memory, restarted 2 times" in told.out
    )
    assert (facts["unit"], facts["pid"], facts["memory_bytes"], facts["enabled"]) == (
        "framedaemon.service", 77, 2**20, True,
    )  # fmt: skip
    assert down.code == 1
    assert "it does not run" in down.out and "settings_refused" in down.out
    assert "idle" in told.out and "idle" not in down.out


def test_the_status_tells_of_ones_own_service_too_without_being_asked_for_it(
    machine: Path, instance: Instance, service: Callable[..., Said]
) -> None:
    service("install", "--user", "--instance", instance.root)

    told, (facts,) = service("status"), service("status", "--json").json

    assert told.code == 0
    assert told.out.startswith(f"framedaemon.service --user: active (running), {instance.root}")
    assert facts["user"] is True


def test_who_lingers_is_not_told_to(machine: Path, instance: Instance, service: Callable[..., Said]) -> None:
    (machine / "lingerers").mkdir()
    (machine / "lingerers" / pwd.getpwuid(os.geteuid()).pw_name).touch()

    said = service("install", "--user", "--instance", instance.root)

    assert "enable-linger" not in said.out


def test_status_and_uninstall_say_where_there_is_no_service(
    machine: Path, instance: Instance, service: Callable[..., Said]
) -> None:
    status = service("status", "--user")
    uninstall = service("uninstall", "--user", "--instance", instance.root)

    assert status.code == uninstall.code == 1
    assert "framedaemon service install --user" in status.err
    assert f"serves {instance.root}; there: none" in uninstall.err


def test_without_systemd_it_is_said_what_to_do_instead(
    machine: Path, instance: Instance, service: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "RUNNING", machine / "nothing")

    said = service("install", "--user", "--instance", instance.root)

    assert said.code == 1
    assert "systemd is not in charge here" in said.err and "framedaemon run" in said.err


def test_without_root_it_is_said_how_to_become_it(
    machine: Path, instance: Instance, service: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager.os, "geteuid", lambda: 1000)

    said = service("install", "--instance", instance.root)

    assert said.code == 1
    assert f"sudo {Path(sys.executable).parent / 'framedaemon'} service install" in said.err and "--user" in said.err


def test_a_name_and_a_folder_that_do_not_belong_together_touch_nothing(
    machine: Path, instance: Instance, service: Callable[..., Said], tmp_path: Path
) -> None:
    service("install", "--user", "--instance", instance.root, "--name", "cats")
    other = make_instance(tmp_path / "other").root

    gone = service("uninstall", "--user", "--name", "cats", "--instance", other)
    status = service("status", "--user", "--name", "cats", "--instance", other)

    assert gone.code == status.code == 1
    assert f"framedaemon@cats.service serves {instance.root}, not {other}" in gone.err
    assert "no such service" in status.err
    assert (machine / "runs").exists()


def test_a_moved_instance_is_told_how_its_service_follows(
    machine: Path, instance: Instance, service: Callable[..., Said], tmp_path: Path
) -> None:
    service("install", "--user", "--instance", instance.root)
    moved = instance.root.rename(tmp_path / "moved")

    refused = service("install", "--user", "--instance", moved)
    gone = service("uninstall", "--user", "--instance", instance.root)
    again = service("install", "--user", "--instance", moved)

    assert f"`framedaemon service uninstall --user --instance {instance.root}` first" in refused.err
    assert f"{instance.root} is not there any more" in gone.out
    assert (gone.code, again.code) == (0, 0)


@needs_root
def test_what_gives_the_folder_to_a_user_names_it_as_a_shell_takes_it(
    machine: Path, service: Callable[..., Said], tmp_path: Path
) -> None:
    roots = make_instance(tmp_path / "my videos")

    said = service("install", "--instance", roots.root, "--run-as", "nobody")

    assert f"`chown -R nobody '{roots.root}'` gives it" in said.err
