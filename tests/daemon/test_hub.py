"""A real huggingface_hub and a hub on this machine: what it says, what it sends, and every way it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framedaemon.errors import DiskFull, FramedaemonError
from framedaemon.hub import HubFile, Listing, bring, here_of, look_up
from hub import COMMIT, FILES, REPO, SHARDS, VAE, Hub

DATA = FILES[VAE]
HALF = len(DATA) // 2


def _bring(hub: Hub, folder: Path, *paths: str) -> dict[str, str]:
    listing = look_up(REPO, "main")
    listed = bring(listing, [_file(listing, path) for path in paths], folder, lambda done, total: None)
    return {file["path"]: file["sha256"] for file in listed}


def _file(listing: Listing, path: str) -> HubFile:
    found = listing.file(path)
    assert found is not None
    return found


def _refusal(repo: str = REPO, revision: str = "main") -> str:
    with pytest.raises(FramedaemonError) as caught:
        look_up(repo, revision)
    return str(caught.value)


def _half(folder: Path, data: bytes) -> Path:
    """What a fetch that was killed left."""
    part = folder / f"{VAE}.part"
    part.parent.mkdir()
    part.write_bytes(data)
    return part


# --- what it says


def test_a_repository_is_listed_at_one_commit_with_sizes_hashes_and_licence(hub: Hub) -> None:
    listing = look_up(REPO, "main")

    assert (listing.commit, listing.licence, listing.gated) == (COMMIT, "apache-2.0", False)
    assert {file.path: file.bytes for file in listing.files} == {path: len(data) for path, data in FILES.items()}
    assert (len(_file(listing, VAE).sha256), _file(listing, "model_index.json").sha256) == (64, "")


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"license": "other", "license_name": "ltx-video-open"}, "ltx-video-open"),
        ({"license": "other"}, "other"),
        ({"license": ["mit", "apache-2.0"]}, "mit, apache-2.0"),
        ({}, "none that its card names"),
    ],
)
def test_a_licence_is_said_as_the_card_says_it(card: dict[str, object], said: str, hub: Hub) -> None:
    hub.card = card

    assert look_up(REPO, "main").licence == said


def test_it_is_told_nothing_about_this_machine(hub: Hub) -> None:
    look_up(REPO, "main")

    (asked,) = hub.asked
    assert "torch" not in asked["user-agent"]
    assert "agent/" not in asked["user-agent"]
    assert "authorization" not in asked


# --- what it sends


def test_files_come_whole_and_progress_is_told(hub: Hub, tmp_path: Path) -> None:
    listing, seen = look_up(REPO, "main"), list[tuple[int, int]]()
    files = [_file(listing, path) for path in (VAE, "model_index.json")]

    listed = bring(listing, files, tmp_path, lambda done, total: seen.append((done, total)))

    assert [(tmp_path / file["path"]).read_bytes() for file in listed] == [DATA, FILES["model_index.json"]]
    assert listed[0]["sha256"] == _file(listing, VAE).sha256
    assert seen == sorted(seen)
    assert seen[-1] == (sum(file.bytes for file in files),) * 2
    assert not list(tmp_path.rglob("*.part"))


def test_a_file_that_is_there_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    _bring(hub, tmp_path, VAE, *SHARDS)
    hub.asked.clear()

    _bring(hub, tmp_path, VAE, *SHARDS)

    assert hub.fetched() == []


def test_a_file_that_was_cut_short_goes_on_at_its_first_missing_byte(hub: Hub, tmp_path: Path) -> None:
    _half(tmp_path, DATA[:HALF])

    _bring(hub, tmp_path, VAE)

    assert hub.fetched() == [(VAE, f"bytes={HALF}-")]
    assert (tmp_path / VAE).read_bytes() == DATA


def test_a_part_that_is_of_no_use_is_fetched_once_more_from_its_first_byte(hub: Hub, tmp_path: Path) -> None:
    _half(tmp_path, bytes(HALF))

    _bring(hub, tmp_path, VAE)

    assert hub.fetched() == [(VAE, f"bytes={HALF}-"), (VAE, "")]
    assert (tmp_path / VAE).read_bytes() == DATA


def test_a_part_that_is_too_long_is_fetched_anew(hub: Hub, tmp_path: Path) -> None:
    _half(tmp_path, DATA + b"more")

    _bring(hub, tmp_path, VAE)

    assert hub.fetched() == [(VAE, "")]


def test_a_part_that_has_all_its_bytes_is_only_looked_at(hub: Hub, tmp_path: Path) -> None:
    """Killed between the last byte and the rename."""
    _half(tmp_path, DATA)

    _bring(hub, tmp_path, VAE)

    assert hub.fetched() == []
    assert (tmp_path / VAE).read_bytes() == DATA


def test_a_connection_that_is_cut_is_made_anew_and_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.cut[VAE] = HALF

    _bring(hub, tmp_path, VAE)

    assert [asked for _, asked in hub.fetched()] == ["", f"bytes={HALF}-"]
    assert (tmp_path / VAE).read_bytes() == DATA


@pytest.mark.parametrize("path", [VAE, "vae/config.json"], ids=["large", "small"])
def test_a_file_that_comes_damaged_is_refused_and_thrown_away(path: str, hub: Hub, tmp_path: Path) -> None:
    hub.damaged = {path}

    with pytest.raises(FramedaemonError, match="came damaged, and was thrown away"):
        _bring(hub, tmp_path, path)

    assert not [left for left in tmp_path.rglob("*") if left.is_file()]


def test_a_file_that_is_there_and_damaged_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    _bring(hub, tmp_path, VAE)
    (tmp_path / VAE).write_bytes(bytes(len(DATA)))

    _bring(hub, tmp_path, VAE)

    assert (tmp_path / VAE).read_bytes() == DATA


def test_how_much_of_a_file_is_here_is_told_whether_it_is_whole_or_not(hub: Hub, tmp_path: Path) -> None:
    listing = look_up(REPO, "main")
    _half(tmp_path, DATA[:HALF])
    _bring(hub, tmp_path, SHARDS[0])

    assert [here_of(_file(listing, path), tmp_path) for path in (VAE, *SHARDS)] == [HALF, len(FILES[SHARDS[0]]), 0]


def test_a_disk_that_runs_full_is_said_and_what_is_here_stays(
    hub: Hub, tmp_path: Path, mount: Callable[..., None]
) -> None:
    mount(tmp_path, "-t", "tmpfs", "-o", "size=100k", "framedaemon-test")

    with pytest.raises(DiskFull, match="make room and try again, it goes on from there"):
        _bring(hub, tmp_path, VAE)

    assert 0 < (tmp_path / f"{VAE}.part").stat().st_size < len(DATA)


# --- tokens


def test_a_token_opens_a_gated_repository_and_is_shown_to_no_other_host(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    monkeypatch.setenv("HF_TOKEN", hub.token)

    _bring(hub, tmp_path, VAE)

    shown = {asked["host"].partition(":")[0]: asked.get("authorization") for asked in hub.asked}
    assert shown == {"127.0.0.1": f"Bearer {hub.token}", "localhost": None}


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", r"accept its licence at .*/somebody/Toy-5B, signed in, and then `hf auth login` here, or set \$HF_TOKEN"),
        ("hf_other", "accept its licence at .*/somebody/Toy-5B with the account of your token"),
    ],
)
def test_a_gated_repository_says_what_to_do(
    token: str, words: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    monkeypatch.setenv("HF_TOKEN", token)

    with pytest.raises(FramedaemonError, match=words) as caught:
        _bring(hub, tmp_path, VAE)

    assert "\n" not in str(caught.value)


# --- what goes wrong


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "the hub does not take your token: `hf auth login` anew"),
        (403, "your token does not allow to read it"),
        (500, "the hub answered HTTP 500: try again later"),
    ],
)
def test_a_refusal_is_said_in_a_sentence(status: int, words: str, hub: Hub) -> None:
    hub.status = status

    said = _refusal()

    assert words in said
    assert "\n" not in said


def test_a_name_or_a_revision_that_is_not_there_is_said(hub: Hub) -> None:
    assert "there is no such repository on the hub" in _refusal("somebody/Else")
    assert "it has no revision 'v9'" in _refusal(revision="v9")
    assert "that is no name of a repository" in _refusal("some--body/..")


def test_a_hub_that_cannot_be_reached_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")

    assert "http://127.0.0.1:1 cannot be reached" in _refusal()


def test_another_page_in_the_hubs_place_is_said(hub: Hub) -> None:
    hub.files = {}
    hub.page = b"<html>please log in to this network</html>"

    assert "gave an answer that cannot be used" in _refusal()


def test_what_huggingface_hub_was_told_of_being_offline_counts(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    assert "nothing is fetched: $HF_HUB_OFFLINE is set" in _refusal()
    assert hub.asked == []
