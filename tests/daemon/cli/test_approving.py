"""approve, and what status says of previews, on an instance in which two pictures wait."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from commands import Commands
from framedaemon.instance import Instance, create
from living import drop, files_below, jobs_of, make_instance, run_all


@pytest.fixture(scope="module")
def previewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance in which pets/a cat.png, with a sidecar, and dog.png were previewed."""
    instance = make_instance(tmp_path_factory.mktemp("previewed"))
    (instance.input / "defaults.toml").write_text("[generate]\npreview = true\n")
    drop(instance, "pets/a cat.png", "priority = 3\n")
    drop(instance, "dog.png")
    run_all(instance)
    (instance.input / "defaults.toml").unlink()
    return instance.root


@pytest.fixture
def instance(previewed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """A copy of it, as the current folder."""
    shutil.copytree(previewed, tmp_path / "instance")
    monkeypatch.chdir(tmp_path / "instance")
    return Instance(tmp_path / "instance")


def test_the_status_says_what_to_look_at_and_how_to_approve_it(command: Commands, instance: Instance) -> None:
    said = command("status")

    assert "dog.preview.mp4: framedaemon approve dog.png" in said.out
    assert "framedaemon approve 'pets/a cat.png'" in said.out
    assert {"name": "dog.png", "previews": ["dog.preview.mp4"]} in command("status", "--json").json["previews"]


def test_a_picture_is_approved_by_the_name_that_status_shows(command: Commands, instance: Instance) -> None:
    said = command("approve", "pets/a cat.png")

    assert (said.code, said.out) == (0, "pets/a cat.png: approved\n")
    assert files_below(instance.input) == {"approved/pets/a cat.png", "approved/pets/a cat.toml", "waiting/dog.png"}


def test_a_picture_is_approved_by_its_path(command: Commands, instance: Instance) -> None:
    """As a shell completes it."""
    assert command("approve", "input/waiting/dog.png").code == 0

    assert "approved/dog.png" in files_below(instance.input)


def test_all_that_waits_is_approved_and_made(command: Commands, instance: Instance) -> None:
    moved = command("approve", "--all", "--json").json

    run_all(instance)

    assert {one["name"] for one in moved} == {"dog.png", "pets/a cat.png"}
    assert files_below(instance.input) == {"done/dog.png", "done/pets/a cat.png", "done/pets/a cat.toml"}
    assert {job.output for job in jobs_of(instance)[2:]} == {"dog.mp4", "pets/a cat.mp4"}
    assert {job.priority for job in jobs_of(instance) if "cat" in job.name} == {3}
    assert command("status", "--json").json["previews"] == []


def test_what_does_not_wait_is_said_and_the_others_are_approved(command: Commands, instance: Instance) -> None:
    (instance.waiting / "mine.png").write_bytes(b"of a person's own")

    said = command("approve", "mine.png", "nothing.png", "dog.png")

    assert (said.code, said.out) == (1, "dog.png: approved\n")
    assert "mine.png: is not among the pictures" in said.err
    assert "nothing.png: is not among the pictures" in said.err


def test_a_picture_whose_place_is_taken_stays_where_it_is(command: Commands, instance: Instance) -> None:
    (instance.approved / "dog.png").write_bytes(b"another")

    said = command("approve", "dog.png")

    assert (said.code, "is there already" in said.err) == (1, True)
    assert (instance.waiting / "dog.png").exists()
    assert (instance.approved / "dog.png").read_bytes() == b"another"


@pytest.mark.parametrize("words", [[], ["--all", "dog.png"]], ids=["nothing", "both"])
def test_approving_nothing_or_both_is_wrong_usage(command: Commands, instance: Instance, words: list[str]) -> None:
    assert command("approve", *words).code == 2


def test_where_no_daemon_ever_ran_nothing_waits(
    command: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(Instance(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert command("approve", "--all").code == 0
    assert command("approve", "cat.png").code == 1
    assert not Instance(tmp_path).ledger.exists()


def test_a_preview_is_replayed_from_its_receipt_while_its_picture_waits(command: Commands, instance: Instance) -> None:
    said = command("replay", "output/dog.preview.json", "-o", "again.mp4")

    assert "the same as the first one, byte for byte" in said.out


def test_rendering_by_hand_makes_the_whole_at_once(command: Commands, instance: Instance) -> None:
    """Nothing waits there to be approved."""
    (instance.input / "defaults.toml").write_text("[generate]\npreview = true\n")
    drop(instance, "cow.png")

    whole = command("render", "input/cow.png", "-o", "cow.mp4")
    preview = command("render", "input/cow.png", "-o", "small.mp4", "--set", "generate.preview=true")

    assert "5 frames at 8 fps" in whole.out
    assert "3 frames at 4 fps" in preview.out
    assert "a preview: approved" in command("explain", "input/cow.png").out
