"""Claims, with a crash between any two steps."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framedaemon.inbox import Arrival, Inbox
from framedaemon.intake import Intake
from framedaemon.ledger import Ledger
from framedaemon.recipe import Recipe
from framedaemon.settings import read_settings
from framedaemon.toml import Table, load_toml
from handles import no_handle_left
from living import drop, files_below, make_instance


class Door:
    """An instance's inbox and intake."""

    def __init__(self, folder: Path) -> None:
        self.instance = make_instance(folder)
        settings = read_settings(self.instance.config)
        self.ledger = Ledger(self.instance.ledger)
        self.inbox = Inbox(self.instance.input, settings.inbox)
        self.intake = Intake(self.instance, settings, self.ledger)

    def arrivals(self) -> tuple[Arrival, ...]:
        self.inbox.scan(0.0)
        return self.inbox.scan(1.0).arrivals


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path)
    yield made
    made.ledger.close()


def test_a_claimed_picture_and_its_sidecar_leave_input_for_the_workspace(door: Door) -> None:
    drop(door.instance, "pets/cat.png", sidecar="priority = 7\n")

    ((row, rejected),) = door.intake.claim(door.arrivals(), 5.0)

    assert rejected is None
    assert files_below(door.instance.input) == set()
    assert files_below(door.instance.jobs) == {f"{row.id}/source/cat.png", f"{row.id}/source/cat.toml"}
    (job,) = door.ledger.jobs()
    assert (job.name, job.state, job.stem, job.priority) == ("pets/cat.png", "queued", "pets/cat", 7)


def test_a_picture_that_changed_since_the_scan_is_left_alone(door: Door) -> None:
    path = drop(door.instance, "cat.png")
    arrivals = door.arrivals()
    path.write_bytes(path.read_bytes() + b"more")

    assert door.intake.claim(arrivals, 5.0) == []

    assert path.exists()
    assert door.ledger.jobs() == []


def test_a_refused_file_is_claimed_and_says_why(door: Door) -> None:
    os.mkfifo(door.instance.input / "pipe.png")

    ((_, rejected),) = door.intake.claim(door.arrivals(), 5.0)

    assert rejected is not None
    assert str(rejected) == "pipe.png: is a named pipe, not a file"


def test_a_sidecar_with_mistakes_refuses_its_picture_with_all_of_them(door: Door) -> None:
    drop(door.instance, "cat.png", sidecar="[interpolate]\nfps = -1\n[encode]\nbit_depth = 9\n")

    ((_, rejected),) = door.intake.claim(door.arrivals(), 5.0)

    assert rejected is not None
    assert len(rejected.problems) == 2
    (job,) = door.ledger.jobs()
    assert (job.state, job.reason) == ("failed", str(rejected)), "a crash right behind the claim must not run it"


def test_jobs_of_one_stem_reserve_different_names(door: Door) -> None:
    drop(door.instance, "cat.png", sidecar="[[job]]\n[[job]]\n")
    drop(door.instance, "CAT.webp")

    door.intake.claim(door.arrivals(), 5.0)

    assert len({job.stem.lower() for job in door.ledger.jobs()}) == 3


def test_a_sidecar_that_serves_several_pictures_is_copied_to_all_but_the_last(door: Door) -> None:
    drop(door.instance, "cat.png")
    drop(door.instance, "cat.webp", sidecar="priority = 3\n")

    door.intake.claim(door.arrivals(), 5.0)

    assert files_below(door.instance.input) == set()
    assert [job.priority for job in door.ledger.jobs()] == [3, 3]


def test_a_last_picture_that_serves_several_pictures_is_copied_to_all_but_the_last(door: Door) -> None:
    drop(door.instance, "cat.png", sidecar="priority = 3\n")
    drop(door.instance, "cat.webp")
    drop(door.instance, "cat.last.png")

    taken = door.intake.claim(door.arrivals(), 5.0)

    assert files_below(door.instance.input) == set()
    assert [row.last for row, _ in taken] == ["cat.last.png", "cat.last.png"]
    assert len(list(door.instance.jobs.rglob("cat.last.png"))) == 2


def test_a_preview_gets_a_name_whose_whole_is_free_too(door: Door) -> None:
    (door.instance.output / "cat.mp4").write_bytes(b"an earlier one")
    drop(door.instance, "cat.png", sidecar="[generate]\npreview = true\n[[job]]\n[[job]]\n")

    ((row, _),) = door.intake.claim(door.arrivals(), 5.0)

    assert [job.stem for job in door.ledger.jobs_of(row.id)] == ["cat-2.preview", "cat-3.preview"]


def test_an_approved_picture_is_known_by_where_it_came_from_and_named_as_if_dropped(door: Door) -> None:
    drop(door.instance, "approved/pets/cat.png", sidecar="[generate]\npreview = true\n")

    ((row, _),) = door.intake.claim(door.arrivals(), 5.0)

    (job,) = door.ledger.jobs_of(row.id)
    assert (row.name, job.stem) == ("approved/pets/cat.png", "pets/cat")
    assert Recipe.from_json(job.recipe).preview is False


