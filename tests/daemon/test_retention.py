"""What is removed, and above all what is not: by age, by size, and when clocks, links and people interfere."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from framedaemon.identity import hash_video
from framedaemon.ledger import Ledger
from framedaemon.retention import find_stale, remove
from framedaemon.settings import RetentionSettings
from framedaemon.shares import Shares
from living import drop, files_below, make_instance, run_all
from resting import DAY, MONTH, House, resting


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with resting(tmp_path) as made:
        yield made


# --- what goes


def test_what_a_picture_is_to_end_with_goes_with_it(house: House) -> None:
    id = house.claim("cat.png")
    house.ledger.set_last(id, "cat.last.jpg")
    house.publish(id, 1, "cat.mp4")
    house.ledger.finish(f"{id}-1", "done", "", house.now)
    house.ledger.close_drop(id, "done/cat-2.png")
    [house.write(f"done/{name}") for name in ("cat-2.png", "cat-2.last.jpg", "cat.last.jpg")]

    assert house.prune(days=31).problems == []

    assert house.left == {"done/cat.last.jpg"}


def test_nothing_is_removed_unless_somebody_asks_for_it(house: House) -> None:
    house.put_away("done/cat.png", size=10**6)
    house.put_away("failed/dog.png")

    assert house.stale(RetentionSettings(), days=36_000) == []


def test_a_picture_goes_when_it_has_lain_there_for_the_days_that_were_asked_for(house: House) -> None:
    house.put_away("done/cat.png")

    assert house.stale(days=29.9) == []
    (one,) = house.stale(days=30.1)

    assert (one.kind, one.bytes, one.why) == ("done", 10, "put away 30 days ago; done_days is 30")
    assert house.prune(days=30.1).problems == []
    assert house.left == set()
    assert house.instance.done.is_dir()


def test_what_waits_to_be_approved_goes_only_where_that_is_said_of_it(house: House) -> None:
    house.put_away("waiting/cat.png", "cat.toml")
    house.write("waiting/cat.toml")

    assert house.stale(RetentionSettings(done_days=1, failed_days=1, done_bytes=1, failed_bytes=1), days=36_000) == []
    (one,) = house.stale(RetentionSettings(waiting_days=30), days=30.5)
    (same,) = house.stale(RetentionSettings(waiting_bytes=19))

    assert (one.kind, one.bytes, one.why) == ("waiting", 20, "put away 30 days ago; waiting_days is 30")
    assert same.files == one.files
    assert house.prune(RetentionSettings(waiting_days=30), days=31).problems == []
    assert house.left == set()


def test_each_folder_has_its_own_limits(house: House) -> None:
    house.put_away("done/cat.png")
    house.put_away("failed/dog.png")

    house.prune(RetentionSettings(failed_days=3), days=4)

    assert house.left == {"done/cat.png"}


@pytest.mark.parametrize(
    ("rests", "sidecar", "beside"),
    [
        ("failed/cat.png", "cat.toml", ["failed/cat.toml", "failed/cat.error.txt"]),
        ("failed/cat.png", "cat.png.toml", ["failed/cat.png.toml", "failed/cat.error.txt"]),
        ("failed/pets/cat-2.png", "cat.toml", ["failed/pets/cat-2.toml", "failed/pets/cat-2.error.txt"]),
    ],
)
def test_sidecar_and_reason_go_with_their_picture(house: House, rests: str, sidecar: str, beside: list[str]) -> None:
    house.put_away(rests, sidecar, named=rests.partition("/")[2].replace("-2", ""))
    for name in beside:
        house.write(name, 5)

    (one,) = house.stale(days=31)
    house.prune(days=31)

    assert [str(file.name) for file in one.files] == [*beside, rests]
    assert one.bytes == 20
    assert house.left == set()


def test_the_oldest_go_first_until_the_rest_fits(house: House) -> None:
    for name in ("c", "a", "b"):
        house.put_away(f"done/{name}.png", size=400)

    stale = house.stale(RetentionSettings(done_bytes=800))
    house.prune(RetentionSettings(done_bytes=800))

    assert [one.why for one in stale] == ["input/done/ holds 1.2 KiB; done_bytes is 800 B"]
    assert house.left == {"done/a.png", "done/b.png"}


def test_a_picture_at_a_place_that_was_used_before_is_as_young_as_it_is(house: House) -> None:
    for name in ("a", "b", "a"):
        house.put_away(f"done/{name}.png", size=400)

    house.prune(RetentionSettings(done_bytes=500))

    assert house.left == {"done/a.png"}


def test_sizes_count_whatever_the_clock_says(house: House) -> None:
    house.put_away("done/a.png", at=house.now + 400 * DAY, size=400)
    house.put_away("done/b.png", at=house.now, size=400)

    house.prune(RetentionSettings(done_days=30, done_bytes=500))

    assert house.left == {"done/b.png"}


def test_a_folder_that_is_empty_then_goes_too_and_done_itself_stays(house: House) -> None:
    house.put_away("done/2026/november/cat.png")
    house.put_away("done/2026/dog.png", at=house.now)
    house.write("done/2026/mine.txt")

    house.prune(days=31)

    assert sorted(path.name for path in house.instance.done.rglob("*")) == ["2026", "mine.txt"]


def test_what_the_daemon_itself_put_away_is_known(tmp_path: Path) -> None:
    """The places are those that closing a drop chooses, numbers and sub-folders and all."""
    instance = make_instance(tmp_path)
    drop(instance, "cat.png")
    (instance.failed / "pets").mkdir()
    (instance.failed / "pets" / "bad.png").write_text("somebody's own")
    drop(instance, "pets/bad.png", "[encode]\ncrf = 99\n")
    run_all(instance)
    ledger = Ledger(instance.ledger, read_only=True)
    before = files_below(instance.input)

    remove(instance, find_stale(instance, ledger, MONTH, time.time() + 31 * DAY))

    ledger.close()
    assert before >= {"done/cat.png", "failed/pets/bad-2.png", "failed/pets/bad-2.toml", "failed/pets/bad-2.error.txt"}
    assert files_below(instance.input) == {"failed/pets/bad.png"}
    assert (instance.output / "cat.mp4").exists()
    assert (instance.output / "cat.json").exists()


# --- what stays


def test_what_people_put_there_stays(house: House) -> None:
    house.put_away("done/cat.png")
    house.write("done/mine.png")
    house.write("done/cat.toml")  # it was dropped without a sidecar

    house.prune(days=1000)

    assert house.left == {"done/mine.png", "done/cat.toml"}


def test_a_picture_that_lies_under_the_name_of_an_older_one_has_its_own_age(house: House) -> None:
    house.put_away("done/cat.png", at=house.now - 100 * DAY)  # somebody removed it; the file there is of now

    assert house.stale() == []


def test_a_picture_that_was_taken_out_leaves_room_for_the_next_of_its_name(house: House) -> None:
    house.put_away("done/cat.png", at=house.now - 100 * DAY)
    house.put_away("done/cat.png", at=house.now)

    (one,) = house.stale(days=31.5)

    assert one.why.startswith("put away 31 days ago")


def test_a_place_that_another_picture_is_on_its_way_to_is_left_alone(house: House) -> None:
    house.put_away("done/cat.png", "cat.toml")
    coming = house.claim("cat.png", "cat.toml")
    house.ledger.closing(coming, "done/cat.png")
    house.write("done/cat.toml")

    assert house.stale(days=1000) == []


def test_a_drop_that_is_still_open_is_left_alone(house: House) -> None:
    house.claim("cat.png")
    house.write("done/cat.png")

    assert house.stale(days=1000) == []


def test_a_file_that_changes_between_the_look_and_the_removal_stays(house: House) -> None:
    house.put_away("done/cat.png")
    stale = house.stale(days=31)
    house.write("done/cat.png", 11)

    gone, _, problems = remove(house.instance, stale)

    assert gone == []
    assert "somebody changed it" in problems[0]
    assert house.left == {"done/cat.png"}


def test_what_is_gone_already_is_no_longer_spoken_of(house: House) -> None:
    house.put_away("done/cat.png")
    (house.instance.done / "cat.png").unlink()

    assert house.stale(days=31) == []


@pytest.mark.parametrize("link", ["input/done/pets", "input/done"])
def test_no_link_is_followed(house: House, tmp_path: Path, link: str) -> None:
    house.put_away("done/pets/cat.png")
    away = tmp_path / "elsewhere"
    (tmp_path / link).rename(away)
    (tmp_path / link).symlink_to(away)

    assert house.stale(days=1000) == []
    assert files_below(away)


def test_a_folder_that_becomes_a_link_before_the_removal_is_not_followed(house: House, tmp_path: Path) -> None:
    house.put_away("done/pets/cat.png")
    stale = house.stale(days=31)
    (house.instance.done / "pets").rename(tmp_path / "elsewhere")
    (house.instance.done / "pets").symlink_to(tmp_path / "elsewhere")

    gone, _, problems = remove(house.instance, stale)

    assert gone == []
    assert len(problems) == 1
    assert files_below(tmp_path / "elsewhere") == {"cat.png"}


def test_a_link_that_was_refused_goes_and_what_it_leads_to_stays(house: House, tmp_path: Path) -> None:
    target = tmp_path / "precious.png"
    target.write_text("picture")
    house.put_away("failed/link.png")
    (house.instance.failed / "link.png").unlink()
    (house.instance.failed / "link.png").symlink_to(target)

    house.prune(days=31)

    assert target.read_text() == "picture"
    assert not (house.instance.failed / "link.png").is_symlink()


def test_one_file_that_cannot_be_removed_does_not_keep_the_others(house: House) -> None:
    house.put_away("done/cat.png")
    house.put_away("done/dog.png")
    stale = house.stale(days=31)
    (house.instance.done / "cat.png").unlink()

    gone, _, problems = remove(house.instance, stale)

    assert [one.files[-1].path.name for one in gone] == ["dog.png"]
    assert len(problems) == 1


# --- clocks


def test_a_picture_of_tomorrow_stays(house: House) -> None:
    house.put_away("done/cat.png", at=house.now + 400 * DAY)

    assert house.stale(days=399) == []


def test_the_mtime_of_a_picture_means_nothing(house: House) -> None:
    """Photographs bring theirs along, from years ago or from a camera's wrong clock."""
    for name, mtime in (("old", 0.0), ("new", house.now + 1000 * DAY)):
        house.put_away(f"done/{name}.png")
        os.utime(house.instance.done / f"{name}.png", (mtime, mtime))

    assert house.stale() == []
    assert len(house.stale(days=31)) == 2


