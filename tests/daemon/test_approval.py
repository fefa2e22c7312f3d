"""Previews that wait, approvals by hand and what they lead to, with real workers and real ffmpeg."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from structlog.testing import capture_logs

from framedaemon.approval import approve, clear_away, origin_of, waiting_in
from framedaemon.inbox import Inbox
from framedaemon.instance import Instance
from framedaemon.intake import Intake
from framedaemon.ledger import Ledger
from framedaemon.retrying import put_back
from framedaemon.settings import read_settings
from living import drop, files_below, jobs_of, living, make_instance, run_all
from previews import PREVIEW, by_hand, frames_in, preview_two, receipt_of, videos

SIDECAR = f'{PREVIEW}use = "faulty"\n'


@pytest.fixture(scope="module")
def previewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return preview_two(tmp_path_factory.mktemp("previewed"))


@pytest.fixture
def instance(previewed: Path, tmp_path: Path) -> Instance:
    """A copy of it."""
    shutil.copytree(previewed, tmp_path / "instance")
    return Instance(tmp_path / "instance")


@pytest.fixture
def empty(tmp_path: Path) -> Instance:
    return make_instance(tmp_path / "empty")


# --- the preview


def test_a_preview_lies_in_output_with_its_sheet_and_its_picture_waits(instance: Instance) -> None:
    made = {f"{stem}.preview.{suffix}" for stem in ("cat", "pets/dog") for suffix in ("mp4", "jpg", "json")}

    assert {name for name in files_below(instance.output) if not name.startswith("logs/")} == made
    assert files_below(instance.input) == {
        "waiting/cat.png", "waiting/cat.toml", "waiting/pets/dog.png", "pets/defaults.toml"
    }  # fmt: skip
    assert (instance.approved / "pets").is_dir()
    assert frames_in(instance.output / "cat.preview.mp4") == 4
    with Image.open(instance.output / "cat.preview.jpg") as sheet:
        assert sheet.size == (3 * 32 + 4 * 8, 2 * 32 + 3 * 8)
    assert receipt_of(instance, "cat.preview.json")["preview"] is True
    assert receipt_of(instance, "cat.preview.json")["sheet"]["file"] == "cat.preview.jpg"


def test_what_waits_keeps_waiting(instance: Instance) -> None:
    before = files_below(instance.input), files_below(instance.output)

    jobs = run_all(instance)

    assert [job.state for job in jobs] == ["done", "done"]
    assert (files_below(instance.input), files_below(instance.output)) == before


def test_what_waits_is_known_with_what_there_is_to_look_at(instance: Instance) -> None:
    (instance.waiting / "somebody's own.png").write_bytes(b"x")
    ledger = Ledger(instance.ledger, read_only=True)

    found = [(str(one.name), one.previews) for one in waiting_in(instance, ledger)]

    ledger.close()
    assert sorted(found) == [("cat.png", ("cat.preview.mp4",)), ("pets/dog.png", ("pets/dog.preview.mp4",))]


def test_the_log_says_how_to_approve(instance: Instance) -> None:
    """By a name that shells take."""
    drop(instance, "a cat.png", PREVIEW)

    with capture_logs() as lines:
        run_all(instance)

    assert "framedaemon approve 'a cat.png'" in str(lines)


# --- approval


def test_an_approved_picture_becomes_the_whole_and_its_preview_goes(instance: Instance) -> None:
    seed = receipt_of(instance, "cat.preview.json")["seed"]
    by_hand(instance, "cat.png")

    run_all(instance)

    whole = receipt_of(instance, "cat.json")
    assert (whole["seed"], whole["preview"], whole["source"]["name"]) == (seed, False, "cat.png")
    assert (whole["frames"]["drawn"], whole["frames"]["shown"]) == (4, 7)
    assert videos(instance) == {"cat.mp4", "pets/dog.preview.mp4"}
    assert not list(instance.output.glob("cat.preview.*"))
    assert {"done/cat.png", "done/cat.toml"} <= files_below(instance.input)


def test_sub_folders_are_mirrored_without_those_of_approvals(instance: Instance) -> None:
    by_hand(instance, "pets/dog.png")

    run_all(instance)

    assert videos(instance) == {"cat.preview.mp4", "pets/dog.mp4"}
    assert "done/pets/dog.png" in files_below(instance.input)


def test_a_picture_and_its_sidecar_may_be_moved_together(instance: Instance) -> None:
    by_hand(instance, "cat.toml")
    by_hand(instance, "cat.png")

    run_all(instance)

    assert {"done/cat.png", "done/cat.toml"} <= files_below(instance.input)


def test_what_was_seen_is_what_is_made_whatever_recipes_say_by_now(instance: Instance) -> None:
    (instance.waiting / "cat.toml").write_text("[generate]\nframes = 9\n")
    (instance.input / "pets" / "defaults.toml").write_text("[generate]\nframes = 9\n")
    by_hand(instance, "cat.png")
    by_hand(instance, "pets/dog.png")

    run_all(instance)

    drawn = [receipt_of(instance, name)["frames"]["drawn"] for name in ("cat.json", "pets/dog.json")]
    assert drawn == [4, 3]


def test_every_job_of_a_picture_is_made_whole_by_its_own_seed(empty: Instance) -> None:
    """Also where another of its jobs is none of the preview's: that one was made at once, and is not made again."""
    jobs = '[[job]]\n[[job]]\ngenerate.preview = true\n[[job]]\ngenerate.preview = true\nencode.container = "mkv"\n'
    drop(empty, "cat.png", f"[generate]\nframes = 3\n{jobs}")
    run_all(empty)
    seeds = [receipt_of(empty, f"{stem}.json")["seed"] for stem in ("cat-2.preview", "cat-3.preview")]
    by_hand(empty, "cat.png")

    run_all(empty)

    assert [receipt_of(empty, f"{stem}.json")["seed"] for stem in ("cat-2", "cat-3")] == seeds
    assert len({*seeds, receipt_of(empty, "cat.json")["seed"]}) == 3
    made = {name for name in files_below(empty.output) if not name.startswith("logs/")}
    assert made == {"cat.mp4", "cat.json", "cat-2.mp4", "cat-2.json", "cat-3.mkv", "cat-3.json"}


