from __future__ import annotations

import os
import resource
import shutil
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from framedaemon.watch import Watch, filesystem_of, mounted_type

MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:40 / /mnt/share rw,relatime shared:1 - nfs4 host:/share rw
31 27 0:41 / /mnt/with\040space rw,relatime - cifs //host/share rw
32 30 0:42 / /mnt/share/local rw,relatime - tmpfs tmpfs rw
33 27 0:43 / /mnt/over rw,relatime - ext4 /dev/vdb rw
34 33 0:44 / /mnt/over rw,relatime - fuse.sshfs host: rw
nonsense
"""
PATIENCE = 5.0
QUIET = 0.3


WATCHDOG = int(version("watchdog").partition(".")[0])


class Bell:
    """Rings when the watch wakes."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.ring = self._event.set

    def rang(self, seconds: float = PATIENCE) -> bool:
        rang = self._event.wait(seconds)
        self._event.clear()
        return rang

    def hush(self) -> None:
        """Wait until what is under way has rung."""
        rang = True
        while rang:
            rang = self.rang(QUIET)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "input"
    (root / "done").mkdir(parents=True)
    (root / "failed").mkdir()
    return root


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def watch(root: Path, bell: Bell) -> Iterator[Watch]:
    watch = Watch(root, bell.ring, "events")
    watch.start()
    yield watch
    watch.stop()


def test_a_file_that_is_closed_wakes(root: Path, watch: Watch, bell: Bell) -> None:
    with (root / "photo.jpg").open("wb") as file:
        bell.hush()
        file.write(b"picture")

    assert bell.rang()
    assert watch.note == ""


def test_a_file_that_is_moved_in_wakes(root: Path, watch: Watch, bell: Bell) -> None:
    (root.parent / "photo.jpg").write_bytes(b"picture")

    (root.parent / "photo.jpg").rename(root / "photo.jpg")

    assert bell.rang()


def test_a_name_that_is_not_utf8_wakes(root: Path, watch: Watch, bell: Bell) -> None:
    (root / os.fsdecode(b"\xff.jpg")).write_bytes(b"picture")

    assert bell.rang()


def test_a_new_folder_is_watched(root: Path, watch: Watch, bell: Bell) -> None:
    (root / "trip" / "day").mkdir(parents=True)
    made = bell.rang()
    bell.hush()

    (root / "trip" / "day" / "photo.jpg").write_bytes(b"picture")

    assert (made, bell.rang()) == (True, True)


@pytest.mark.skipif(
    WATCHDOG < 7, reason="watchdog 6 does not watch folders that are moved in; rescans find what is there"
)
def test_a_folder_that_is_moved_in_is_watched(root: Path, watch: Watch, bell: Bell) -> None:
    (root.parent / "trip").mkdir()
    (root.parent / "trip").rename(root / "trip")
    moved = bell.rang()
    bell.hush()

    (root / "trip" / "photo.jpg").write_bytes(b"picture")

    assert (moved, bell.rang()) == (True, True)


def test_what_the_daemon_puts_away_does_not_wake(root: Path, watch: Watch, bell: Bell) -> None:
    (root.parent / "photo.jpg").write_bytes(b"picture")

    (root.parent / "photo.jpg").rename(root / "done" / "photo.jpg")
    (root / "failed" / "photo.error.txt").write_text("reason")

    assert not bell.rang(QUIET)


def test_looking_and_reading_do_not_wake(root: Path, watch: Watch, bell: Bell) -> None:
    (root / "photo.jpg").write_bytes(b"picture")
    bell.hush()

    (root / "photo.jpg").read_bytes()
    sorted(root.iterdir())

    assert not bell.rang(QUIET)


def test_a_linked_folder_is_watched(root: Path, bell: Bell, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    watch = Watch(tmp_path / "link", bell.ring, "events")
    watch.start()

    (root / "photo.jpg").write_bytes(b"picture")
    rang = bell.rang()
    watch.stop()

    assert rang


def test_a_healthy_watch_is_left_alone(watch: Watch) -> None:
    assert watch.check() is False


def test_a_folder_that_was_deleted_and_made_anew_is_watched_again(root: Path, watch: Watch, bell: Bell) -> None:
    shutil.rmtree(root)
    bell.hush()
    root.mkdir()

    mended = watch.check()
    (root / "photo.jpg").write_bytes(b"picture")

    assert (mended, bell.rang()) == (True, True)


def test_a_folder_that_was_exchanged_is_watched_again(root: Path, watch: Watch, bell: Bell) -> None:
    root.rename(root.with_name("old"))
    root.mkdir()

    mended = watch.check()
    bell.hush()
    (root / "photo.jpg").write_bytes(b"picture")

    assert (mended, bell.rang()) == (True, True)


def test_a_folder_that_vanished_is_said_and_watched_when_it_returns(root: Path, watch: Watch) -> None:
    root.rename(root.with_name("unmounted"))
    gone, note = watch.check(), watch.note
    root.with_name("unmounted").rename(root)

    assert (gone, note) == (False, f"{root}: is not there")
    assert (watch.check(), watch.note) == (True, "")


def test_used_up_limits_are_said_and_nothing_fails(root: Path, bell: Bell) -> None:
    watch = Watch(root, bell.ring, "events")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        watch.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    note = watch.note
    watch.stop()

    assert note == f"{root}: cannot be watched (inotify instance limit reached); rescans alone find what comes"


def test_what_could_not_be_watched_for_want_of_a_thread_is_watched_later(
    root: Path, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("framedaemon.watch._AGAIN_SECONDS", 0.0)
    watch = Watch(root, bell.ring, "events")

    with monkeypatch.context() as short:
        short.setattr("threading.Thread.start", no_thread)
        watch.start()
    note, mended = watch.note, watch.check()
    (root / "cat.png").touch()

    assert bell.rang()
    watch.stop()
    assert note == f"{root}: cannot be watched (can't start new thread); rescans alone find what comes"
    assert mended


def test_polling_watches_nothing(root: Path, bell: Bell) -> None:
    watch = Watch(root, bell.ring, "poll")
    before = threading.active_count()

    watch.start()

    assert 'watch is "poll"' in watch.note
    assert (threading.active_count(), watch.check()) == (before, False)


def test_stopping_leaves_no_thread_and_can_be_done_twice(root: Path, bell: Bell) -> None:
    before = threading.active_count()
    watch = Watch(root, bell.ring, "events")
    watch.start()

    watch.stop()
    watch.stop()

    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/input", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/input", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share/local/input", "tmpfs"),
        ("/mnt/with space/input", "cifs"),
        ("/mnt/over", "fuse.sshfs"),
        ("/", "ext4"),
    ],
)
def test_the_mount_that_holds_a_path_is_found(path: str, kind: str) -> None:
    assert mounted_type(path, MOUNTS) == kind


def test_the_file_system_of_a_real_path_is_known() -> None:
    assert filesystem_of(Path("/proc/self")) == "proc"


def test_what_comes_right_after_a_file_was_taken_out_is_heard_at_once(root: Path, tmp_path: Path, bell: Bell) -> None:
    """watchdog holds every event behind a move back for half a second, to pair it; each claim is such a move."""
    (root / "taken.png").write_bytes(b"x")
    watch = Watch(root, bell.ring, "events")
    watch.start()
    try:
        (root / "taken.png").rename(tmp_path / "elsewhere.png")
        (root / "next.png").write_bytes(b"x")
        heard = bell.rang(0.4)
    finally:
        watch.stop()

    assert heard
