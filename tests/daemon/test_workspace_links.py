"""Links, pipes and setuid bits that strangers leave in input/, while files of theirs are moved."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from framedaemon.workspace import copy_as_is, move, real_folder, sweep_copies


def test_a_link_is_moved_across_filesystems_as_a_link(tmp_path: Path, elsewhere: Path) -> None:
    """Else whoever may write into input/ reads every file that the daemon can."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (elsewhere / "x.png").symlink_to(secret)

    move(elsewhere / "x.png", tmp_path / "x.png")

    assert (tmp_path / "x.png").readlink() == secret
    assert list(elsewhere.iterdir()) == []


def test_a_link_to_a_folder_is_moved_across_filesystems_as_a_link(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "private").mkdir()
    (elsewhere / "x.png").symlink_to(tmp_path / "private")

    move(elsewhere / "x.png", tmp_path / "x.png")

    assert (tmp_path / "x.png").is_symlink()


def test_a_pipe_is_moved_across_filesystems_without_being_read(tmp_path: Path, elsewhere: Path) -> None:
    os.mkfifo(elsewhere / "x.png")

    move(elsewhere / "x.png", tmp_path / "x.png")

    assert (tmp_path / "x.png").is_fifo()
    assert list(elsewhere.iterdir()) == []


def test_a_copy_is_never_setuid(tmp_path: Path) -> None:
    """The copy is the daemon's: a stranger's program would run as the daemon."""
    program = tmp_path / "x.png"
    program.write_bytes(b"program")
    program.chmod(0o6755)

    copy_as_is(program, tmp_path / "copy")

    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o755


def test_a_copy_keeps_bytes_and_time(tmp_path: Path) -> None:
    original = tmp_path / "x.png"
    original.write_bytes(b"picture")
    os.utime(original, ns=(10**18, 10**18 + 1))

    copy_as_is(original, tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == b"picture"
    assert (tmp_path / "copy").stat().st_mtime_ns == 10**18 + 1


def test_a_copy_does_not_write_through_a_link_that_stands_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"picture")
    (tmp_path / "copy").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FileExistsError):
        copy_as_is(tmp_path / "x.png", tmp_path / "copy")

    assert not (tmp_path / "elsewhere").exists()


def test_a_real_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    with real_folder(tmp_path, PurePosixPath("failed/pets/cats"), make=True) as folder:
        (folder / "cat.png").write_bytes(b"cat")

    assert (tmp_path / "failed" / "pets" / "cats" / "cat.png").read_bytes() == b"cat"


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "input" / "failed").mkdir(parents=True)
    (tmp_path / "input" / "failed" / "pets").symlink_to(tmp_path / "private")

    with pytest.raises(NotADirectoryError, match="link"), real_folder(tmp_path / "input", PurePosixPath("failed/pets")):
        pass


def test_a_real_folder_stays_itself_when_its_name_is_given_to_a_link(tmp_path: Path) -> None:
    private, pets = tmp_path / "private", tmp_path / "input" / "pets"
    private.mkdir()
    pets.mkdir(parents=True)

    with real_folder(tmp_path / "input", PurePosixPath("pets")) as folder:
        pets.rename(tmp_path / "input" / "away")
        pets.symlink_to(private)
        (folder / "cat.png").write_bytes(b"cat")

    assert list(private.iterdir()) == []
    assert (tmp_path / "input" / "away" / "cat.png").exists()


def test_a_first_folder_that_the_daemons_user_linked_elsewhere_is_entered(tmp_path: Path) -> None:
    """done/ on another disk."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "done").symlink_to(tmp_path / "archive")

    with real_folder(tmp_path, PurePosixPath("done/pets"), make=True, moved=True) as folder:
        (folder / "cat.png").write_bytes(b"cat")

    assert (tmp_path / "archive" / "pets" / "cat.png").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_a_first_folder_that_somebody_else_linked_elsewhere_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "done").symlink_to(tmp_path / "private")
    os.lchown(tmp_path / "done", 65534, 65534)

    with pytest.raises(NotADirectoryError), real_folder(tmp_path, PurePosixPath("done"), moved=True):
        pass


def test_no_handle_of_a_folder_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    with real_folder(tmp_path, PurePosixPath("a/b/c"), make=True):
        pass

    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("name", ["deep", ".framedaemon-1.part"])
def test_folders_nested_deeper_than_python_recurses_do_not_stop_the_sweep(tmp_path: Path, name: str) -> None:
    """The sweep comes at every start: a stranger could keep the daemon from starting."""
    handle = os.open(tmp_path, os.O_RDONLY)
    for inner in [name, *"a" * 1200]:
        os.mkdir(inner, dir_fd=handle)
        below = os.open(inner, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / ".framedaemon-7.part").write_bytes(b"half a copy")

    sweep_copies(tmp_path)

    subprocess.run(["rm", "-rf", tmp_path / name], check=True)  # neither can shutil
    assert list((tmp_path / "pets").iterdir()) == []