def test_a_name_that_is_not_utf8_survives_the_ledger(door: Door) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    drop(door.instance, "plain.png").rename(door.instance.input / name)

    ((row, _),) = door.intake.claim(door.arrivals(), 5.0)

    assert row.name == name
    assert (door.intake.workspace(row.id).source / name).exists()


def test_a_crash_before_anything_moved_leaves_the_picture_to_the_next_scan(door: Door) -> None:
    drop(door.instance, "cat.png", sidecar="priority = 7\n")
    door.ledger.claiming([("d1", "cat.png", "cat.toml", None)], 1.0)

    assert door.intake.resume(door.ledger.drop("d1"), 5.0) is None

    assert door.ledger.drops("claiming") == []
    assert len(door.intake.claim(door.arrivals(), 6.0)) == 1


def test_a_crash_after_the_sidecar_moved_gives_it_back(door: Door) -> None:
    drop(door.instance, "cat.png", sidecar="priority = 7\n")
    door.ledger.claiming([("d1", "cat.png", "cat.toml", None)], 1.0)
    source = door.intake.workspace("d1").source
    source.mkdir(parents=True)
    (door.instance.input / "cat.toml").rename(source / "cat.toml")

    assert door.intake.resume(door.ledger.drop("d1"), 5.0) is None

    assert files_below(door.instance.input) == {"cat.png", "cat.toml"}


@pytest.mark.parametrize("moved", [["cat.toml"], ["cat.toml", "cat.last.png"]])
def test_a_crash_after_what_belongs_to_a_picture_moved_gives_it_back(door: Door, moved: list[str]) -> None:
    drop(door.instance, "cat.png", sidecar="priority = 7\n")
    drop(door.instance, "cat.last.png")
    door.ledger.claiming([("d1", "cat.png", "cat.toml", "cat.last.png")], 1.0)
    source = door.intake.workspace("d1").source
    source.mkdir(parents=True)
    [(door.instance.input / name).rename(source / name) for name in moved]

    assert door.intake.resume(door.ledger.drop("d1"), 5.0) is None

    assert files_below(door.instance.input) == {"cat.png", "cat.toml", "cat.last.png"}


def test_a_crash_after_the_picture_moved_makes_its_jobs(door: Door) -> None:
    path = drop(door.instance, "cat.png")
    door.ledger.claiming([("d1", "cat.png", None, None)], 1.0)
    source = door.intake.workspace("d1").source
    source.mkdir(parents=True)
    path.rename(source / "cat.png")

    resumed = door.intake.resume(door.ledger.drop("d1"), 5.0)

    assert resumed is not None
    assert [job.state for job in door.ledger.jobs()] == ["queued"]


