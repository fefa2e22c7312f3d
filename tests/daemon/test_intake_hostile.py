"""Claims from an input/ that strangers write to, while they do their worst."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.inbox import Inbox
from framedaemon.intake import Intake
from framedaemon.ledger import Ledger
from framedaemon.settings import read_settings
from living import drop, files_below, make_instance


class Counting(Ledger):
    """Counts how often a name is looked up."""

    asked = 0

    def stem_taken(self, stem: str) -> bool:
        self.asked += 1
        return super().stem_taken(stem)


class Door:
    """An instance's inbox and intake."""

    def __init__(self, folder: Path) -> None:
        self.instance = make_instance(folder)
        settings = read_settings(self.instance.config)
        self.ledger = Counting(self.instance.ledger)
        self.inbox = Inbox(self.instance.input, settings.inbox)
        self.intake = Intake(self.instance, settings, self.ledger)

    def move_input(self, folder: Path) -> None:
        """Put input/ on another filesystem, as a mount does."""
        shutil.rmtree(self.instance.input)
        self.instance.input.symlink_to(folder)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path)
    yield made
    made.ledger.close()


def test_a_folder_that_became_a_link_after_the_scan_gives_nothing_away(door: Door, tmp_path: Path) -> None:
    """The picture that the scan saw was the stranger's; what the name means now is somebody else's."""
    private = tmp_path / "private"
    private.mkdir()
    drop(door.instance, "pets/cat.png", sidecar="priority = 7\n")
    arrivals = door.inbox.scan(1.0).arrivals
    for name in ("cat.png", "cat.toml"):  # hard links: even their inodes are what the scan saw
        os.link(door.instance.input / "pets" / name, private / name)
    shutil.rmtree(door.instance.input / "pets")
    (door.instance.input / "pets").symlink_to(private)

    assert door.intake.claim(arrivals, 5.0) == []

    assert {path.name for path in private.iterdir()} == {"cat.png", "cat.toml"}
    assert door.ledger.jobs() == []
    assert "link" in door.intake.problems[0]


def test_a_sidecar_is_not_given_back_through_a_link(door: Door, tmp_path: Path) -> None:
    """Else a stranger would write cat.toml wherever the daemon may."""
    private = tmp_path / "private"
    private.mkdir()
    door.ledger.claiming([("d1", "pets/cat.png", "cat.toml", None)], 1.0)
    source = door.intake.workspace("d1").source
    source.mkdir(parents=True)
    (source / "cat.toml").write_text("priority = 7\n")
    (door.instance.input / "pets").symlink_to(private)

    with pytest.raises(NotADirectoryError):
        door.intake.resume(door.ledger.drop("d1"), 2.0)

    assert list(private.iterdir()) == []
    assert (source / "cat.toml").exists()


def test_a_dropped_link_is_refused_and_never_read_on_another_filesystem_too(
    door: Door, tmp_path: Path, elsewhere: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    door.move_input(elsewhere)
    (elsewhere / "x.png").symlink_to(secret)
    os.mkfifo(elsewhere / "y.png")

    claimed = door.intake.claim(door.inbox.scan(1.0).arrivals, 5.0)

    assert {str(rejected).partition(":")[0] for _, rejected in claimed} == {"x.png", "y.png"}
    links = [path for path in door.instance.jobs.rglob("x.png") if path.is_symlink()]
    assert [link.readlink() for link in links] == [secret]


def test_a_pipe_as_the_sidecar_of_two_pictures_stops_nothing(door: Door) -> None:
    drop(door.instance, "cat.png")
    drop(door.instance, "cat.bmp")
    drop(door.instance, "dog.png")
    os.mkfifo(door.instance.input / "cat.toml")

    claimed = door.intake.claim(door.inbox.scan(1.0).arrivals, 5.0)

    assert {row.name: rejected is None for row, rejected in claimed} == {
        "cat.bmp": False,
        "cat.png": False,
        "dog.png": True,
    }


def test_a_file_that_no_disk_can_hold_does_not_keep_the_others_waiting(door: Door, elsewhere: Path) -> None:
    door.move_input(elsewhere)
    with (elsewhere / "a.png").open("wb") as file:
        file.truncate(1 << 55)  # a hole
    drop(door.instance, "b.png")

    claimed = door.intake.claim(door.inbox.scan(1.0).arrivals, 5.0)

    assert [row.name for row, _ in claimed] == ["b.png"]
    assert door.intake.problems == ("input/a.png: cannot be taken: there is no room for it in tmp/",)


def test_many_files_that_cannot_be_taken_are_summed_up(door: Door, elsewhere: Path) -> None:
    door.move_input(elsewhere)
    for number in range(25):
        with (elsewhere / f"{number}.png").open("wb") as file:
            file.truncate(1 << 55)

    door.intake.claim(door.inbox.scan(1.0).arrivals, 5.0)

    assert len(door.intake.problems) == 21
    assert door.intake.problems[-1] == "input/: 5 more files cannot be taken"


def test_pictures_of_one_name_are_numbered_without_counting_from_one_each_time(door: Door) -> None:
    for number in range(300):
        (door.instance.input / f"shot.{number}").write_bytes(b"x")

    claimed = door.intake.claim(door.inbox.scan(1.0).arrivals, 5.0)

    assert len({job.stem for job in door.ledger.jobs()}) == len(claimed) == 300
    assert door.ledger.asked < 20 * 300


def test_names_of_output_differ_in_more_than_case_and_composition(door: Door) -> None:
    """Or the second video would overwrite the first on a filesystem that takes them for one."""
    for name in ("Cat.png", "cat.bmp", "CAT.gif", "e\u0301.png", "\u00e9.png"):
        (door.instance.input / name).write_bytes(b"x")

    door.intake.claim(door.inbox.scan(1.0).arrivals, 5.0)

    stems = [job.stem.lower() for job in door.ledger.jobs()]
    assert len(set(stems)) == len(stems) == 5
    assert files_below(door.instance.input) == set()
