"""Folders that were broken on purpose: rights, room, file systems."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import drop_capabilities
from framedaemon.doctor.finding import Finding
from framedaemon.doctor.folders import Place, examine_folders, judge_places, look_at
from framedaemon.doctor.patient import admit
from framedaemon.instance import Instance
from framedaemon.settings import Settings
from living import make_instance

GIB = 2**30
HEALTHY = Place("input", Path("/i/input"), "ext4", 1, 100 * GIB, 10**6, False)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path, "")


def judged(**changed: object) -> list[Finding]:
    """What is said of one folder that differs from a healthy one."""
    values = {name: getattr(HEALTHY, name) for name in Place.__slots__} | changed
    return [one for one in judge_places([Place(**values)], Settings()) if one.state != "ok"]


def bad(instance: Instance) -> list[Finding]:
    return [one for one in examine_folders(admit(instance, time.time())) if one.state != "ok" and one.name != "memory"]


def test_a_healthy_instance_is_well(instance: Instance) -> None:
    assert bad(instance) == []


def test_a_folder_that_is_not_there_is_an_error_with_the_command_that_makes_it(instance: Instance) -> None:
    (instance.output / "logs").rmdir()
    instance.output.rmdir()

    (one,) = bad(instance)

    assert (one.state, one.said) == ("error", f"{instance.output}: is not there")
    assert one.mend == f"framedaemon init {instance.root}"


def test_a_folder_that_may_not_be_written_to_is_an_error(instance: Instance) -> None:
    instance.input.chmod(0o555)
    asking = (
        "import json, sys; from pathlib import Path; from framedaemon.doctor.folders import *\n"
        "from framedaemon.doctor.patient import admit\n"
        "found = examine_folders(admit(Instance(Path(sys.argv[1])), 0.0))\n"
        "print(json.dumps([(one.said, one.mend) for one in found if one.name == 'rights']))"
    )

    said = subprocess.run(
        [sys.executable, "-c", asking, instance.root], capture_output=True, preexec_fn=drop_capabilities, check=True
    )

    ((what, mend),) = json.loads(said.stdout)
    assert what == f"{instance.input}: cannot be written to"
    assert mend == f"sudo chown -R $USER {instance.input}; chmod u+rwx {instance.input}"


def test_a_disk_that_is_mounted_read_only_is_not_mended_by_rights(
    instance: Instance, mount: Callable[..., None]
) -> None:
    mount(instance.output, "-t", "tmpfs", "-o", "ro", "framedaemon-test")

    (one,) = (one for one in bad(instance) if one.name == "rights")

    assert (one.state, one.said) == ("error", f"{instance.output}: is mounted read-only")
    assert one.mend.startswith(f"findmnt -T {instance.output}; ")


def test_a_folder_that_everybody_may_write_to_is_an_error(instance: Instance) -> None:
    instance.tmp.chmod(0o777)

    (one,) = bad(instance)

    assert (one.name, one.state, one.mend) == ("rights", "error", f"chmod o-w {instance.tmp}")


def test_folders_on_two_file_systems_are_a_warning(instance: Instance, elsewhere: Path) -> None:
    (instance.output / "logs").rmdir()
    instance.output.rmdir()
    instance.output.symlink_to(elsewhere)

    (one,) = bad(instance)

    assert (one.name, one.state) == ("apart", "warning")
    assert "output/" in one.said
    assert "input/ and tmp/" in one.said


def test_a_disk_that_is_nearly_full_is_an_error(instance: Instance, mount: Callable[..., None]) -> None:
    mount(instance.tmp, "-t", "tmpfs", "-o", "size=8m", "framedaemon-test")

    rooms = [one for one in bad(instance) if one.name == "room"]

    assert [one.state for one in rooms] == ["error"]
    assert rooms[0].said == "8 MiB are free in tmp/, 2 GiB less than [disk] keep_free_bytes (2 GiB): jobs wait"
    assert "framedaemon prune --dry-run" in rooms[0].mend


@pytest.mark.parametrize(
    ("changed", "name", "state", "said"),
    [
        ({"free": 3 * GIB}, "room", "warning", "3 GiB are free in input/, and jobs wait below 2 GiB"),
        ({"inodes": 12}, "inodes", "warning", "only 12 more files"),
        ({"name": "tmp", "kind": "nfs4"}, "network", "warning", "a ledger is not safe on a network"),
        ({"name": "tmp", "kind": "tmpfs"}, "memory", "warning", "queue and history are lost"),
        ({"name": "output", "kind": "tmpfs"}, "memory", "warning", "the videos are lost"),
        ({"name": "output", "kind": "vfat"}, "limits", "warning", "no file above 4 GiB"),
    ],
)
def test_what_a_file_system_cannot_do_is_said(changed: dict[str, object], name: str, state: str, said: str) -> None:
    (one,) = judged(**changed)

    assert (one.name, one.state) == (name, state)
    assert said in one.said
    assert one.mend


def test_a_share_is_looked_through_and_that_is_no_fault_unless_events_are_waited_for() -> None:
    share = Place("input", Path("/i/input"), "cifs", 1, 100 * GIB, None, False)
    waiting = Settings.model_validate({"inbox": {"watch": "events"}})

    (well,) = (one for one in judge_places([share], Settings()) if one.name == "network")
    (deaf,) = (one for one in judge_places([share], waiting) if one.name == "network")

    assert (well.state, well.said) == (
        "ok",
        "input/ is on cifs, which sends no events: it is looked through every 30 s",
    )
    assert (deaf.state, deaf.mend) == ("warning", 'config.toml [inbox] watch = "auto"')


def test_room_is_asked_for_once_on_each_disk(instance: Instance) -> None:
    assert len({place.device for place in look_at(instance)}) == 1
    assert sum(one.name == "room" for one in examine_folders(admit(instance, 0.0))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_what_a_sudo_left_behind_is_told_with_the_command_that_gives_it_back(instance: Instance) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(instance.root, nobody, -1)
    for path in (instance.tmp, instance.jobs, instance.logs):
        os.chown(path, nobody, -1)
    instance.lock.touch()

    (one,) = bad(instance)

    assert one.said == f"{instance.lock}: belongs to root; a daemon of nobody cannot use it"
    assert one.mend == f"sudo chown -R nobody {instance.root}"


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("owner", ["nobody", "root"])
def test_nobody_is_told_to_take_the_folders_from_the_daemon_of_another(owner: str) -> None:
    """Pasted, a chown would end a service that is well."""
    asking = (
        "import fcntl, json, os, sys; from pathlib import Path; from framedaemon.doctor.folders import *\n"
        "from framedaemon.doctor.patient import admit\n"
        "from framedaemon.status import Status, write_status\n"
        "here = Instance(Path(sys.argv[1])); lock = here.lock.open('w'); here.lock.chmod(0o600)\n"
        "os.chown(here.lock, here.root.stat().st_uid, -1)\n"
        "write_status(here.status, Status(os.getpid(), 0.0, False, None))\n"
        "patient = admit(here, 0.0); list(examine_folders(patient)); os.setuid(12345)\n"
        "print(json.dumps([(one.state, one.said, one.mend) for one in examine_folders(patient)]))"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = make_instance(Path(folder, "videos"), "").root
        for path in (root, *root.rglob("*")):
            os.chown(path, pwd.getpwnam(owner).pw_uid, -1)
        said = subprocess.run([sys.executable, "-c", asking, root], capture_output=True, text=True, check=True)

    found = json.loads(said.stdout)
    assert [one for one in found if "chown" in one[2] or one[0] == "error"] == []
    ((what, mend),) = [(one[1], one[2]) for one in found if one[1].startswith("they belong to")]
    assert what.startswith(f"they belong to {owner}, and you are 12345")
    assert mend == f"sudo -u {owner} {sys.executable} -m framedaemon doctor --instance {root}"