def test_a_picture_taken_while_the_clock_was_behind_is_as_old_as_the_one_before(house: House) -> None:
    """Else, once the clock is right again, it would go at once."""
    house.put_away("done/cat.png", at=house.now + 5000 * DAY)
    house.put_away("done/dog.png")  # row and file say 5,000 days before that

    assert house.stale(days=5029) == []
    assert len(house.stale(days=5031)) == 2


# --- logs of jobs


def test_the_newest_logs_are_kept_as_their_jobs_were_taken(house: House) -> None:
    """Not by their names, which are times: those of a clock that was ahead would be the newest for ever."""
    ids = [house.put_away(f"done/{number}.png", at=house.now - number * DAY) for number in range(4)]

    (one, _) = house.stale(RetentionSettings(job_logs=2))
    house.prune(RetentionSettings(job_logs=2))

    assert (one.kind, one.why) == ("job_log", "4 jobs that are over have logs; job_logs is 2")
    assert house.logs == {f"{id}-1.jsonl" for id in ids[2:]}
    assert len(house.left) == 4


def test_logs_that_somebody_needs_are_kept_beside_the_newest(house: House) -> None:
    """A picture in input/failed/ has its .error.txt refer to one, and an open job writes to another."""
    failed = house.put_away("failed/bad.png")
    taken_back = house.put_away("failed/mended.png")
    (house.instance.failed / "mended.png").unlink()
    still_open = house.claim("slow.png")
    newest = house.put_away("done/cat.png")

    house.prune(RetentionSettings(job_logs=1))

    assert taken_back not in str(house.logs)
    assert house.logs == {f"{id}-1.jsonl" for id in (failed, still_open, newest)}