def test_a_second_picture_of_one_name_waits_and_is_approved_beside_the_first(instance: Instance) -> None:
    drop(instance, "cat.png", f"{PREVIEW}frames = 5\n")
    run_all(instance)
    by_hand(instance, "cat-2.png")

    run_all(instance)

    assert videos(instance) == {"cat.preview.mp4", "cat-2.mp4", "pets/dog.preview.mp4"}
    assert receipt_of(instance, "cat-2.json")["frames"]["drawn"] == 5
    assert {"waiting/cat.png", "waiting/cat.toml", "done/cat-2.png", "done/cat-2.toml"} <= files_below(instance.input)


def test_a_picture_that_nobody_previewed_is_approved_by_where_it_lies(empty: Instance) -> None:
    (empty.input / "defaults.toml").write_text(f"{PREVIEW}frames = 4\n")
    drop(empty, "approved/new.png")

    run_all(empty)

    assert videos(empty) == {"new.mp4"}
    assert receipt_of(empty, "new.json")["frames"]["drawn"] == 4


def test_another_picture_of_a_name_that_was_approved_long_ago_has_a_recipe_of_its_own(instance: Instance) -> None:
    by_hand(instance, "cat.png")
    run_all(instance)
    drop(instance, "approved/cat.png", "[generate]\nframes = 6\n")

    run_all(instance)

    assert receipt_of(instance, "cat-2.json")["frames"]["drawn"] == 6


def test_a_whole_that_fails_says_where_to_move_it_and_goes_on_as_it_was_approved(empty: Instance) -> None:
    drop(empty, "cat.png", f"{SIDECAR}frames = 4\n")
    (empty.input / "defaults.toml").write_text('[generate]\nuse = "faulty"\n')
    run_all(empty)
    by_hand(empty, "cat.png")
    _spoil(empty)
    run_all(empty)
    said = (empty.failed / "cat.error.txt").read_text()
    _mend(empty)
    ledger = Ledger(empty.ledger, read_only=True)
    back = put_back(empty, ledger.drop(jobs_of(empty)[-1].drop_id))
    ledger.close()

    run_all(empty)

    assert "move it back into input/approved/" in said
    assert back == empty.approved / "cat.png"
    assert videos(empty) == {"cat.mp4"}
    assert receipt_of(empty, "cat.json")["frames"]["drawn"] == 4


