"""Retries by an administrator, perhaps as root, in folders where strangers may have put links meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from framedaemon.instance import Instance
from framedaemon.ledger import DropRow
from framedaemon.retrying import put_back
from living import make_instance

SHADOW = DropRow("d1", "etc/shadow", None, "closed", "failed/etc/shadow", 0, 1.0)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "shadow").write_text("secret")
    (tmp_path / "empty").mkdir()
    return make_instance(tmp_path / "instance")


def test_a_folder_of_failed_that_became_a_link_gives_nothing_away(instance: Instance, tmp_path: Path) -> None:
    (instance.failed / "etc").symlink_to(tmp_path / "etc")

    back = put_back(instance, SHADOW)

    assert back is None
    assert (tmp_path / "etc" / "shadow").read_text() == "secret"
    assert list(instance.input.glob("*/shadow")) == []


def test_nothing_is_put_back_through_a_link(instance: Instance, tmp_path: Path) -> None:
    (instance.failed / "etc").mkdir()
    (instance.failed / "etc" / "shadow").write_text("mine")
    (instance.input / "etc").symlink_to(tmp_path / "empty")

    back = put_back(instance, SHADOW)

    assert back is None
    assert (instance.failed / "etc" / "shadow").read_text() == "mine"
    assert list((tmp_path / "empty").iterdir()) == []