def test_logs_of_jobs_that_the_ledger_does_not_know_go_first(house: House) -> None:
    known = house.put_away("done/cat.png")
    (house.instance.logs / "jobs" / "20990101T000000-ffffffff-1.jsonl").write_text("{}\n")

    house.prune(RetentionSettings(job_logs=1))

    assert house.logs == {f"{known}-1.jsonl"}


def test_what_is_no_log_of_a_job_stays(house: House) -> None:
    house.put_away("done/cat.png")
    (house.instance.logs / "jobs" / "notes.jsonl").touch()
    (house.instance.logs / "framedaemon.jsonl.1").touch()

    assert house.stale(RetentionSettings(job_logs=1)) == []


# --- leftovers


def test_folders_that_no_job_owns_go_and_those_of_open_drops_stay(house: House) -> None:
    owner = house.claim("cat.png")
    for name in (owner, "orphan"):
        (house.instance.jobs / name / "source").mkdir(parents=True)
        (house.instance.jobs / name / "source" / "cat.png").write_bytes(bytes(7))

    (one,) = house.stale(RetentionSettings())
    house.prune(RetentionSettings())

    assert (one.kind, one.bytes, one.files[0].path) == ("leftover", 7, house.instance.jobs / "orphan")
    assert [path.name for path in house.instance.jobs.iterdir()] == [owner]
    assert (house.instance.input / "cat.png").read_bytes() == bytes(7), "the picture of the orphan is no litter"