# --- approving from here


def test_approving_moves_the_sidecar_along_and_overwrites_nothing(instance: Instance) -> None:
    ledger = Ledger(instance.ledger, read_only=True)
    cat = next(one for one in waiting_in(instance, ledger) if one.name.name == "cat.png")
    ledger.close()

    assert approve(instance, cat) == instance.approved / "cat.png"
    assert files_below(instance.approved) == {"cat.png", "cat.toml"}
    with pytest.raises(FileExistsError):
        approve(instance, cat)
    shutil.rmtree(instance.approved)
    with pytest.raises(FileNotFoundError):
        approve(instance, cat)


def test_a_copy_that_is_approved_leaves_the_picture_its_sidecar(instance: Instance) -> None:
    shutil.copy(instance.waiting / "cat.png", instance.approved / "cat.png")

    run_all(instance)

    assert {"waiting/cat.png", "waiting/cat.toml", "done/cat.png"} <= files_below(instance.input)
    assert receipt_of(instance, "cat.json")["frames"]["drawn"] == 4


def test_a_link_in_the_place_of_approvals_is_not_followed(instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(instance.approved)
    instance.approved.symlink_to(tmp_path / "elsewhere")
    (instance.waiting / "cat.png").rename(tmp_path / "elsewhere" / "cat.png")

    with living(instance) as service:
        service.tick(0.0)
        service.tick(10.0)
        problems = service.problems

    assert "links to folders are not followed" in "".join(problems)
    assert (tmp_path / "elsewhere" / "cat.png").exists()


@pytest.mark.parametrize(
    "put_there",
    [
        "[" * 100_000,
        '{"job": "%", "video": {"file": ""}}',
        '{"job": "%", "video": {"file": "", "sha256": ""}, "sheet": 1}',
    ],
)
def test_a_receipt_that_somebody_put_in_the_place_of_a_previews_is_left_alone(
    instance: Instance, put_there: str
) -> None:
    job = next(job for job in jobs_of(instance) if job.name == "cat.png")
    before = files_below(instance.output)
    receipt = instance.output / "cat.preview.json"
    receipt.write_text(put_there.replace("%", job.id))

    clear_away(instance.output, job)

    assert files_below(instance.output) == before


def test_a_sidecar_that_was_fetched_is_taken_along_even_if_that_was_cut_short(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand(instance, "cat.png")
    settings, ledger = read_settings(instance.config), Ledger(instance.ledger)
    inbox, intake = Inbox(instance.input, settings.inbox), Intake(instance, settings, ledger)
    inbox.scan(0.0)
    with monkeypatch.context() as failing:
        failing.setattr("framedaemon.workspace.flush_folder", _failing)
        cut_short = intake.claim(inbox.scan(1.0).arrivals, 1.0)

    inbox.scan(2.0)
    ((drop, _),) = intake.claim(inbox.scan(3.0).arrivals, 3.0)
    ledger.close()

    assert cut_short == []
    assert (drop.name, drop.sidecar) == ("approved/cat.png", "cat.toml")
    assert not files_below(instance.approved)


def _failing(folder: Path) -> None:
    raise OSError(5, "Input/output error")


def test_a_pipe_in_the_place_of_a_previews_receipt_is_not_waited_for(instance: Instance) -> None:
    job = next(job for job in jobs_of(instance) if job.name == "cat.png")
    receipt = instance.output / "cat.preview.json"
    receipt.unlink()
    os.mkfifo(receipt)

    clear_away(instance.output, job)

    assert (instance.output / "cat.preview.mp4").exists()


def test_nothing_goes_on_from_what_was_never_previewed(instance: Instance) -> None:
    ledger = Ledger(instance.ledger, read_only=True)

    known, unknown = origin_of(ledger, "approved/cat.png"), origin_of(ledger, "approved/dog.png")

    ledger.close()
    assert known is not None
    assert (known.name, unknown) == ("cat.png", None)


def _spoil(instance: Instance) -> None:
    stages = instance.plugins / "stages.py"
    stages.write_text(stages.read_text().replace('if options.fault == "promise":', "if not options.seed or True:"))


def _mend(instance: Instance) -> None:
    stages = instance.plugins / "stages.py"
    stages.write_text(stages.read_text().replace("if not options.seed or True:", 'if options.fault == "promise":'))
