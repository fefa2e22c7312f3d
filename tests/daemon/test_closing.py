"""Publishing and putting away, with a crash between any two steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.closing import Closing
from framedaemon.errors import StageFailed
from framedaemon.instance import Instance
from framedaemon.ledger import JobRow, Ledger
from framedaemon.recipe import Recipe
from framedaemon.workspace import Workspace
from living import files_below, make_instance


class Desk:
    """A ledger with one claimed picture whose video is made."""

    def __init__(self, folder: Path) -> None:
        self.instance: Instance = make_instance(folder)
        self.ledger = Ledger(self.instance.ledger)
        self.closing = Closing(self.instance, self.ledger)
        self.workspace = Workspace(self.instance.jobs / "d1")
        self.workspace.source.mkdir(parents=True)
        (self.workspace.source / "cat.png").write_bytes(b"picture")
        (self.workspace.source / "cat.toml").write_bytes(b"recipe")
        self.folder = self.workspace.job(1)
        (self.folder / "video.mp4").write_bytes(b"video")
        (self.folder / "receipt.json").write_text('{"video": {"file": "video.mp4"}}')
        self.ledger.claiming([("d1", "pets/cat.png", "cat.toml", None)], 1.0)
        self.ledger.add_job("d1", 1, Recipe().to_json(), "pets/cat", 0, 1.0)
        self.ledger.set_drop("d1", "open")
        self.ledger.start("d1-1", 2.0)

    @property
    def job(self) -> JobRow:
        job = self.ledger.job("d1-1")
        assert job is not None
        return job


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.ledger.close()


def test_a_video_appears_with_its_receipt_under_the_reserved_name(desk: Desk) -> None:
    target = desk.closing.publish(desk.job, 3.0)

    assert target == desk.instance.output / "pets" / "cat.mp4"
    assert files_below(desk.instance.output) == {"pets/cat.mp4", "pets/cat.json"}
    assert json.loads(target.with_suffix(".json").read_text()) == {"video": {"file": "cat.mp4"}}
    assert desk.job.state == "done"


def test_a_published_video_leaves_no_checkpoints_behind(desk: Desk) -> None:
    """Its drop may have other jobs, which want the room."""
    (desk.folder / "segments").mkdir()
    (desk.folder / "segments" / "000000.mp4").write_bytes(b"part")

    desk.closing.publish(desk.job, 3.0)

    assert not desk.folder.exists()
    assert desk.workspace.source.exists()


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"\xff", b"[]", b'{"video": 1}', b'{"video": {"file": ""}, "sheet": 1}']
)
def test_a_video_with_a_damaged_receipt_is_to_be_made_again(desk: Desk, damaged: bytes) -> None:
    (desk.folder / "receipt.json").write_bytes(damaged)

    with pytest.raises(StageFailed, match="receipt is damaged"):
        desk.closing.publish(desk.job, 3.0)

    assert files_below(desk.instance.output) == set()


def test_a_name_that_was_taken_meanwhile_is_not_overwritten(desk: Desk) -> None:
    taken = desk.instance.output / "pets" / "cat.mp4"
    taken.parent.mkdir()
    taken.write_bytes(b"somebody's own")

    target = desk.closing.publish(desk.job, 3.0)

    assert target.name == "cat-2.mp4"
    assert taken.read_bytes() == b"somebody's own"
    assert desk.job.output == "pets/cat-2.mp4"


def test_a_crash_after_the_rename_and_before_the_receipt_is_brought_to_its_end(desk: Desk) -> None:
    target = desk.instance.output / "pets" / "cat.mp4"
    target.parent.mkdir()
    desk.ledger.publishing("d1-1", "pets/cat.mp4")
    (desk.folder / "video.mp4").rename(target)

    assert desk.closing.publish(desk.job, 3.0) == target

    assert files_below(desk.instance.output) == {"pets/cat.mp4", "pets/cat.json"}
    assert desk.job.state == "done"


def test_a_crash_between_the_row_and_the_rename_publishes_once(desk: Desk) -> None:
    desk.ledger.publishing("d1-1", "pets/cat.mp4")

    desk.closing.publish(desk.job, 3.0)

    assert files_below(desk.instance.output) == {"pets/cat.mp4", "pets/cat.json"}


def test_a_copy_across_filesystems_whose_original_was_not_yet_removed_is_not_published_twice(desk: Desk) -> None:
    target = desk.instance.output / "pets" / "cat.mp4"
    target.parent.mkdir()
    target.write_bytes(b"video")
    desk.ledger.publishing("d1-1", "pets/cat.mp4")

    assert desk.closing.publish(desk.job, 3.0) == target

    assert files_below(desk.instance.output) == {"pets/cat.mp4", "pets/cat.json"}
    assert not (desk.folder / "video.mp4").exists()


def test_a_folder_of_pictures_is_published_whole(desk: Desk) -> None:
    (desk.folder / "video.mp4").unlink()
    (desk.folder / "video").mkdir()
    (desk.folder / "video" / "frame_000000.png").write_bytes(b"frame")

    desk.closing.publish(desk.job, 3.0)

    assert files_below(desk.instance.output) == {"pets/cat/frame_000000.png", "pets/cat.json"}


def test_an_output_folder_that_cannot_be_written_leaves_the_video_where_it_is(desk: Desk) -> None:
    (desk.instance.output / "pets").write_text("a file in the way")

    with pytest.raises(OSError, match="pets"):
        desk.closing.publish(desk.job, 3.0)

    assert (desk.folder / "video.mp4").exists()
    assert desk.job.state == "running"


def test_a_picture_whose_videos_are_done_rests_in_done_with_its_sidecar(desk: Desk) -> None:
    desk.closing.publish(desk.job, 3.0)

    desk.closing.close_drop(desk.ledger.drop("d1"))

    assert files_below(desk.instance.input) == {"done/pets/cat.png", "done/pets/cat.toml"}
    assert desk.ledger.drop("d1").rests == "done/pets/cat.png"
    assert not desk.workspace.folder.exists()


@pytest.mark.parametrize(
    ("moved", "rests"),
    [([], None), (["cat.toml"], "done/pets/cat.png"), (["cat.toml", "cat.last.png"], "done/pets/cat.png")],
)
def test_a_place_is_kept_as_long_as_something_of_the_picture_is_there(
    desk: Desk, moved: list[str], rests: str | None
) -> None:
    """The folder was there before a crash, and is gone when the rest is to follow."""
    (desk.workspace.source / "cat.last.png").write_bytes(b"picture")
    desk.ledger.set_last("d1", "cat.last.png")
    desk.ledger.finish("d1-1", "done", "", 3.0)
    desk.ledger.closing("d1", "done/pets/cat.png")
    [(desk.workspace.source / name).unlink() for name in moved]

    with pytest.raises(FileNotFoundError):
        desk.closing.close_drop(desk.ledger.drop("d1"))

    assert desk.ledger.drop("d1").rests == rests


def test_a_picture_that_failed_keeps_its_sidecar_and_its_reason_under_one_number(desk: Desk) -> None:
    (desk.instance.failed / "pets").mkdir()
    (desk.instance.failed / "pets" / "cat.png").write_bytes(b"another cat")
    desk.ledger.finish("d1-1", "failed", "crf: 99 is not in 0..51", 3.0)

    desk.closing.close_drop(desk.ledger.drop("d1"))

    assert files_below(desk.instance.failed) == {
        "pets/cat.png",
        "pets/cat-2.png",
        "pets/cat-2.toml",
        "pets/cat-2.error.txt",
    }
    said = (desk.instance.failed / "pets" / "cat-2.error.txt").read_text()
    assert "crf: 99 is not in 0..51" in said
    assert "back into input/" in said
    assert "output/logs/" not in said  # it was never begun: there is no log to point to


def test_the_contact_sheet_of_a_preview_appears_beside_it_and_in_its_receipt(desk: Desk) -> None:
    (desk.instance.output / "pets").mkdir()
    (desk.instance.output / "pets" / "cat.jpg").write_bytes(b"somebody's own")
    (desk.folder / "sheet.jpg").write_bytes(b"sheet")
    (desk.folder / "receipt.json").write_text('{"video": {"file": ""}, "sheet": {"file": "sheet.jpg"}}')

    desk.closing.publish(desk.job, 3.0)

    assert (desk.instance.output / "pets" / "cat-2.jpg").read_bytes() == b"sheet"
    facts = json.loads((desk.instance.output / "pets" / "cat-2.json").read_text())
    assert facts == {"video": {"file": "cat-2.mp4"}, "sheet": {"file": "cat-2.jpg"}}


def test_a_crash_between_a_contact_sheet_and_the_receipt_is_brought_to_its_end(desk: Desk) -> None:
    (desk.folder / "receipt.json").write_text('{"video": {"file": ""}, "sheet": {"file": "sheet.jpg"}}')
    desk.ledger.publishing("d1-1", "pets/cat.mp4")
    (desk.instance.output / "pets").mkdir()
    (desk.folder / "video.mp4").rename(desk.instance.output / "pets" / "cat.mp4")
    (desk.instance.output / "pets" / "cat.jpg").write_bytes(b"sheet")

    desk.closing.publish(desk.job, 3.0)

    facts = json.loads((desk.instance.output / "pets" / "cat.json").read_text())
    assert facts["sheet"] == {"file": "cat.jpg"}
    assert files_below(desk.instance.output) == {"pets/cat.mp4", "pets/cat.jpg", "pets/cat.json"}


@pytest.mark.parametrize("moved", [(), ("cat.toml",), ("cat.toml", "cat.png")])
@pytest.mark.parametrize("place", ["cat", "cat-2"])
def test_a_crash_while_a_picture_is_put_away_is_brought_to_its_end(
    desk: Desk, moved: tuple[str, ...], place: str
) -> None:
    desk.closing.publish(desk.job, 3.0)
    desk.ledger.closing("d1", f"done/pets/{place}.png")
    (desk.instance.done / "pets").mkdir()
    for name in moved:
        (desk.workspace.source / name).rename(desk.instance.done / "pets" / name.replace("cat", place))

    desk.closing.close_drop(desk.ledger.drop("d1"))

    assert files_below(desk.instance.done) == {f"pets/{place}.png", f"pets/{place}.toml"}
    assert desk.ledger.drop("d1").state == "closed"


def test_a_crash_after_the_reason_was_written_leaves_one_reason(desk: Desk) -> None:
    desk.ledger.finish("d1-1", "failed", "crf: 99 is not in 0..51", 3.0)
    desk.ledger.closing("d1", "failed/pets/cat.png")
    (desk.instance.failed / "pets").mkdir()
    (desk.instance.failed / "pets" / "cat.error.txt").write_text("crf: 99 is not in 0..51")

    desk.closing.close_drop(desk.ledger.drop("d1"))

    assert files_below(desk.instance.failed) == {"pets/cat.png", "pets/cat.toml", "pets/cat.error.txt"}


def test_a_place_that_could_not_be_reached_may_be_taken_by_others(desk: Desk) -> None:
    desk.ledger.finish("d1-1", "failed", "crf: 99 is not in 0..51", 3.0)
    desk.ledger.closing("d1", "failed/gone/cat.png")
    with pytest.raises(FileNotFoundError):
        desk.closing.close_drop(desk.ledger.drop("d1"))
    (desk.instance.failed / "pets").mkdir()
    (desk.instance.failed / "pets" / "cat.png").write_bytes(b"another cat")

    desk.closing.close_drop(desk.ledger.drop("d1"))

    assert desk.ledger.drop("d1").rests == "failed/pets/cat-2.png"


def test_a_picture_is_not_put_away_through_a_link(desk: Desk, tmp_path: Path) -> None:
    """Who may write into input/ would else choose where the daemon writes: a file in plugins/, say."""
    private = tmp_path / "private"
    private.mkdir()
    (desk.instance.failed / "pets").symlink_to(private)
    desk.ledger.finish("d1-1", "failed", "crf: 99 is not in 0..51", 3.0)

    with pytest.raises(NotADirectoryError):
        desk.closing.close_drop(desk.ledger.drop("d1"))

    assert list(private.iterdir()) == []
    assert (desk.workspace.source / "cat.png").exists()
    assert desk.ledger.drop("d1").state == "closing"


def test_a_picture_is_put_away_once_the_link_is_gone(desk: Desk, tmp_path: Path) -> None:
    (desk.instance.failed / "pets").symlink_to(tmp_path)
    desk.ledger.finish("d1-1", "failed", "crf: 99 is not in 0..51", 3.0)
    with pytest.raises(NotADirectoryError):
        desk.closing.close_drop(desk.ledger.drop("d1"))
    (desk.instance.failed / "pets").unlink()

    desk.closing.close_drop(desk.ledger.drop("d1"))

    assert files_below(desk.instance.failed) == {"pets/cat.png", "pets/cat.toml", "pets/cat.error.txt"}


def test_nothing_is_put_into_an_output_or_input_that_is_gone_nor_are_they_made_anew(desk: Desk) -> None:
    desk.instance.output.rename(desk.instance.root / "videos")
    with pytest.raises(FileNotFoundError):
        desk.closing.publish(desk.job, 3.0)
    (desk.instance.root / "videos").rename(desk.instance.output)
    desk.closing.publish(desk.job, 4.0)
    desk.instance.input.rename(desk.instance.root / "pictures")
    with pytest.raises(FileNotFoundError):
        desk.closing.close_drop(desk.ledger.drop("d1"))

    assert not desk.instance.input.exists()
    assert files_below(desk.instance.output) == {"pets/cat.mp4", "pets/cat.json"}
    assert (desk.workspace.source / "cat.png").exists()