def test_a_folder_whose_picture_input_does_not_take_stays(house: House) -> None:
    (house.instance.jobs / "orphan" / "source").mkdir(parents=True)
    (house.instance.jobs / "orphan" / "source" / "cat.png").write_bytes(bytes(7))
    house.instance.input.rename(house.instance.input.with_name("away"))

    (problem,) = house.prune(RetentionSettings()).problems

    assert "the folder is not there" in problem
    assert (house.instance.jobs / "orphan" / "source" / "cat.png").exists()


def test_leftovers_are_not_looked_for_beside_a_daemon_that_may_be_claiming(house: House) -> None:
    (house.instance.jobs / "orphan").mkdir()

    assert list(find_stale(house.instance, house.ledger, RetentionSettings(), house.now)) == []


# --- never an original without a verified video


WITHOUT = RetentionSettings(done_days=30, done_without_video=True)


def _break(house: House, how: str, video: str) -> None:
    path, receipt = house.instance.output / video, (house.instance.output / video).with_suffix(".json")
    match how:
        case "deleted":
            path.unlink()
        case "renamed":
            path.rename(path.with_name("best.mp4"))
        case "cut short":
            path.write_bytes(path.read_bytes()[:-1])
        case "replaced":
            path.write_bytes(bytes(20))
        case "a link":
            path.rename(house.instance.root / "away.mp4")
            path.symlink_to(house.instance.root / "away.mp4")
        case "without its receipt":
            receipt.unlink()
        case "with another's receipt":
            receipt.write_text(receipt.read_text().replace("-1", "-9"))
        case "with a receipt that is none":
            receipt.write_text("[]")


BROKEN = {
    "deleted": "its video output/cat-1.mp4 is not there: it was removed, moved or renamed",
    "renamed": "its video output/cat-1.mp4 is not there: it was removed, moved or renamed",
    "cut short": "output/cat-1.mp4 has 19 bytes, and had 20 when it was published",
    "replaced": "output/cat-1.mp4 is not the video that was published: as many bytes, but others",
    "a link": "output/cat-1.mp4 is no video any more",
    "without its receipt": "nothing tells whether output/cat-1.mp4 is whole: its receipt is not beside it",
    "with another's receipt": "nothing tells whether output/cat-1.mp4 is whole: its receipt is not beside it",
    "with a receipt that is none": "nothing tells whether output/cat-1.mp4 is whole: its receipt is not beside it",
}


@pytest.mark.parametrize(("how", "why"), BROKEN.items(), ids=BROKEN)
def test_an_original_stays_whose_video_is_not_as_it_was_published(house: House, how: str, why: str) -> None:
    house.put_away("done/cat.png")
    house.put_away("done/dog.png")
    _break(house, how, "cat-1.mp4")

    done = house.prune(days=31)

    assert house.left == {"done/cat.png"}
    assert [(one.files[-1].path.name, one.kept) for one in done.kept] == [("cat.png", why)]
    assert [one.files[-1].path.name for one in done.gone] == ["dog.png"]


@pytest.mark.parametrize("how", BROKEN)
def test_who_says_so_lets_originals_go_without_their_videos(house: House, how: str) -> None:
    house.put_away("done/cat.png")
    _break(house, how, "cat-1.mp4")

    house.prune(WITHOUT, days=31)

    assert house.left == set()


def test_an_original_of_several_videos_goes_only_when_each_is_there(house: House) -> None:
    id = house.claim("cat.png")
    house.ledger.add_job(id, 2, "{}", "second", 0, house.now)
    videos = [house.publish(id, job, f"trip/cat-{job}.mp4") for job in (1, 2)]
    [house.ledger.finish(f"{id}-{job}", "done", "", house.now) for job in (1, 2)]
    house.ledger.close_drop(id, "done/cat.png")
    house.write("done/cat.png")
    second = videos[1].read_bytes()

    videos[1].unlink()
    kept = house.prune(days=31).kept
    videos[1].write_bytes(second)
    house.prune(days=31)

    assert [one.kept for one in kept] == [
        "its video output/trip/cat-2.mp4 is not there: it was removed, moved or renamed"
    ]
    assert house.left == set()


