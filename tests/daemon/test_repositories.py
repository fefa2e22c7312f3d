"""Repositories in the models folder: never taken for whole when they are not, mended with what is right of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from framedaemon.errors import DiskFull, FramedaemonError
from framedaemon.hub import look_up
from framedaemon.published import Repository
from framedaemon.repositories import (
    adopt_folder,
    damage_of,
    files_for,
    is_whole,
    pull_repository,
    remove_repository,
    row_of,
)
from framedaemon.weights import fault_of, find_weights, open_repository, read_record, record_of
from hub import BYTES, COMMIT, FILES, NEEDED, REPO, SHARDS, VAE, Hub

ROW = Repository(
    name="toy-5b",
    summary="a toy",
    licence="Apache-2.0",
    credit="somebody",
    repo=REPO,
    revision="main",
    bytes=BYTES,
    files=("model_index.json", "vae/*", "transformer/*"),
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models" / ".pulling").mkdir(parents=True)
    return tmp_path / "models"


def _pull(models: Path, row: Repository = ROW, room: Callable[[int], None] = lambda size: None) -> Path:
    return pull_repository(models, row, "toy", look_up(row.repo, row.revision), _no_matter, room)


def _no_matter(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _left(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- pulled


def test_a_repository_comes_with_what_is_needed_and_a_record_of_it(hub: Hub, models: Path) -> None:
    folder = _pull(models)

    record = read_record(models, "toy-5b")
    assert folder == open_repository(models, "toy-5b")
    assert _left(folder) == set(NEEDED)
    assert (record["repo"], record["revision"], record["bytes"]) == (REPO, COMMIT, BYTES)
    assert (record["licence"], record["stage"]) == ("Apache-2.0", "toy")
    assert {file["path"]: file["bytes"] for file in record["files"]} == {path: len(FILES[path]) for path in NEEDED}
    assert (len(record["sha256"]), is_whole(models, ROW)) == (64, True)


def test_the_same_files_have_the_same_hash_and_others_another(hub: Hub, models: Path) -> None:
    _pull(models)
    first = read_record(models, "toy-5b")["sha256"]
    _pull(models, replace(ROW, name="toy-again"))
    hub.files["vae/config.json"] = b"{}"
    _pull(models, replace(ROW, name="toy-other"))

    assert read_record(models, "toy-again")["sha256"] == first
    assert read_record(models, "toy-other")["sha256"] != first


def test_room_is_asked_for_before_a_byte_is_fetched(hub: Hub, models: Path) -> None:
    asked: list[int] = []

    def refuse(size: int) -> None:
        asked.append(size)
        raise DiskFull("no room")

    with pytest.raises(DiskFull):
        _pull(models, room=refuse)

    assert (asked, hub.fetched()) == ([BYTES], [])


def test_what_is_here_needs_no_more_room(hub: Hub, models: Path) -> None:
    asked: list[int] = []
    part = models / ".pulling" / "toy-5b" / f"{VAE}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[VAE][:1000])

    _pull(models, room=asked.append)

    assert asked == [BYTES - 1000]


def test_a_pull_that_breaks_off_leaves_nothing_that_looks_whole_and_the_next_fetches_the_rest(
    hub: Hub, models: Path
) -> None:
    hub.damaged = {SHARDS[1]}
    with pytest.raises(FramedaemonError, match="came damaged"):
        _pull(models)
    between = (find_weights(models, "toy-5b"), is_whole(models, ROW), read_record(models, "toy-5b"))
    hub.damaged.clear()
    hub.asked.clear()

    _pull(models)

    assert between == (None, False, {})
    assert [path for path, _ in hub.fetched()] == [SHARDS[1]]
    assert is_whole(models, ROW)


def test_one_that_stops_between_the_record_and_the_folder_is_not_taken_for_whole(
    hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of power at the worst moment: the record is there, its folder not yet."""

    def stop(*of: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        _pull(models)
    monkeypatch.undo()
    between = (find_weights(models, "toy-5b"), fault_of(models, "toy-5b"))
    pulled = models / ".pulling" / "toy-5b"

    assert between == (None, "the folder of toy-5b is missing")
    assert _left(pulled) == set(NEEDED)


def test_another_commit_replaces_what_has_changed_and_nothing_else(hub: Hub, models: Path) -> None:
    _pull(models)
    hub.commit, hub.files[VAE] = "b" * 40, bytes(1000)
    newer = replace(ROW, revision="b" * 40)
    hub.asked.clear()

    _pull(models, newer)

    assert (is_whole(models, ROW), is_whole(models, newer)) == (False, True)
    assert [path for path, _ in hub.fetched()] == [VAE]


def test_files_that_the_new_commit_has_no_more_are_gone(hub: Hub, models: Path) -> None:
    _pull(models)
    hub.commit = "b" * 40
    del hub.files["vae/config.json"]

    _pull(models, replace(ROW, revision="b" * 40))

    assert _left(models / "toy-5b") == set(NEEDED) - {"vae/config.json"}


def test_a_folder_that_somebody_else_put_there_is_left_alone(hub: Hub, models: Path) -> None:
    (models / "toy-5b").mkdir()
    (models / "toy-5b" / "mine.txt").write_text("mine")

    with pytest.raises(FramedaemonError, match="framedaemon did not put it there: move it away"):
        _pull(models)

    assert (models / "toy-5b" / "mine.txt").read_text() == "mine"


def test_a_repository_without_what_is_asked_for_is_refused(hub: Hub) -> None:
    with pytest.raises(FramedaemonError, match=f"{REPO} has none of text_encoder/"):
        files_for(replace(ROW, files=("text_encoder/*",)), look_up(REPO, "main"))


def test_a_network_that_is_a_pickle_only_is_refused(hub: Hub) -> None:
    del hub.files[VAE]

    with pytest.raises(FramedaemonError, match=r"Toy-5B: vae/diffusion_pytorch_model\.bin is a pickle"):
        files_for(ROW, look_up(REPO, "main"))


def test_a_record_can_be_pulled_by_again(hub: Hub, models: Path) -> None:
    _pull(models)

    assert row_of("toy-5b", read_record(models, "toy-5b")) == ROW
    assert row_of("toy-1", {"sha256": "0"}) is None


# --- looked at


def test_a_flipped_bit_is_found_kept_in_mind_and_mended_by_a_pull(hub: Hub, models: Path) -> None:
    """The size is right, so that only reading every byte tells; no job loads it once that is known."""
    _flip(_pull(models) / SHARDS[0])
    before = fault_of(models, "toy-5b")
    hub.asked.clear()

    found = damage_of(models, "toy-5b", _no_matter)
    after = fault_of(models, "toy-5b")
    _pull(models)

    assert before is None
    assert found is not None and f"toy-5b is damaged: the sha256 of {SHARDS[0]} is " in found
    assert after == found
    assert [path for path, _ in hub.fetched()] == [SHARDS[0]]
    assert (fault_of(models, "toy-5b"), damage_of(models, "toy-5b", _no_matter)) == (None, None)


def test_damage_that_a_person_mended_is_forgotten(hub: Hub, models: Path) -> None:
    path = _pull(models) / SHARDS[0]
    _flip(path)
    damage_of(models, "toy-5b", _no_matter)
    _flip(path)

    assert damage_of(models, "toy-5b", _no_matter) is None
    assert fault_of(models, "toy-5b") is None


def test_a_folder_that_was_away_for_a_while_is_taken_again(hub: Hub, models: Path) -> None:
    """A disk that was not mounted when somebody looked."""
    folder = _pull(models)
    folder.rename(models / "away")
    found = damage_of(models, "toy-5b", _no_matter)
    (models / "away").rename(folder)

    assert found == "the folder of toy-5b is missing"
    assert fault_of(models, "toy-5b") is None


def test_all_bytes_are_read_and_progress_is_told(hub: Hub, models: Path) -> None:
    _pull(models)
    seen: list[tuple[int, int]] = []

    damage_of(models, "toy-5b", lambda done, total: seen.append((done, total)))

    assert seen[-1] == (BYTES, BYTES)


# --- a person's own folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder as people have it, with more in it than is needed."""
    root = tmp_path / "My Wan"
    for path, data in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def test_a_folder_of_ones_own_is_written_down_where_it_is(own: Path, models: Path) -> None:
    adopt_folder(models, "toy-mine", "toy", own, _no_matter)

    record = read_record(models, "toy-mine")
    assert open_repository(models, "toy-mine") == own
    assert {file["path"] for file in record["files"]} == set(NEEDED)
    assert (record["bytes"], record["stage"], record["original"]) == (BYTES, "toy", "My Wan")
    assert _left(models) == {"toy-mine.json"}


def test_it_has_the_hash_that_the_same_files_have_when_they_are_pulled(hub: Hub, own: Path, models: Path) -> None:
    _pull(models)

    adopt_folder(models, "toy-mine", "toy", own, _no_matter)

    assert read_record(models, "toy-mine")["sha256"] == read_record(models, "toy-5b")["sha256"]


def test_links_as_a_hubs_cache_has_them_are_followed(own: Path, models: Path) -> None:
    blob = own.parent / "blob"
    (own / VAE).rename(blob)
    (own / VAE).symlink_to(blob)

    adopt_folder(models, "toy-mine", "toy", own, _no_matter)

    assert read_record(models, "toy-mine")["bytes"] == BYTES


def test_what_is_no_pipeline_is_refused(own: Path, models: Path) -> None:
    (own / "model_index.json").write_text("{}")
    with pytest.raises(FramedaemonError, match=r"model_index\.json names no network"):
        adopt_folder(models, "toy-mine", "toy", own, _no_matter)

    (own / "model_index.json").unlink()
    with pytest.raises(FramedaemonError, match=r"has no model_index\.json"):
        adopt_folder(models, "toy-mine", "toy", own, _no_matter)

    assert _left(models) == set()


# --- removed


def test_a_pulled_repository_is_removed_and_so_is_a_half_pulled_one(hub: Hub, models: Path) -> None:
    _pull(models)
    first = (remove_repository(models, "toy-5b"), _left(models))
    hub.damaged = {SHARDS[1]}
    with pytest.raises(FramedaemonError):
        _pull(models)

    assert first == (True, set())
    assert (remove_repository(models, "toy-5b"), _left(models)) == (True, set())
    assert not remove_repository(models, "toy-5b")


def test_of_a_folder_of_ones_own_only_the_record_goes(own: Path, models: Path) -> None:
    adopt_folder(models, "toy-mine", "toy", own, _no_matter)
    before = _left(own)

    assert remove_repository(models, "toy-mine")
    assert (_left(own), record_of(models, "toy-mine").exists()) == (before, False)


def test_a_folder_of_ones_own_below_the_models_is_left_too(own: Path, models: Path) -> None:
    """Wherever a person has it: even under the very name that it is recorded by."""
    theirs = own.rename(models / "toy-mine")
    adopt_folder(models, "toy-mine", "toy", theirs, _no_matter)

    remove_repository(models, "toy-mine")

    assert json.loads((theirs / "model_index.json").read_text())
