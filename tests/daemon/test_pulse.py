from __future__ import annotations

from contextvars import copy_context
from pathlib import Path

from framedaemon.inbox import Inbox
from framedaemon.pulse import beat, felt_by
from framedaemon.settings import InboxSettings
from framedaemon.workspace import copy_as_is


def test_a_beat_reaches_who_listens_in_this_thread_and_nobody_afterwards() -> None:
    felt: list[str] = []

    with felt_by(lambda: felt.append("beat")):
        beat()
        copy_context().run(beat)
    beat()

    assert felt == ["beat", "beat"]


def test_a_long_copy_gives_signs_of_life_and_is_the_same(tmp_path: Path) -> None:
    film = bytes(range(256)) * 4096 * 5
    (tmp_path / "film.mp4").write_bytes(film)
    felt: list[str] = []

    with felt_by(lambda: felt.append("beat")):
        copy_as_is(tmp_path / "film.mp4", tmp_path / "copy.mp4")

    assert len(felt) == 5
    assert (tmp_path / "copy.mp4").read_bytes() == film


def test_a_scan_of_many_files_gives_signs_of_life(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    for index in range(20):
        (tmp_path / "pets" / f"{index}.png").touch()
    felt: list[str] = []

    with felt_by(lambda: felt.append("beat")):
        Inbox(tmp_path, InboxSettings()).scan(0.0)

    assert len(felt) >= 20
