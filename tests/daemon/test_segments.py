"""Parts of a clip that are kept, and those that are not believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from framedaemon.clip import Frame
from framedaemon.fingerprint import Fingerprints
from framedaemon.segments import Segments, key_of
from framedaemon.weave import Tally

CUTS = (0, 3, 6, 9)
SIZE = (32, 24)


class Taken:
    """What an attempt knows of the frames that it streamed."""

    def __init__(self) -> None:
        self.fingerprints = Fingerprints(*SIZE)
        self.tally = Tally()

    def stream(self, start: int, stop: int) -> None:
        for number in range(start, stop):
            self.fingerprints.add(frame(number))
            self.tally.marks += b"sf"[number % 2 : number % 2 + 1]

    def facts(self) -> tuple[object, ...]:
        seen = self.fingerprints
        moved = [seen.moved(number) for number in range(len(seen))]
        spreads = [seen.spread(number) for number in range(len(seen))]
        return seen.between(0, len(seen)).tolist(), moved, spreads, self.tally.marks


def frame(number: int) -> Frame:
    """Every third is the same as the one before it."""
    return np.random.default_rng(1 + number - (number % 3 == 0)).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "segments"


@pytest.fixture
def two_kept(folder: Path) -> Segments:
    """Two of three parts are finished, the third is torn by a kill."""
    segments, attempt = Segments(folder, "key", CUTS, ".mp4"), Taken()
    segments.restore(attempt.fingerprints, attempt.tally)
    finish(segments, attempt, 0)
    finish(segments, attempt, 1)
    segments.path(2).write_bytes(b"half")
    return segments


def finish(segments: Segments, attempt: Taken, index: int) -> None:
    attempt.stream(*segments.frames(index))
    segments.path(index).write_bytes(b"part %d" % index)
    segments.keep(index, attempt.fingerprints, attempt.tally)


def restore(folder: Path, key: str = "key") -> tuple[int, Taken]:
    attempt = Taken()
    return Segments(folder, key, CUTS, ".mp4").restore(attempt.fingerprints, attempt.tally), attempt


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_another_attempt_finds_the_finished_parts_and_not_the_torn_one(two_kept: Segments, folder: Path) -> None:
    kept, _ = restore(folder)

    assert kept == 2
    assert names(folder) == ["000000.json", "000000.mp4", "000001.json", "000001.mp4"]


def test_going_on_behind_kept_parts_knows_of_all_frames_what_a_whole_run_knows(
    two_kept: Segments, folder: Path
) -> None:
    """Also whether the first frame behind them differs from the last of them."""
    _, attempt = restore(folder)
    attempt.stream(6, 9)

    whole = Taken()
    whole.stream(0, 9)
    assert attempt.facts() == whole.facts()


def spoil_file(folder: Path) -> None:
    (folder / "000001.mp4").write_bytes(b"part X")


def lose_file(folder: Path) -> None:
    (folder / "000001.mp4").unlink()


def lose_record(folder: Path) -> None:
    (folder / "000001.json").unlink()


def tear_record(folder: Path) -> None:
    record = folder / "000001.json"
    record.write_bytes(record.read_bytes()[:-40])


def empty_record(folder: Path) -> None:
    (folder / "000001.json").write_bytes(b"\0" * 400)


def rewrite_as_list(folder: Path) -> None:
    (folder / "000001.json").write_text("[]")


def shorten(field: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        facts = json.loads((folder / "000001.json").read_text())
        (folder / "000001.json").write_text(json.dumps(facts | {field: facts[field][:-4]}))

    return spoil


def put_another_part_there(folder: Path) -> None:
    """Of the same clip and length, and behind the right record."""
    shutil.copy(folder / "000000.mp4", folder / "000001.mp4")


def put_another_part_and_its_record_there(folder: Path) -> None:
    put_another_part_there(folder)
    shutil.copy(folder / "000000.json", folder / "000001.json")


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_file,
        lose_file,
        lose_record,
        tear_record,
        empty_record,
        rewrite_as_list,
        shorten("marks"),
        shorten("fingerprints"),
        shorten("sha256"),
        put_another_part_there,
        put_another_part_and_its_record_there,
    ],
)
def test_a_part_that_is_not_whole_is_made_again(
    two_kept: Segments, folder: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(folder)

    kept, attempt = restore(folder)

    assert kept == 1
    assert len(attempt.fingerprints) == len(attempt.tally.marks) == 3
    assert names(folder) == ["000000.json", "000000.mp4"]


def test_parts_behind_one_that_is_lost_are_made_again_too(two_kept: Segments, folder: Path) -> None:
    (folder / "000000.mp4").unlink()

    kept, attempt = restore(folder)

    assert (kept, len(attempt.fingerprints), names(folder)) == (0, 0, [])


def test_parts_of_something_else_are_not_taken(two_kept: Segments, folder: Path) -> None:
    kept, _ = restore(folder, key="another")

    assert (kept, names(folder)) == (0, [])


def test_what_else_lies_in_the_folder_goes(two_kept: Segments, folder: Path) -> None:
    (folder / "a folder").mkdir()
    (folder / "a link").symlink_to(folder.parent)

    restore(folder)

    assert names(folder) == ["000000.json", "000000.mp4", "000001.json", "000001.mp4"]
    assert folder.parent.is_dir()


def test_a_dropped_part_is_no_longer_believed(two_kept: Segments, folder: Path) -> None:
    two_kept.drop(1)

    assert restore(folder)[0] == 1


def test_discarded_parts_leave_nothing(two_kept: Segments, folder: Path) -> None:
    two_kept.discard()

    assert not folder.exists()


def test_the_record_is_written_behind_the_file(folder: Path) -> None:
    """A record without its file would be believed after a power cut if the file came later."""
    segments, attempt = Segments(folder, "key", CUTS, ".mp4"), Taken()
    segments.restore(attempt.fingerprints, attempt.tally)
    attempt.stream(0, 3)

    with pytest.raises(FileNotFoundError):
        segments.keep(0, attempt.fingerprints, attempt.tally)

    assert names(folder) == []


def test_keys_differ_where_anything_does() -> None:
    keys = {key_of("a", 1), key_of("a", 2), key_of("b", 1), key_of("a"), key_of("a", (1,))}

    assert len(keys) == 5
    assert key_of("a", 1) in keys
