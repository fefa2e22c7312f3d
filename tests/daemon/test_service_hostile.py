"""What strangers can make the service do for every look into input/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.instance import Instance
from framedaemon.ledger import DropRow, DropState, Ledger
from framedaemon.plugins import load_plugins
from framedaemon.service import Service
from framedaemon.settings import read_settings
from living import drop, make_instance


class Counting(Ledger):
    """Counts how often all drops of a kind are looked through."""

    asked = 0

    def drops(self, *states: DropState) -> list[DropRow]:
        self.asked += 1
        return super().drops(*states)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path)


@pytest.fixture
def ledger(instance: Instance) -> Iterator[Counting]:
    made = Counting(instance.ledger)
    yield made
    made.close()


def test_the_queue_is_not_looked_through_once_for_each_lonely_sidecar(instance: Instance, ledger: Counting) -> None:
    """A thousand of them beside a queue of a thousand took minutes, for every look."""
    service = Service(instance, read_settings(instance.config), ledger, load_plugins(instance.plugins))
    for number in range(100):
        (instance.input / f"lonely{number}.toml").touch()

    service.tick(1.0)
    service.stop()

    assert ledger.asked < 10


def test_a_late_sidecar_is_given_to_one_picture_only(instance: Instance, ledger: Counting) -> None:
    service = Service(instance, read_settings(instance.config), ledger, load_plugins(instance.plugins))
    service.holding = True
    drop(instance, "pets/cat.png")
    service._take_in(1.0, 1.0)
    for name in ("cat.toml", "cat.png.toml"):
        (instance.input / "pets" / name).write_text("priority = 7\n")

    service._take_in(2.0, 2.0)

    (taken,) = ledger.drops("open")
    assert taken.sidecar in ("cat.toml", "cat.png.toml")
    assert len(list((instance.input / "pets").iterdir())) == 1


def test_a_late_sidecar_that_cannot_be_taken_stops_nothing(instance: Instance, ledger: Counting) -> None:
    """As one that the daemon may not read, on another filesystem."""
    service = Service(instance, read_settings(instance.config), ledger, load_plugins(instance.plugins))
    service.holding = True
    drop(instance, "pets/cat.png")
    service._take_in(1.0, 1.0)
    workspace = instance.jobs / ledger.drops("open")[0].id / "source"
    (workspace / "cat.toml").write_text("in the way")
    (instance.input / "pets" / "cat.toml").write_text("priority = 7\n")

    service._take_in(2.0, 2.0)

    assert service.problems == ("input/pets/cat.toml: cannot be taken: File exists",)
