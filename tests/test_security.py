"""What docs/security.md promises, tried on a whole daemon by somebody who may write into input/ and nowhere else."""

from __future__ import annotations

import ast
import os
import re
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from framedaemon import ClipSpec, JobRejected
from framedaemon.instance import Instance
from framedaemon.opening import Limits, open_source
from framedaemon_ffmpeg.choice import choose
from framedaemon_ffmpeg.command import build_command
from framedaemon_ffmpeg.options import FfmpegOptions
from framedaemon_ffmpeg.sound import read_tracks
from living import drop, files_below, make_instance, run_all
from made_clips import make_video

ROOT = Path(__file__).resolve().parent.parent
TESTING = ROOT / "daemon" / "framedaemon" / "testing"
"""Measures a plugin's stage in a process that the test itself starts, and pickles what it tells it."""
SHIPPED = sorted(
    path for root in ("daemon", "plugins") for path in (ROOT / root).rglob("*.py") if TESTING not in path.parents
)
SECRET = "nobody's business"


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Instance]:
    """An instance whose daemon lets nobody else read what it makes."""
    before = os.umask(0o077)
    yield make_instance(tmp_path / "instance")
    os.umask(before)


def test_a_stranger_with_every_trick_gets_nothing_out_in_or_stuck(private: Instance, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_text(SECRET)
    names = [
        "-i.png",
        "100%d.png",
        "\x1b[2J\nevil.png",
        "\u202egnp.png",
        "CON.png",
        "a" * 251 + ".png",
        "concat:a|b.png",
    ]
    for name in names:
        drop(private, name)
    (private.input / "link.png").symlink_to(secret)
    (private.input / "dangling.toml.png").symlink_to(private.plugins / "not yet")
    (private.input / "folder").symlink_to(tmp_path)
    os.mkfifo(private.input / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(private.input / "socket.png"))
    drop(private, "ladder.png", sidecar='[encode]\noutput = "../../up.mp4"\n[generate]\nuse = "../../plugins/x"\n')
    (private.failed / "deep").symlink_to(private.plugins)
    before = files_below(tmp_path) - files_below(private.input)

    jobs = run_all(private)

    states = {job.name: job.state for job in jobs}
    assert {name: states[name] for name in names} == dict.fromkeys(names, "done")
    assert {name for name, state in states.items() if state == "failed"} == {
        *("link.png", "dangling.toml.png", "pipe.png", "socket.png", "ladder.png"),
    }
    made = files_below(tmp_path) - before
    assert all(name.startswith(("instance/input/", "instance/output/", "instance/tmp/")) for name in made)
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [SECRET.encode() in text for text in texts].count(True) == 1
    assert secret.read_text() == SECRET
    written = [*private.output.rglob("*"), *private.tmp.rglob("*"), *private.failed.glob("*.error.txt")]
    assert [path for path in written if path.stat().st_mode & 0o077 and not path.is_symlink()] == []
    words = [path.read_text() for path in [*private.logs.rglob("*.jsonl"), *private.failed.glob("*.error.txt")]]
    assert [word for word in words if re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", word)] == []


def test_no_module_unpickles_or_runs_what_it_reads() -> None:
    """Weights, when they come, are safetensors; torch.load would run what a stranger put into them."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for path in SHIPPED
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _runs_what_it_reads(node)
    ]

    assert calls == []


def test_no_module_imports_a_reader_that_runs_what_it_reads() -> None:
    tree = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SHIPPED}
    imported = {
        (str(path.relative_to(ROOT)), alias.name)
        for path, module in tree.items()
        for node in ast.walk(module)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
        if ast.unparse(node) != "from pickle import UnpicklingError"  # what torch raises for more than tensors
    }

    banned = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "xml.etree"}
    assert {entry for entry in imported if entry[1] in banned} == set()


def test_the_worker_imports_nothing_from_the_folder_it_works_in(tmp_path: Path) -> None:
    """A file called json.py in the instance's folder is no module."""
    private = make_instance(tmp_path)
    (private.root / "json.py").write_text("raise AssertionError('it was imported')")
    (private.input / "pydantic.py").write_text("raise AssertionError('it was imported')")
    drop(private, "cat.png")

    jobs = run_all(private)

    assert {job.name: job.state for job in jobs} == {"cat.png": "done", "pydantic.py": "failed"}


def test_a_film_whose_pictures_lie_in_another_file_opens_no_other_file(tmp_path: Path) -> None:
    """QuickTime's data references. The other file is a pipe: who opens it waits for ever."""
    os.mkfifo(tmp_path / "elsewhere.mov")
    film = make_video(tmp_path / "x.mov", 12, sound=True)
    film.write_bytes(_refer(film.read_bytes(), str(tmp_path / "elsewhere.mov")))

    said = _within(30, lambda: open_source(film, film.name, Limits()))

    assert said.startswith("x.mov holds no picture that can be decoded.")


def test_ffmpeg_opens_no_other_file_that_a_sound_track_names(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "elsewhere.mov")
    film = make_video(tmp_path / "x.mov", 12, sound=True)
    film.write_bytes(_refer(film.read_bytes(), str(tmp_path / "elsewhere.mov")))
    spec, comment = ClipSpec(32, 32, 2, Fraction(2)), tmp_path / "comment"
    comment.write_text(";FFMETADATA1\n")
    choice = choose(spec, FfmpegOptions(), True)
    sound = read_tracks(film, choice.container)

    command = build_command(choice, spec, tmp_path / "out.mp4", comment, sound, 1, True)
    done = subprocess.run(command, input=bytes(2 * 32 * 32 * 3), capture_output=True, timeout=60)

    assert done.returncode == 0, done.stderr.decode()


def _runs_what_it_reads(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name in ("eval", "exec", "os.system", "os.popen", "compile"):
        return True
    if name.endswith(("np.load", "numpy.load")):
        return any(word.arg == "allow_pickle" for word in call.keywords)
    if name.endswith("torch.load"):
        return not any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in call.keywords)
    return any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in call.keywords)


def _within(seconds: float, work: Callable[[], object]) -> str:
    """What ``work`` says when it refuses; "waits" when it takes longer. Its thread is left waiting then."""
    said = ["waits"]

    def run() -> None:
        try:
            said[0] = f"took it: {work()}"
        except JobRejected as rejected:
            said[0] = str(rejected)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0]


def _refer(data: bytes, path: str) -> bytes:
    """The film ``data``, the data of whose tracks is said to lie in the file ``path``: an alias as QuickTime has it."""
    name = path.encode()
    alias = bytes(10) + bytes([0]) + bytes(27) + bytes(12) + bytes([0]) + bytes(63) + bytes(16)
    alias += struct.pack(">hh", 1, 1) + bytes(16)
    alias += struct.pack(">hh", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">h", -1)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    return _rewrite(data, entry)


_NESTS = (b"moov", b"trak", b"mdia", b"minf", b"dinf")


def _rewrite(data: bytes, entry: bytes) -> bytes:
    """Every dref of the boxes in ``data`` replaced by one of ``entry``; sizes mended."""
    written, place = b"", 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        size = size if size >= 8 else len(data) - place
        body = data[place + 8 : place + size]
        if kind in _NESTS:
            body = _rewrite(body, entry)
        elif kind == b"dref":
            body = struct.pack(">II", 0, 1) + entry
        written += struct.pack(">I4s", len(body) + 8, kind) + body
        place += size
    return written
