from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from framedaemon.instance import Instance
from framedaemon.shares import Shares
from living import make_instance

Mount = Callable[..., None]


def unmount(folder: Path) -> None:
    subprocess.run(["umount", folder], check=True, capture_output=True)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return make_instance(tmp_path)


def reach(shares: Shares, folder: Path) -> None:
    with shares.held(folder):
        pass


def test_an_ordinary_folder_may_be_empty(instance: Instance) -> None:
    reach(Shares(instance), instance.output)


def test_a_folder_that_is_gone_is_refused(instance: Instance) -> None:
    shares = Shares(instance)
    instance.output.rename(instance.root / "gone")

    with pytest.raises(FileNotFoundError, match="is a mount missing"):
        reach(shares, instance.output)


def test_a_share_that_is_unmounted_is_refused_until_it_is_back(instance: Instance, mount: Mount) -> None:
    mount(instance.input)
    shares = Shares(instance)
    reach(shares, instance.input)
    unmount(instance.input)

    with pytest.raises(OSError, match="nothing is mounted there any more"):
        reach(shares, instance.input)
    reach(shares, instance.output)
    mount(instance.input)
    reach(shares, instance.input)


def test_a_share_that_was_mounted_later_is_remembered_from_then_on(instance: Instance, mount: Mount) -> None:
    shares = Shares(instance)
    mount(instance.output)
    reach(shares, instance.output)
    unmount(instance.output)

    with pytest.raises(OSError, match="nothing is mounted there any more"):
        reach(shares, instance.output)


def test_a_share_that_is_missing_at_the_next_start_is_refused_until_one_says_that_it_is_none(
    instance: Instance, mount: Mount
) -> None:
    mount(instance.output)
    Shares(instance)
    unmount(instance.output)

    with pytest.raises(OSError, match="tmp/mounts"):
        reach(Shares(instance), instance.output)
    (instance.tmp / "mounts").unlink()
    reach(Shares(instance), instance.output)


def test_what_is_put_into_a_share_goes_there_even_when_it_is_unmounted_meanwhile(
    instance: Instance, mount: Mount, elsewhere: Path
) -> None:
    mount(instance.output, "--bind", elsewhere)

    with Shares(instance).held(instance.output) as output:
        subprocess.run(["umount", "--lazy", instance.output], check=True)
        (output / "cat.mp4").touch()

    assert (elsewhere / "cat.mp4").exists()
    assert not (instance.output / "cat.mp4").exists()
