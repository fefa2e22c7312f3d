from __future__ import annotations

import os
from pathlib import Path

from framedaemon.printed import Printed


def test_the_last_words_are_those_of_the_worker_that_was_started_last(tmp_path: Path) -> None:
    printed = Printed(tmp_path / "worker.out")
    for said in (b"one\n", b"two\nthree\n"):
        handle = printed.open()
        os.write(handle, said)
        os.close(handle)

    assert printed.last_words() == "; it said: two | three"


def test_who_said_nothing_has_no_last_words(tmp_path: Path) -> None:
    printed = Printed(tmp_path / "worker.out")
    os.close(printed.open())

    assert printed.last_words() == ""


def test_where_there_is_no_folder_what_is_printed_is_lost_and_nothing_else(tmp_path: Path) -> None:
    printed = Printed(tmp_path / "gone" / "worker.out")
    handle = printed.open()
    os.write(handle, b"into the void")
    os.close(handle)

    assert printed.last_words() == ""


def test_a_file_that_has_grown_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "worker.out"
    path.write_bytes(b"x" * 1_000_001)

    os.close(Printed(path).open())

    assert path.stat().st_size == 0
    assert (tmp_path / "worker.out.1").stat().st_size == 1_000_001


def test_what_is_printed_without_end_is_kept_from_filling_the_disk(tmp_path: Path) -> None:
    printed = Printed(tmp_path / "worker.out")
    handle = printed.open()
    os.write(handle, b"x" * 10_000_000 + b"\nthe end\n")

    printed.bound()
    os.write(handle, b"and more\n")
    os.close(handle)

    assert (tmp_path / "worker.out").read_text() == "and more\n"
    assert (tmp_path / "worker.out.1").read_bytes().endswith(b"xxx\nthe end\n")
    assert (tmp_path / "worker.out.1").stat().st_size == 100_000
    assert printed.last_words() == "; it said: and more"
