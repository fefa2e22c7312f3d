from __future__ import annotations

import json
import os
import pwd
import sys
from pathlib import Path

import pytest

from framedaemon.errors import FramedaemonError
from framedaemon.manager import Manager, facts_of, mount_points, unit_name
from framedaemon.settings import Settings, read_settings
from framedaemon.unit import Facts
from living import make_instance

FACTS = Facts(root=Path("/srv/videos"), command=("/bin/true",), user=None)


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    return Manager(user=True, environ={"XDG_CONFIG_HOME": str(tmp_path)})


def test_what_is_written_is_found_and_removed_again(manager: Manager) -> None:
    written = manager.write(unit_name(None), FACTS) + manager.write(unit_name("cats"), FACTS)

    assert manager.units() == dict.fromkeys(["framedaemon.service", "framedaemon@cats.service"], FACTS.root)
    assert manager.write(unit_name(None), FACTS) == []  # as it is already
    assert {*manager.remove(unit_name("cats")), *manager.remove(unit_name(None))} == set(written)
    assert manager.units() == {} and not [path for path in written if path.exists()]


def test_a_template_stays_while_another_instance_needs_it(manager: Manager) -> None:
    manager.write(unit_name("cats"), FACTS)
    manager.write(unit_name("dogs"), FACTS)

    manager.remove(unit_name("cats"))

    assert list(manager.units()) == ["framedaemon@dogs.service"]
    assert (manager.folder / "framedaemon@.service").exists()


def test_a_unit_that_somebody_else_wrote_stays(manager: Manager) -> None:
    manager.folder.mkdir(parents=True)
    (manager.folder / "framedaemon.service").write_text("[Service]\nExecStart=/bin/true\n")

    with pytest.raises(FramedaemonError, match="not ours"):
        manager.write(unit_name(None), FACTS)


def test_what_an_operator_put_beside_a_drop_in_stays(manager: Manager) -> None:
    manager.write(unit_name("cats"), FACTS)
    override = manager.folder / "framedaemon@cats.service.d" / "override.conf"
    override.write_text("[Service]\nNice=5\n")

    manager.remove(unit_name("cats"))

    assert override.exists()


def test_python_and_all_that_it_imports_may_be_read(tmp_path: Path) -> None:
    facts = facts_of(make_instance(tmp_path), Settings(), None, 252)

    assert {Path(sys.prefix), Path(sys.base_prefix)} <= set(facts.reads)
    assert any(Path(json.__file__).is_relative_to(folder) for folder in facts.reads)
    assert any(Path(pytest.__file__).is_relative_to(folder) for folder in facts.reads)
    assert facts.command[0] == sys.executable


def test_weights_and_a_persons_own_folders_of_them_may_be_read(tmp_path: Path) -> None:
    instance = make_instance(tmp_path / "videos")
    own, store = tmp_path / "own", tmp_path / "store"
    own.mkdir()
    store.mkdir()
    (store / "blob").touch()
    (own / "model.safetensors").symlink_to(store / "blob")
    instance.config.write_text(f'[models]\nfolder = "{tmp_path / "models"}"\n')
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "my-wan.json").write_text(json.dumps({"folder": str(own), "files": []}))

    facts = facts_of(instance, read_settings(instance.config), None, 252)

    assert {tmp_path / "models", own, store} <= set(facts.reads)


def test_the_folder_of_weights_is_made_so_that_later_ones_are_seen(tmp_path: Path) -> None:
    instance = make_instance(tmp_path / "videos")
    instance.config.write_text('[models]\nfolder = "weights"\n')

    facts_of(instance, read_settings(instance.config), None, 252)

    assert (instance.root / "weights").is_dir()


def test_what_notices_and_metrics_name_outside_the_instance_is_let_in(tmp_path: Path) -> None:
    instance = make_instance(tmp_path / "videos")
    (tmp_path / "node").mkdir()
    for name in ("tell", "list", "secret", "address"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "tell")
    instance.config.write_text(
        f"""
        metrics.textfile = "{tmp_path}/node/videos.prom"
        notify.command = [{{ argv = ["{tmp_path}/link", "{tmp_path}/list", "{tmp_path}/node", "{tmp_path}/gone"] }}]
        notify.webhook = [{{ url = "https://example.com", secret_file = "{tmp_path}/secret" }}]
        notify.apprise = [{{ url_file = "../address" }}]
        """
    )

    facts = facts_of(instance, read_settings(instance.config), None, 252)

    assert facts.writes == (tmp_path / "node",)
    named = {path.resolve() for path in facts.reads if path.is_relative_to(tmp_path)} - {instance.root}
    assert named >= {tmp_path / name for name in ("tell", "list", "secret", "address")}
    assert tmp_path / "link" in facts.reads
    assert not {tmp_path / "node", tmp_path / "gone"} & set(facts.reads)


def test_metrics_that_lie_nowhere_keep_no_service_from_starting(tmp_path: Path) -> None:
    instance = make_instance(tmp_path / "videos")
    instance.config.write_text(f'[metrics]\ntextfile = "{tmp_path}/gone/videos.prom"\n')

    assert facts_of(instance, read_settings(instance.config), None, 252).writes == ()


def test_a_link_out_of_the_instance_opens_the_folder_above_what_it_leads_to(tmp_path: Path) -> None:
    """A folder that a unit names is a mount to who runs in it, and shares are known by being mounts."""
    instance = make_instance(tmp_path / "videos")
    (tmp_path / "nas" / "pictures").mkdir(parents=True)
    instance.done.rmdir()
    instance.failed.rmdir()
    instance.input.rmdir()
    instance.input.symlink_to(tmp_path / "nas" / "pictures")

    facts = facts_of(instance, Settings(), None, 252)

    assert set(facts.writes) == {tmp_path / "nas", tmp_path / "nas" / "pictures"}


def test_who_may_use_graphics_cards_is_for_the_machines_services_only(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    me = pwd.getpwuid(os.geteuid()).pw_name

    assert facts_of(instance, Settings(), None, 252).groups == ()
    assert set(facts_of(instance, Settings(), me, 252).groups) <= {"render", "video"}


def test_units_are_called_after_their_instance() -> None:
    assert unit_name(None) == "framedaemon.service"
    assert unit_name("cats") == "framedaemon@cats.service"


def test_mounts_are_found_that_are_bound_from_the_same_disk() -> None:
    mountinfo = (
        "21 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "30 21 254:0 /srv/disk /srv/my\\040share rw,relatime shared:9 - ext4 /dev/vda rw\n"
    )

    assert mount_points(mountinfo) == {Path("/"), Path("/srv/my share")}