def test_no_picture_is_refused_because_there_is_no_file_handle_to_read_its_sidecar_with(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(door.instance, "cat.png", sidecar="priority = 7\n")
    arrivals = door.arrivals()
    with monkeypatch.context() as short:
        short.setattr("framedaemon.layers.load_toml", _without_handles)
        with pytest.raises(OSError, match="Too many open files"):
            door.intake.claim(arrivals, 5.0)

    (row,) = door.ledger.drops("claiming")
    door.intake.resume(row, 6.0)

    assert [(job.state, job.priority) for job in door.ledger.jobs()] == [("queued", 7)]


def _without_handles(path: Path, where: str, follow: bool = True) -> Table:
    with no_handle_left():
        return load_toml(path, where, follow)


def test_an_adopted_sidecar_makes_the_jobs_anew(door: Door) -> None:
    drop(door.instance, "cat.png")
    ((row, _),) = door.intake.claim(door.arrivals(), 5.0)
    late = door.instance.input / "cat.toml"
    late.write_text("[[job]]\n[[job]]\n")

    assert door.intake.adopt(row, late, 6.0) is None

    assert len(door.ledger.jobs()) == 2
    assert not late.exists()


def test_a_late_sidecar_that_cannot_be_recorded_lies_in_input_again(door: Door) -> None:
    """Else the job would go without it, and it would be removed with the job's folder."""
    drop(door.instance, "cat.png")
    ((row, _),) = door.intake.claim(door.arrivals(), 5.0)
    late = door.instance.input / "cat.toml"
    late.write_text("[[job]]\n[[job]]\n")
    door.ledger._db.execute("PRAGMA query_only = ON")

    with pytest.raises(sqlite3.OperationalError):
        door.intake.adopt(row, late, 6.0)

    assert late.read_text() == "[[job]]\n[[job]]\n"
    door.ledger._db.execute("PRAGMA query_only = OFF")
    assert door.intake.adopt(row, late, 7.0) is None
    assert len(door.ledger.jobs()) == 2


def test_a_crash_between_a_late_sidecars_move_and_its_row_loses_neither(door: Door) -> None:
    drop(door.instance, "cat.png")
    ((row, _),) = door.intake.claim(door.arrivals(), 5.0)
    (door.intake.workspace(row.id).source / "cat.toml").write_text("[[job]]\n[[job]]\n")

    adopted = door.intake.resume_adoption(row, 6.0)

    assert adopted is not None
    assert adopted[0].sidecar == "cat.toml"
    assert len(door.ledger.jobs()) == 2
    assert door.intake.resume_adoption(adopted[0], 7.0) is None


def test_a_crash_between_a_late_last_pictures_move_and_its_row_loses_neither(door: Door) -> None:
    drop(door.instance, "cat.png", sidecar="priority = 7\n")
    ((row, _),) = door.intake.claim(door.arrivals(), 5.0)
    (door.intake.workspace(row.id).source / "cat.last.png").write_bytes(b"picture")

    adopted = door.intake.resume_adoption(row, 6.0)

    assert adopted is not None
    assert (adopted[0].sidecar, adopted[0].last) == ("cat.toml", "cat.last.png")
    assert door.intake.resume_adoption(adopted[0], 7.0) is None


def test_a_crash_before_a_copied_picture_was_removed_from_another_filesystem_does_not_take_it_twice(
    door: Door, elsewhere: Path
) -> None:
    path = drop(door.instance, "cat.png")
    door.instance.jobs.rmdir()
    door.instance.jobs.symlink_to(elsewhere)
    door.ledger.claiming([("d1", "cat.png", None, None)], 1.0)
    source = door.intake.workspace("d1").source
    source.mkdir(parents=True)
    shutil.copy2(path, source / "cat.png")

    assert door.intake.resume(door.ledger.drop("d1"), 5.0) is not None

    assert files_below(door.instance.input) == set()


@pytest.mark.parametrize(("others", "left"), [([], set()), (["cat.jpg"], {"cat.jpg", "cat.toml"})])
def test_a_power_cut_that_brings_back_a_copied_picture_and_its_sidecar_leaves_the_sidecar_to_others_only(
    door: Door, elsewhere: Path, others: list[str], left: set[str]
) -> None:
    path = drop(door.instance, "cat.png", sidecar="priority = 7\n")
    [drop(door.instance, other) for other in others]
    door.instance.jobs.rmdir()
    door.instance.jobs.symlink_to(elsewhere)
    door.ledger.claiming([("d1", "cat.png", "cat.toml", None)], 1.0)
    source = door.intake.workspace("d1").source
    source.mkdir(parents=True)
    shutil.copy2(path, source / "cat.png")
    shutil.copy2(path.with_suffix(".toml"), source / "cat.toml")

    assert door.intake.resume(door.ledger.drop("d1"), 5.0) is not None

    assert files_below(door.instance.input) == left


def test_the_same_picture_dropped_again_after_a_crash_is_another_one(door: Door, elsewhere: Path) -> None:
    path = drop(door.instance, "cat.png")
    door.instance.jobs.rmdir()
    door.instance.jobs.symlink_to(elsewhere)
    door.ledger.claiming([("d1", "cat.png", None, None)], 1.0)
    source = door.intake.workspace("d1").source
    source.mkdir(parents=True)
    shutil.copyfile(path, source / "cat.png")

    assert door.intake.resume(door.ledger.drop("d1"), 5.0) is not None

    assert files_below(door.instance.input) == {"cat.png"}


def test_a_sidecar_goes_back_to_another_filesystem(door: Door, elsewhere: Path) -> None:
    drop(door.instance, "cat.png", sidecar="priority = 7\n")
    door.instance.jobs.rmdir()
    door.instance.jobs.symlink_to(elsewhere)
    door.ledger.claiming([("d1", "cat.png", "cat.toml", None)], 1.0)
    source = door.intake.workspace("d1").source
    source.mkdir(parents=True)
    shutil.move(door.instance.input / "cat.toml", source / "cat.toml")

    assert door.intake.resume(door.ledger.drop("d1"), 5.0) is None

    assert files_below(door.instance.input) == {"cat.png", "cat.toml"}


def test_a_read_only_share_keeps_its_picture_and_sidecar_and_costs_no_copies(
    door: Door, mount: Callable[..., None]
) -> None:
    mount(door.instance.input)
    drop(door.instance, "cat.png", sidecar="priority = 7\n")
    mount(door.instance.input, "--bind", "-o", "ro", door.instance.input)

    assert door.intake.claim(door.arrivals(), 5.0) == []

    assert files_below(door.instance.input) == {"cat.png", "cat.toml"}
    assert files_below(door.instance.jobs) == set()
    assert door.ledger.drops("claiming") == []
    assert "Read-only" in door.intake.problems[0]
