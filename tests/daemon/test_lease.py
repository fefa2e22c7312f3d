from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.lease import has_writer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    return path


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_closed_file_has_no_writer(fd: int) -> None:
    assert has_writer(fd) is False


def test_a_silent_writer_is_seen_until_it_closes(fd: int, path: Path) -> None:
    with path.open("ab"):
        assert has_writer(fd) is True

    assert has_writer(fd) is False


def test_a_writer_in_another_process_is_seen(fd: int, path: Path) -> None:
    program = f"file = open({str(path)!r}, 'ab'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()

        seen = has_writer(fd)
        writer.communicate("\n")

    assert seen is True
    assert has_writer(fd) is False


def test_another_reader_is_no_writer(fd: int, path: Path) -> None:
    with path.open("rb"):
        assert has_writer(fd) is False


def test_where_there_are_no_leases_nothing_is_known() -> None:
    reading, writing = os.pipe()
    try:
        assert has_writer(reading) is None
    finally:
        os.close(reading)
        os.close(writing)


def test_a_writer_that_breaks_the_lease_does_not_kill_us(path: Path) -> None:
    """A broken lease raises SIGIO, which kills; run in a child, so that it may die of it."""
    program = f"""
import os, subprocess, sys, time
from framedaemon.lease import has_writer
path = {str(path)!r}
storm = "import os\\nwhile True: os.close(os.open(" + repr(path) + ", os.O_WRONLY))"
writer = subprocess.Popen([sys.executable, "-c", storm])
answers, end = set(), time.monotonic() + 10
while len(answers) < 2 or time.monotonic() < end - 9:
    fd = os.open(path, os.O_RDONLY)
    answers.add(has_writer(fd))
    os.close(fd)
    assert time.monotonic() < end
writer.kill()
writer.wait()
print(sorted(answers))
"""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)

    assert (child.returncode, child.stdout, child.stderr) == (0, "[False, True]\n", "")
