from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon import workspace
from framedaemon.workspace import (
    COPYING,
    Workspace,
    bytes_below,
    flush_filesystem,
    flush_folder,
    move,
    move_aside,
    orphans,
    size_of,
    sweep_copies,
    write_atomically,
)

LONG = "写" * 83 + ".jpeg"  # 254 bytes, the longest that fits
BROKEN = os.fsdecode(b"caf\xe9\n.jpg")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- moves


@pytest.mark.parametrize("name", ["photo.jpg", "-rf", BROKEN, LONG])
def test_a_file_is_moved_whole(tmp_path: Path, name: str) -> None:
    source = tmp_path / "in" / name
    source.parent.mkdir()
    source.write_bytes(b"picture")

    move(source, tmp_path / name)

    assert (tmp_path / name).read_bytes() == b"picture"
    assert not source.exists()


def test_a_move_keeps_the_inode(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"picture")
    inode = (tmp_path / "a").stat().st_ino

    move(tmp_path / "a", tmp_path / "b", flush=False)

    assert (tmp_path / "b").stat().st_ino == inode


@pytest.mark.parametrize("taken_by", ["file", "folder", "dangling link"])
def test_a_move_never_overwrites(tmp_path: Path, taken_by: str) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"new")
    {"file": target.touch, "folder": target.mkdir, "dangling link": lambda: target.symlink_to("nowhere")}[taken_by]()

    with pytest.raises(FileExistsError):
        move(source, target)

    assert source.read_bytes() == b"new"
    assert _names(tmp_path) == ["a", "b"]


def test_a_move_never_overwrites_where_the_system_cannot_promise_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without renameat2, as on some network mounts."""
    monkeypatch.setattr(workspace, "_renameat2", None)
    for name in "abc":
        (tmp_path / name).write_text(name)

    with pytest.raises(FileExistsError):
        move(tmp_path / "a", tmp_path / "b")
    move(tmp_path / "c", tmp_path / "d")

    assert [(tmp_path / name).read_text() for name in "abd"] == ["a", "b", "c"]


def test_moving_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("name", ["photo.jpg", BROKEN, LONG])
def test_a_file_moves_to_another_filesystem_with_its_bytes_and_times(
    tmp_path: Path, elsewhere: Path, name: str
) -> None:
    source = tmp_path / name
    source.write_bytes(os.urandom(3_000_000))
    os.utime(source, (1e9, 1e9))
    data = source.read_bytes()

    move(source, elsewhere / name)

    assert _names(elsewhere) == [name]
    assert (elsewhere / name).read_bytes() == data
    assert (elsewhere / name).stat().st_mtime == 1e9
    assert not source.exists()


def test_a_folder_moves_to_another_filesystem(tmp_path: Path, elsewhere: Path) -> None:
    source = tmp_path / "video"
    (source / "inner").mkdir(parents=True)
    (source / "0001.png").write_bytes(b"frame")
    (source / "inner" / "notes.txt").write_bytes(b"notes")

    move(source, elsewhere / "video")

    assert size_of(elsewhere / "video" / "0001.png") == 5
    assert (elsewhere / "video" / "inner" / "notes.txt").read_bytes() == b"notes"
    assert _names(elsewhere) == ["video"]
    assert not source.exists()


def test_a_move_across_filesystems_never_overwrites(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (elsewhere / "a").write_bytes(b"old")

    with pytest.raises(FileExistsError):
        move(tmp_path / "a", elsewhere / "a")

    assert (tmp_path / "a").read_bytes() == b"new"
    assert (elsewhere / "a").read_bytes() == b"old"
    assert _names(elsewhere) == ["a"]


def test_the_original_goes_only_when_its_copy_is_safe_from_a_power_cut(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the copy must be on disk before the original's is taken away, or both may be gone."""
    source, target = tmp_path / "a", elsewhere / "a"
    source.write_bytes(b"picture")
    flushed: list[tuple[Path, bool, bool]] = []

    def record(folder: Path) -> None:
        flushed.append((folder, target.exists(), source.exists()))
        flush_folder(folder)

    monkeypatch.setattr(workspace, "flush_folder", record)

    move(source, target, flush=False)

    assert flushed == [(elsewhere, True, True)]
    assert not source.exists()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "framedaemon-test", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_move_onto_a_full_disk_leaves_nothing_there_and_all_here(tmp_path: Path, tiny_disk: Path, kind: str) -> None:
    source = tmp_path / "video"
    inner = source / "0001.png" if kind == "folder" else source
    inner.parent.mkdir(exist_ok=True)
    inner.write_bytes(bytes(1_000_000))

    with pytest.raises(OSError, match="No space left"):
        move(source, tiny_disk / "video")

    assert _names(tiny_disk) == []
    assert inner.stat().st_size == 1_000_000


def test_a_small_file_that_does_not_fit_leaves_nothing_behind(tiny_disk: Path) -> None:
    (tiny_disk / "receipt.json").write_bytes(b"old")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(tiny_disk / "receipt.json", bytes(1_000_000))

    assert _names(tiny_disk) == ["receipt.json"]
    assert (tiny_disk / "receipt.json").read_bytes() == b"old"


def test_what_a_crash_left_half_copied_is_not_in_the_way(tmp_path: Path, elsewhere: Path) -> None:
    """In a container the daemon has the same process number every time."""
    (elsewhere / f"{COPYING}{os.getpid()}.part").mkdir()
    (tmp_path / "a").write_bytes(b"picture")

    move(tmp_path / "a", elsewhere / "a")

    assert _names(elsewhere) == ["a"]


