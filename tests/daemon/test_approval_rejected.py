"""Previews that are rejected, and what becomes of their files: nothing that a person changed is removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from framedaemon.approval import clear_away, waiting_in
from framedaemon.instance import Instance
from framedaemon.ledger import Ledger
from living import files_below, jobs_of, run_all
from previews import PREVIEW, by_hand, preview_two, receipt_of, videos


@pytest.fixture(scope="module")
def previewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return preview_two(tmp_path_factory.mktemp("previewed"))


@pytest.fixture
def instance(previewed: Path, tmp_path: Path) -> Instance:
    """A copy of it."""
    shutil.copytree(previewed, tmp_path / "instance")
    return Instance(tmp_path / "instance")


# --- rejection


def test_a_picture_that_was_taken_away_is_forgotten(instance: Instance) -> None:
    (instance.waiting / "cat.png").unlink()

    run_all(instance)

    ledger = Ledger(instance.ledger, read_only=True)
    assert [str(one.name) for one in waiting_in(instance, ledger)] == ["pets/dog.png"]
    ledger.close()


def test_a_picture_that_goes_back_with_another_recipe_gets_a_new_preview_in_place_of_the_old(
    instance: Instance,
) -> None:
    (instance.waiting / "cat.toml").write_text(f"{PREVIEW}frames = 6\n")
    (instance.waiting / "cat.toml").rename(instance.input / "cat.toml")
    (instance.waiting / "cat.png").rename(instance.input / "cat.png")

    run_all(instance)

    assert videos(instance) == {"cat.preview.mp4", "pets/dog.preview.mp4"}
    assert receipt_of(instance, "cat.preview.json")["frames"]["drawn"] == 6
    assert {"waiting/cat.png", "waiting/cat.toml"} <= files_below(instance.input)


# --- what is cleared away


def test_what_a_person_changed_is_not_cleared_away(instance: Instance) -> None:
    (instance.output / "cat.preview.mp4").write_bytes(b"cut by hand")
    by_hand(instance, "cat.png")

    run_all(instance)

    assert (instance.output / "cat.preview.mp4").read_bytes() == b"cut by hand"
    assert (instance.output / "cat.preview.json").exists()
    assert not (instance.output / "cat.preview.jpg").exists()
    assert (instance.output / "cat.mp4").exists()


def test_a_receipt_of_another_video_protects_what_lies_beside_it(instance: Instance) -> None:
    job = next(job for job in jobs_of(instance) if job.name == "cat.png")
    receipt = instance.output / "cat.preview.json"
    receipt.write_text(json.dumps({**json.loads(receipt.read_text()), "job": "another"}))

    clear_away(instance.output, job)

    assert len(list(instance.output.glob("cat.preview.*"))) == 3


def test_files_that_a_receipt_names_elsewhere_are_not_touched(instance: Instance) -> None:
    """Whoever may write into output/ must not have the daemon remove files of other folders."""
    job = next(job for job in jobs_of(instance) if job.name == "cat.png")
    receipt = instance.output / "cat.preview.json"
    facts = json.loads(receipt.read_text())
    shutil.move(instance.output / "cat.preview.jpg", instance.root / "elsewhere.jpg")
    facts["sheet"]["file"] = "../elsewhere.jpg"
    receipt.write_text(json.dumps(facts))

    clear_away(instance.output, job)

    assert (instance.root / "elsewhere.jpg").exists()
