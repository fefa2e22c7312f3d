from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.disk import Ballast, Need, Shortage, free_bytes, refuse_full_disk, shortage
from framedaemon.errors import DiskFull

TMP, OUTPUT = Path("/tmp"), Path("/output")
KEEP = 100
MIB = 2**20


def _ask(need: Need, free: int, reserved: dict[Path, int] | None = None) -> Shortage | None:
    return shortage(need, reserved or {}, (TMP, OUTPUT), KEEP, free=lambda folder: free)


@pytest.mark.parametrize(
    ("need", "admission"),
    [
        (Need(0, 100), 300),
        (Need(500, 100), 600),
        (Need(200, 100), 300),
        (Need(0, 0), 0),
        (Need(0, 100, copies=2), 600),
        (Need(500, 100, copies=2), 700),
    ],
)
def test_three_times_the_video_or_all_that_is_written_must_be_free(need: Need, admission: int) -> None:
    assert need.admission == admission


@pytest.mark.parametrize("need", [Need(0, 100), Need(200, 100), Need(150, 50)])
def test_a_job_is_admitted_to_the_byte(need: Need) -> None:
    assert _ask(need, need.admission + KEEP) is None
    assert _ask(need, need.admission + KEEP - 1) == Shortage(TMP, need.admission + KEEP - 1, need.admission + KEEP)


def test_what_others_were_promised_is_not_free() -> None:
    reserved = {OUTPUT: 900}

    assert _ask(Need(0, 100), 900 + 300 + KEEP, reserved) is None
    assert _ask(Need(0, 100), 900 + 300 + KEEP - 1, reserved) == Shortage(OUTPUT, 300 + KEEP - 1, 300 + KEEP)


def test_every_folder_must_have_room_and_the_first_without_is_named() -> None:
    free = {TMP: 10_000, OUTPUT: 5}

    short = shortage(Need(0, 100), {}, (TMP, OUTPUT), KEEP, free=free.__getitem__)

    assert short == Shortage(OUTPUT, 5, 400)


def test_a_shortage_is_said_in_a_sentence() -> None:
    said = Shortage(OUTPUT, 5 * MIB, 2**30).describe()

    goes_on = "the job goes on by itself when there is room"
    assert said == f"5 MiB are free in /output, 1 GiB are needed, 1019 MiB too few; {goes_on}"


def test_free_bytes_are_those_of_this_user(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)

    assert 0 < free_bytes(tmp_path) <= status.f_blocks * status.f_frsize


# --- ballast


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "framedaemon-test", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path) -> None:
    """Write until nothing fits any more."""
    with (folder / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(bytes(4096) for _ in iter(int, 1))


def test_ballast_takes_real_room_and_gives_it_back(small_disk: Path) -> None:
    ballast = Ballast(small_disk / "ballast", MIB)

    ballast.load(keep_free_bytes=0)
    _fill(small_disk)

    assert free_bytes(small_disk) == 0
    assert ballast.drop()
    assert free_bytes(small_disk) >= MIB
    (small_disk / "ledger").write_bytes(bytes(MIB // 2))


def test_ballast_is_not_loaded_into_what_must_stay_free(small_disk: Path) -> None:
    ballast = Ballast(small_disk / "ballast", MIB)

    ballast.load(keep_free_bytes=3 * MIB)

    assert not (small_disk / "ballast").exists()
    assert not ballast.drop()


def test_loading_ballast_on_a_full_disk_leaves_nothing_behind(small_disk: Path) -> None:
    _fill(small_disk)

    Ballast(small_disk / "ballast", MIB).load(keep_free_bytes=0)

    assert not (small_disk / "ballast").exists()


def test_ballast_is_loaded_again_once_there_is_room(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 4096)
    ballast.load(keep_free_bytes=0)
    ballast.drop()

    ballast.load(keep_free_bytes=0)

    assert (tmp_path / "ballast").stat().st_size == 4096


def test_ballast_that_a_crash_left_empty_is_filled(tmp_path: Path) -> None:
    (tmp_path / "ballast").touch()

    Ballast(tmp_path / "ballast", 4096).load(keep_free_bytes=0)

    assert (tmp_path / "ballast").stat().st_size == 4096


def test_no_ballast_is_carried_where_none_is_wanted(tmp_path: Path) -> None:
    Ballast(tmp_path / "ballast", 0).load(keep_free_bytes=0)

    assert list(tmp_path.iterdir()) == []


def test_ballast_in_a_folder_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "gone" / "ballast", 4096)

    ballast.load(keep_free_bytes=0)

    assert not ballast.drop()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_the_file_that_found_it(code: int) -> None:
    with pytest.raises(DiskFull, match=r"the disk ran full at big.bin: make room and try again"):
        refuse_full_disk(OSError(code, "full"), Path("big.bin"))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ValueError(errno.ENOSPC)])
def test_other_errors_are_not_taken_for_a_full_disk(error: Exception) -> None:
    refuse_full_disk(error, Path("big.bin"))