# --- aside


def test_what_is_put_aside_is_numbered_when_its_name_is_taken(tmp_path: Path) -> None:
    done = tmp_path / "done"
    done.mkdir()
    (done / "photo.jpg").write_bytes(b"old")
    (tmp_path / "photo.jpg").write_bytes(b"new")

    went_to = move_aside(tmp_path / "photo.jpg", done / "photo.jpg")

    assert went_to == done / "photo-2.jpg"
    assert (done / "photo.jpg").read_bytes() == b"old"
    assert went_to.read_bytes() == b"new"


def test_a_copy_that_stands_already_is_recognised_after_a_crash(tmp_path: Path) -> None:
    done = tmp_path / "done"
    done.mkdir()
    (done / "photo.jpg").write_bytes(b"same")
    (tmp_path / "photo.jpg").write_bytes(b"same")

    went_to = move_aside(tmp_path / "photo.jpg", done / "photo.jpg")

    assert went_to == done / "photo.jpg"
    assert _names(tmp_path) == ["done"]
    assert _names(done) == ["photo.jpg"]


def test_two_files_of_one_size_and_time_are_not_taken_for_the_same(tmp_path: Path) -> None:
    for path, data in ((tmp_path / "photo.jpg", b"here"), (tmp_path / "there.jpg", b"that")):
        path.write_bytes(data)
        os.utime(path, (1e9, 1e9))

    went_to = move_aside(tmp_path / "photo.jpg", tmp_path / "there.jpg")

    assert went_to == tmp_path / "there-2.jpg"


def test_a_folder_whose_copy_stands_already_is_recognised_though_half_of_it_is_removed(tmp_path: Path) -> None:
    for folder, names in (("made", ["2.png"]), ("video", ["1.png", "2.png"])):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_bytes(name.encode())

    assert move_aside(tmp_path / "made", tmp_path / "video") == tmp_path / "video"

    assert _names(tmp_path) == ["video"]
    assert _names(tmp_path / "video") == ["1.png", "2.png"]


def test_a_folder_is_put_aside_too(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "out").mkdir()

    assert move_aside(tmp_path / "video", tmp_path / "out" / "video") == tmp_path / "out" / "video"


# --- small files


def test_a_small_file_is_written_and_replaced_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "receipt.json", b"first")
    write_atomically(tmp_path / "receipt.json", b"second")

    assert (tmp_path / "receipt.json").read_bytes() == b"second"
    assert _names(tmp_path) == ["receipt.json"]


def test_a_reader_keeps_the_file_it_opened(tmp_path: Path) -> None:
    write_atomically(tmp_path / "receipt.json", b"first")

    with (tmp_path / "receipt.json").open("rb") as reader:
        write_atomically(tmp_path / "receipt.json", b"second")

        assert reader.read() == b"first"


# --- sizes, orphans, sweeping


def test_the_size_of_a_video_is_that_of_its_file_or_of_all_its_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bytes(10))
    (tmp_path / "b.png").write_bytes(bytes(5))

    assert size_of(tmp_path / "a.png") == 10
    assert size_of(tmp_path) == 15


def test_folders_that_no_drop_owns_are_orphans(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        (tmp_path / name).mkdir()

    assert list(orphans(tmp_path, {"b"})) == [tmp_path / "a", tmp_path / "c"]


def test_copies_cut_short_are_swept_wherever_they_lie_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "video.mp4").touch()
    (tmp_path / "sub" / f"{COPYING}17.part").write_bytes(b"half")
    (tmp_path / f"{COPYING}17.part").mkdir()
    (tmp_path / f"{COPYING}17.part" / "0001.png").touch()
    (tmp_path / "mine.part").touch()

    sweep_copies(tmp_path)

    assert _names(tmp_path) == ["mine.part", "sub"]
    assert _names(tmp_path / "sub") == ["video.mp4"]


def test_a_jobs_folder_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    drop = Workspace(tmp_path / "d1")

    assert drop.source == tmp_path / "d1" / "source"
    assert drop.job(2).is_dir()
    assert drop.job(2) == tmp_path / "d1" / "2"


def test_a_workspace_is_removed_with_all_that_is_in_it_and_may_be_gone(tmp_path: Path) -> None:
    drop = Workspace(tmp_path / "d1")
    (drop.job(1) / "latents.bin").touch()

    drop.remove()
    drop.remove()

    assert _names(tmp_path) == []


def test_flushing_a_folder_that_went_away_is_no_error(tmp_path: Path) -> None:
    flush_folder(tmp_path / "gone")


def test_a_filesystem_is_flushed_as_a_whole(tmp_path: Path) -> None:
    flush_filesystem(tmp_path)

    with pytest.raises(FileNotFoundError):
        flush_filesystem(tmp_path / "gone")


def test_the_bytes_below_a_folder_are_those_of_its_files_not_of_what_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"x" * 1000)
    (tmp_path / "job" / "deep").mkdir(parents=True)
    (tmp_path / "job" / "video.mp4").write_bytes(b"x" * 30)
    (tmp_path / "job" / "deep" / "part").write_bytes(b"x" * 12)
    (tmp_path / "job" / "link").symlink_to(tmp_path / "elsewhere")

    assert bytes_below(tmp_path / "job") < 1000
    assert bytes_below(tmp_path / "job") >= 42
    assert bytes_below(tmp_path / "gone") == 0