@pytest.mark.parametrize("settings", [MONTH, WITHOUT], ids=["by default", "without videos"])
def test_everything_stays_while_the_share_of_output_is_gone(
    house: House, settings: RetentionSettings, mount: Callable[..., None]
) -> None:
    mount(house.instance.output)
    house.instance.logs.mkdir()
    house.put_away("done/cat.png")
    Shares(house.instance)  # the daemon sees a mount when it starts
    subprocess.run(["umount", house.instance.output], check=True)

    (kept,) = house.prune(settings, days=31).kept

    assert house.left == {"done/cat.png"}
    assert "nothing is mounted there any more" in kept.kept


def test_everything_stays_while_output_is_not_there(house: House) -> None:
    house.put_away("done/cat.png")
    house.instance.output.rename(house.instance.root / "away")

    (kept,) = house.prune(WITHOUT, days=31).kept

    assert house.left == {"done/cat.png"}
    assert "the folder is not there" in kept.kept


def test_beyond_the_bytes_those_go_that_may_in_place_of_those_that_stay(house: House) -> None:
    for name in ("cat", "dog", "owl"):
        house.put_away(f"done/{name}.png", size=400)
    (house.instance.output / "cat-1.mp4").unlink()

    house.prune(RetentionSettings(done_bytes=800))

    assert house.left == {"done/cat.png", "done/owl.png"}


def test_only_videos_of_what_would_go_are_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put_away("done/old.png", at=house.now - 100 * DAY)
    house.put_away("done/new.png")
    read = list[str]()
    monkeypatch.setattr("framedaemon.proof.hash_video", lambda path: [read.append(path.name), hash_video(path)][1])

    house.stale(days=20)
    house.stale(RetentionSettings(done_bytes=15))

    assert read == ["old-1.mp4"]


def test_a_folder_of_pictures_is_a_video_too(house: House) -> None:
    id = house.claim("cat.png")
    frames = house.instance.output / "cat"
    frames.mkdir()
    [(frames / f"frame_{number}.png").write_bytes(bytes([number])) for number in range(3)]
    published = {"file": "cat", "bytes": 3, "sha256": hash_video(frames)}
    (house.instance.output / "cat.json").write_text(json.dumps({"job": f"{id}-1", "video": published}))
    house.ledger.publishing(f"{id}-1", "cat")
    house.ledger.finish(f"{id}-1", "done", "", house.now)
    house.ledger.close_drop(id, "done/cat.png")
    house.write("done/cat.png")

    (frames / "frame_1.png").write_bytes(bytes([7]))
    kept = house.prune(days=31).kept
    (frames / "frame_1.png").write_bytes(bytes([1]))
    house.prune(days=31)

    assert [one.kept for one in kept] == ["output/cat is not the video that was published: as many bytes, but others"]
    assert house.left == set()


def test_a_real_original_goes_beside_its_real_video_and_not_without(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    drop(instance, "cat.png", '[encode]\ncontainer = "png"\n')
    drop(instance, "dog.png")
    drop(instance, "owl.png")
    run_all(instance)
    with (instance.output / "owl.mp4").open("r+b") as video:
        video.seek(100)
        video.write(b"?")

    with closing(Ledger(instance.ledger, read_only=True)) as ledger:
        remove(instance, find_stale(instance, ledger, MONTH, time.time() + 31 * DAY))

    assert files_below(instance.done) == {"owl.png"}


# --- receipts


RECEIPTS = RetentionSettings(receipt_days=30)


def test_a_receipt_goes_long_after_its_video_and_never_beside_it(house: House) -> None:
    house.put_away("done/cat.png")
    house.put_away("done/dog.png")
    (house.instance.output / "cat-1.mp4").unlink()

    young = house.stale(RECEIPTS, days=29)
    (one,) = house.stale(RECEIPTS, days=31.5)
    house.prune(RECEIPTS, days=31.5)

    assert young == []
    assert (one.kind, str(one.files[0].name)) == ("receipt", "cat-1.json")
    assert one.why == "its video is gone, and it was made 31 days ago; receipt_days is 30"
    assert files_below(house.instance.output) & {"cat-1.json", "dog-2.json"} == {"dog-2.json"}


def test_what_is_not_the_receipt_of_that_video_stays(house: House) -> None:
    house.put_away("done/cat.png")
    (house.instance.output / "cat-1.mp4").unlink()
    (house.instance.output / "cat-1.json").write_text('{"mine": true}')

    assert house.stale(RECEIPTS, days=1000) == []


def test_receipts_stay_while_output_is_not_there(house: House) -> None:
    house.put_away("done/cat.png")
    house.instance.output.rename(house.instance.root / "away")

    assert house.stale(RECEIPTS, days=1000) == []
